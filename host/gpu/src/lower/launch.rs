//! What the launches of all families have in common.

use crate::error::{Error, Result};
use crate::program::{Cost, Launch, Place, Root, words};
use crate::schedule::Sizes;
use crate::shader::Variant;

/// Threads of a workgroup.
pub(super) const THREADS: u32 = 256;

/// All loops of a thread together stay below 65,535 rounds, each loop's last look
/// at its condition counted too: old software drivers stop there in silence.
pub(super) const MOST_ROUNDS: u64 = 65_000;

/// # Errors
/// When the loops of a thread would go on for too long.
pub(super) fn check_rounds(what: &str, rounds: u64) -> Result<()> {
    match rounds <= MOST_ROUNDS {
        true => Ok(()),
        false => Err(Error::TooLarge {
            what: format!("the rounds that a thread makes over {what}"),
            size: rounds,
            limit: MOST_ROUNDS,
        }),
    }
}

/// The most workgroups along a dimension that every device offers.
const MOST_WORKGROUPS: u32 = 65_535;

/// So many workgroups over two dimensions; the last ones may have nothing to do.
pub(super) fn spread(workgroups: u32) -> [u32; 3] {
    let rows = workgroups.div_ceil(MOST_WORKGROUPS);
    if rows == 0 { [0, 0, 1] } else { [workgroups.div_ceil(rows), rows, 1] }
}

/// The parameters of a variant: those of the kernel, then those of the tail,
/// which begin at a multiple of four words.
pub(super) fn params(kernel: &[u32], variant: &Variant, sizes: &Sizes) -> Result<Vec<u32>> {
    let mut all = kernel.to_vec();
    all.resize(all.len().next_multiple_of(4), 0);
    all.extend(words(&variant.words, sizes)?);
    // An array in the uniforms has one element at least.
    let least = kernel.len().next_multiple_of(4) + 4;
    all.resize(all.len().next_multiple_of(4).max(least), 0);
    Ok(all)
}

/// A launch that writes `writes` and reads whole buffers.
pub(super) fn launch(
    variant: usize,
    params: Vec<u32>,
    writes: Root,
    reads: impl IntoIterator<Item = Root>,
    workgroups: [u32; 3],
    cost: Cost,
) -> Launch {
    Launch {
        variant,
        params,
        writes: Place::Root(writes),
        reads: reads.into_iter().map(Place::Root).collect(),
        workgroups,
        cost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_workgroups_go_over_two_dimensions() {
        assert_eq!(spread(0), [0, 0, 1]);
        assert_eq!(spread(7), [7, 1, 1]);
        let [x, y, z] = spread(70_000);
        assert!(x <= MOST_WORKGROUPS && x * y * z >= 70_000 && x * y * z < 70_010);
    }
}
