//! How products are laid out over workgroups: in tiles of the output, and where
//! those are too few to fill a device, with the inner axis shared out as well.

use super::launch::{THREADS, launch, params, spread};
use crate::error::{Error, Result};
use crate::program::{Cost, Launch, Place, Root};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::Tail;

static SPLIT_SUM: Kernel = Kernel {
    name: "split_sum",
    body: include_str!("../kernels/split_sum.wgsl"),
    params: &["count", "splits"],
};

/// Rows and columns of the output that one workgroup of the plain kernels computes.
pub(super) const TILE: u32 = 64;
/// Steps along the inner axis that a workgroup takes at once.
const DEPTH: u32 = 16;
/// Fewer tiles than this leave a device idle: the inner axis is shared out.
const ENOUGH_TILES: u32 = 96;
/// The least steps along the inner axis that are worth a workgroup.
const LEAST_SHARE: u32 = 256;
const MOST_SPLITS: u32 = 32;
/// For each 16 steps along the inner axis a thread makes at most 28 rounds of loops,
/// of which it may make fewer than 65,535.
const LONGEST: u32 = DEPTH * 2_200;

/// Sizes of `batches` products of `m` by `k` with `k` by `n` elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub batches: u32,
    /// Rows and columns of the output that one workgroup computes.
    pub tile: u32,
}

impl Extent {
    fn tiles(self) -> u32 {
        self.m.div_ceil(self.tile).saturating_mul(self.n.div_ceil(self.tile)).saturating_mul(self.batches)
    }

    /// Among how many workgroups the inner axis is shared out.
    pub(super) fn splits(self) -> u32 {
        let wanted = ENOUGH_TILES.div_ceil(self.tiles().max(1));
        let useful = (self.k / LEAST_SHARE).max(1);
        wanted.min(useful).clamp(1, MOST_SPLITS).max(self.k.div_ceil(LONGEST))
    }

    fn share(self, splits: u32) -> u32 {
        self.k.div_ceil(splits).next_multiple_of(DEPTH)
    }

    pub(super) fn elements(self) -> u64 {
        u64::from(self.m) * u64::from(self.n) * u64::from(self.batches)
    }

    pub(super) fn flops(self) -> u64 {
        2 * self.elements() * u64::from(self.k)
    }
}

/// What a tiled product reads and writes.
pub(super) struct Tiled<'a> {
    pub extent: Extent,
    pub splits: u32,
    /// The parameters of its kernel, without `splits` and `share`, which are the
    /// last ones.
    pub params: Vec<u32>,
    /// What the kernel reads, without the tail.
    pub operands: Vec<Root>,
    pub tail: &'a Tail,
    pub out: Root,
    pub bytes: u64,
}

impl Tiled<'_> {
    /// One launch by the first of `variants`, and where the inner axis is
    /// shared out another, by the second, that adds up.
    ///
    /// # Errors
    /// When the inner axis is too long.
    pub(super) fn launches(self, first: usize, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let Self { extent, splits, .. } = self;
        let share = extent.share(splits);
        if share > LONGEST {
            return Err(Error::TooLarge {
                what: "the inner axis of a product of matrices".to_owned(),
                size: u64::from(extent.k),
                limit: u64::from(LONGEST),
            });
        }
        let mut kernel = self.params;
        kernel.extend([splits, share]);
        let kernel = params(&kernel, &variants[first], sizes)?;
        let workgroups = spread(extent.tiles().saturating_mul(splits));
        let cost = Cost { flops: extent.flops(), bytes: self.bytes };
        let tail = self.tail.inputs().iter().map(|view| view.root);
        if splits == 1 {
            let reads = self.operands.into_iter().chain(tail);
            return Ok(vec![launch(first, kernel, self.out, reads, workgroups, cost)]);
        }
        let count = u32::try_from(extent.elements()).unwrap_or(u32::MAX);
        let partial = Place::Scratch { number: 0, bytes: extent.elements() * u64::from(splits) * 4 };
        let mut products = launch(first, kernel, self.out, self.operands, workgroups, cost);
        products.writes = partial;
        let sum_params = params(&[count, splits], &variants[first + 1], sizes)?;
        let bytes = u64::from(count) * 4 * u64::from(splits + 1);
        let sum_cost = Cost { flops: u64::from(count) * u64::from(splits), bytes };
        let sum_workgroups = spread(count.div_ceil(THREADS));
        let mut sum = launch(first + 1, sum_params, self.out, tail, sum_workgroups, sum_cost);
        sum.reads.insert(0, partial);
        Ok(vec![products, sum])
    }
}

/// Adds up what several workgroups found, then goes on with the tail.
pub(super) fn split_sum(found: &'static str, tail: &Tail) -> Variant {
    let partial = if found == "i32" { crate::dtype::Dtype::I32 } else { crate::dtype::Dtype::F32 };
    let spec = Spec { inputs: &[("partial", partial)], ..Spec::new(&SPLIT_SUM, found, Some(tail)) };
    spec.render()
}

/// A tail for partial results.
pub(super) fn partial_tail(found: &'static str) -> Tail {
    Tail::of_kernel(if found == "i32" { crate::dtype::Dtype::I32 } else { crate::dtype::Dtype::F32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_the_inner_axis_and_none_is_empty() {
        for k in [512u32, 1000, 1025, 4096, 100_000, 1_000_000, 3_000_000] {
            let extent = Extent { m: 64, n: 64, k, batches: 1, tile: TILE };
            let splits = extent.splits();
            let share = extent.share(splits);
            assert!(splits * share >= k && (splits - 1) * share < k, "{k}: {splits} of {share}");
        }
    }

    #[test]
    fn a_full_device_shares_nothing_out() {
        assert_eq!(Extent { m: 4096, n: 4096, k: 4096, batches: 1, tile: TILE }.splits(), 1);
        assert_eq!(Extent { m: 64, n: 64, k: 100, batches: 1, tile: TILE }.splits(), 1);
        assert_eq!(
            Extent { m: 4096, n: 4096, k: 100_000, batches: 1, tile: TILE }.splits(),
            3,
            "too long for one"
        );
    }
}
