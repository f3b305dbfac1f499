//! Products of matrices.

use tract_core::internal::TDim;

use super::cooperative::{self, Cooperative};
use super::launch::{launch, params, spread};
use super::tiles::{Extent, TILE, Tiled, partial_tail, split_sum};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Shader, Spec, Variant};
use crate::tail::Tail;
use crate::view::is_one;

macro_rules! matrix_params {
    ($($more:literal),*) => {
        &[
            "m", "n", "k", "a_offset", "a_m", "a_k", "b_offset", "b_k", "b_n", "out_m", "out_n", "batches", "batch1",
            "batch2", "a_batch0", "a_batch1", "a_batch2", "b_batch0", "b_batch1", "b_batch2", "out_batch0",
            "out_batch1", "out_batch2", $($more),*
        ]
    };
}

/// The parameters of kernels whose inner axis may be shared out.
pub(super) const MATRIX_PARAMS_SHARED: &[&str] = matrix_params!("splits", "share");

static GEMM: Kernel =
    Kernel { name: "gemm", body: include_str!("../kernels/gemm.wgsl"), params: MATRIX_PARAMS_SHARED };

static GEMV: Kernel =
    Kernel { name: "gemv", body: include_str!("../kernels/gemv.wgsl"), params: matrix_params!() };

/// Where one of many products begins.
pub(super) const BATCHES: &str = include_str!("../kernels/batches.wgsl");

/// A matrix of at most so many rows is taken whole by every workgroup.
const FEW: u32 = 4;
/// Steps along the inner axis that are shared out among as few as 8 threads, in
/// fewer than 65,535 rounds.
const LONGEST_FEW: u32 = 8 * 65_000;
/// Axes over which products are repeated, at most.
pub(super) const BATCH_AXES: usize = 3;

/// One product of matrices, or many.
#[derive(Debug)]
pub(super) struct MatMul {
    pub a: Side,
    pub b: Side,
    /// Rows of `a` and of the output.
    pub m: TDim,
    /// Columns of `b` and of the output.
    pub n: TDim,
    /// What is added up.
    pub k: TDim,
    pub batch: Vec<Batch>,
    /// From one row of the output to the next.
    pub out_m: TDim,
    /// From one column of the output to the next.
    pub out_n: TDim,
    /// The WGSL type in which products are added up.
    pub found: &'static str,
    /// Where large products may round their operands to F16.
    pub cooperative: Option<Cooperative>,
    pub tail: Tail,
    pub out: Root,
}

/// One of the two matrices.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub root: Root,
    pub dtype: Dtype,
    pub offset: TDim,
    /// From one row of the left matrix, or column of the right one, to the next.
    pub outer: TDim,
    /// Along the axis that is added up.
    pub inner: TDim,
}

/// An axis over which products are repeated.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub size: TDim,
    pub a: TDim,
    pub b: TDim,
    pub out: TDim,
}

/// The ways to compute it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tiled(Tiles),
    /// Tiles whose inner axis is shared out, then added up.
    Split(Tiles),
    FewRows,
    FewColumns,
}

/// What computes a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tiles {
    Plain,
    Cooperative(Cooperative),
}

/// The way for these sizes, in tiles of what size they are.
fn way(extent: Extent, cooperative: Option<Cooperative>) -> (Way, Extent) {
    let is_long = extent.k > LONGEST_FEW;
    if extent.m <= FEW && !is_long {
        return (Way::FewRows, extent);
    }
    if extent.n <= FEW && !is_long {
        return (Way::FewColumns, extent);
    }
    let suited = cooperative.and_then(|matrices| Some((matrices, matrices.suits(extent)?)));
    let (tiles, extent) = match suited {
        Some((matrices, extent)) => (Tiles::Cooperative(matrices), extent),
        None => (Tiles::Plain, extent),
    };
    if extent.splits() > 1 { (Way::Split(tiles), extent) } else { (Way::Tiled(tiles), extent) }
}

impl MatMul {
    fn extent(&self, size: impl Fn(&TDim) -> Result<u32>) -> Result<Extent> {
        let batches = self.batch.iter().map(|axis| size(&axis.size)).product::<Result<u32>>()?;
        Ok(Extent { m: size(&self.m)?, n: size(&self.n)?, k: size(&self.k)?, batches, tile: TILE })
    }

    fn way(&self, sizes: &Sizes) -> Result<(Way, Extent)> {
        Ok(way(self.extent(|size| sizes.size(size))?, self.cooperative))
    }

    /// The ways that some sizes may take.
    fn ways(&self) -> Vec<Way> {
        let known = |size: &TDim| {
            let value = size.as_i64().and_then(|value| u32::try_from(value).ok());
            value.ok_or_else(|| Error::Failed(String::new()))
        };
        match self.extent(known) {
            Ok(extent) => vec![way(extent, self.cooperative).0],
            Err(_) => {
                let sizes = [&self.m, &self.n, &self.k];
                let cooperative = self.cooperative.filter(|_| cooperative::may_suit(sizes));
                let tiles = cooperative.map(Tiles::Cooperative).into_iter().chain([Tiles::Plain]);
                let tiled = tiles.flat_map(|tiles| [Way::Tiled(tiles), Way::Split(tiles)]);
                tiled.chain([Way::FewRows, Way::FewColumns]).collect()
            }
        }
    }

    /// The shaders of a way; two for [`Way::Split`].
    fn variants_of(&self, way: Way) -> Vec<Variant> {
        match way {
            Way::Tiled(tiles) => vec![self.tile(tiles, &self.tail, false)],
            Way::Split(tiles) => {
                let partial = self.tile(tiles, &partial_tail(self.found), true);
                vec![partial, split_sum(self.found, &self.tail)]
            }
            Way::FewRows => vec![self.gemv(&self.a, &self.b)],
            Way::FewColumns => vec![self.gemv(&self.b, &self.a)],
        }
    }

    fn tile(&self, tiles: Tiles, tail: &Tail, partial: bool) -> Variant {
        match tiles {
            Tiles::Plain => self.gemm(tail, partial),
            Tiles::Cooperative(matrices) => matrices.variant(self, tail, partial),
        }
    }

    fn gemm(&self, tail: &Tail, partial: bool) -> Variant {
        let spec = Spec {
            inputs: &[("a", self.a.dtype), ("b", self.b.dtype)],
            declarations: vec![
                BATCHES.to_owned(),
                format!("const A_ALONG_K = {};", is_one(&self.a.inner)),
                format!("const B_ALONG_N = {};", !is_one(&self.b.inner)),
                format!("const PARTIAL = {partial};"),
            ],
            ..Spec::new(&GEMM, self.found, Some(tail))
        };
        spec.render()
    }

    /// A product of the few rows of `small` with `large`.
    fn gemv(&self, small: &Side, large: &Side) -> Variant {
        let spec = Spec {
            inputs: &[("a", small.dtype), ("b", large.dtype)],
            declarations: vec![
                BATCHES.to_owned(),
                format!("const B_ALONG_N = {};", !is_one(&large.inner)),
                format!("const LANES_N = {}u;", lanes(large)),
            ],
            ..Spec::new(&GEMV, self.found, Some(&self.tail))
        };
        spec.render()
    }

    /// The parameters of both kernels, up to `out_batch2`. Where `is_swapped`, of
    /// the transposed product.
    fn addresses(&self, extent: Extent, sizes: &Sizes, is_swapped: bool) -> Result<Vec<u32>> {
        let word = |value: &TDim| sizes.signed(value).map(|value| value as u32);
        let Extent { m, n, k, batches, .. } = extent;
        let (a, b) = if is_swapped { (&self.b, &self.a) } else { (&self.a, &self.b) };
        let (m, n) = if is_swapped { (n, m) } else { (m, n) };
        let (out_m, out_n) = if is_swapped { (&self.out_n, &self.out_m) } else { (&self.out_m, &self.out_n) };
        let mut words = vec![m, n, k, word(&a.offset)?, word(&a.outer)?, word(&a.inner)?];
        words.extend([
            word(&b.offset)?,
            word(&b.inner)?,
            word(&b.outer)?,
            word(out_m)?,
            word(out_n)?,
            batches,
        ]);
        let one = Batch { size: TDim::from(1), a: TDim::from(0), b: TDim::from(0), out: TDim::from(0) };
        let missing = BATCH_AXES - self.batch.len();
        let axes: Vec<&Batch> = std::iter::repeat_n(&one, missing).chain(&self.batch).collect();
        for axis in &axes[1..] {
            words.push(word(&axis.size)?);
        }
        for axis in &axes {
            words.push(word(if is_swapped { &axis.b } else { &axis.a })?);
        }
        for axis in &axes {
            words.push(word(if is_swapped { &axis.a } else { &axis.b })?);
        }
        for axis in &axes {
            words.push(word(&axis.out)?);
        }
        Ok(words)
    }

    fn tiled(
        &self,
        extent: Extent,
        splits: u32,
        first: usize,
        variants: &[Variant],
        sizes: &Sizes,
    ) -> Result<Vec<Launch>> {
        let tiled = Tiled {
            extent,
            splits,
            params: self.addresses(extent, sizes, false)?,
            operands: vec![self.a.root, self.b.root],
            tail: &self.tail,
            out: self.out,
            bytes: self.bytes(extent),
        };
        tiled.launches(first, variants, sizes)
    }

    fn few(
        &self,
        extent: Extent,
        is_swapped: bool,
        first: usize,
        variants: &[Variant],
        sizes: &Sizes,
    ) -> Result<Vec<Launch>> {
        let (large, columns) = if is_swapped { (&self.a, extent.m) } else { (&self.b, extent.n) };
        let kernel = self.addresses(extent, sizes, is_swapped)?;
        let params = params(&kernel, &variants[first], sizes)?;
        let workgroups = spread(columns.div_ceil(lanes(large)).saturating_mul(extent.batches));
        let cost = Cost { flops: extent.flops(), bytes: self.bytes(extent) };
        let mut reads = self.reads();
        if is_swapped {
            reads.swap(0, 1);
        }
        Ok(vec![launch(first, params, self.out, reads, workgroups, cost)])
    }

    fn bytes(&self, extent: Extent) -> u64 {
        let [m, n, k, batches] = [extent.m, extent.n, extent.k, extent.batches].map(u64::from);
        batches * (m * k * self.a.dtype.size() + k * n * self.b.dtype.size() + m * n * 4)
    }
}

/// Columns that a workgroup of few rows computes: neighbouring threads read
/// neighbouring elements of the large matrix.
fn lanes(large: &Side) -> u32 {
    if is_one(&large.inner) { 4 } else { 32 }
}

impl Step for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn name_with(&self, shader: &Shader) -> &'static str {
        if cooperative::is_of(shader) { "matmul_fp16" } else { self.name() }
    }

    fn reads(&self) -> Vec<Root> {
        let tail = self.tail.inputs().iter().map(|view| view.root);
        [self.a.root, self.b.root].into_iter().chain(tail).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        self.ways().into_iter().flat_map(|way| self.variants_of(way)).collect()
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let (way, extent) = self.way(sizes)?;
        let before = self.ways().into_iter().take_while(|known| *known != way);
        let first = before.map(|way| if matches!(way, Way::Split(_)) { 2 } else { 1 }).sum();
        match way {
            Way::Tiled(_) => self.tiled(extent, 1, first, variants, sizes),
            Way::Split(_) => self.tiled(extent, extent.splits(), first, variants, sizes),
            Way::FewRows => self.few(extent, false, first, variants, sizes),
            Way::FewColumns => self.few(extent, true, first, variants, sizes),
        }
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_follows_the_sizes() {
        let way = |m, n, k| way(Extent { m, n, k, batches: 1, tile: TILE }, None).0;
        assert_eq!(way(1, 1000, 1280), Way::FewRows);
        assert_eq!(way(1000, 3, 1280), Way::FewColumns);
        assert_eq!(way(1, 1000, 1_000_000), Way::Split(Tiles::Plain));
        assert_eq!(way(64, 64, 4096), Way::Split(Tiles::Plain));
        assert_eq!(way(64, 64, 100), Way::Tiled(Tiles::Plain));
        assert_eq!(way(4096, 4096, 4096), Way::Tiled(Tiles::Plain));
    }

    #[test]
    fn large_products_take_cooperative_matrices_where_they_may() {
        let cooperative = Tiles::Cooperative(Cooperative::By16);
        let way = |m, n, k| way(Extent { m, n, k, batches: 1, tile: TILE }, Some(Cooperative::By16)).0;
        assert_eq!(way(1, 1000, 1280), Way::FewRows);
        assert_eq!(way(1000, 3, 1280), Way::FewColumns);
        assert_eq!(way(64, 64, 4096), Way::Split(cooperative));
        assert_eq!(way(64, 64, 100), Way::Tiled(cooperative));
        assert_eq!(way(4096, 4096, 4096), Way::Tiled(cooperative));
        assert_eq!(way(20, 20, 30), Way::Tiled(Tiles::Plain));
    }
}
