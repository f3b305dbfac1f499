//! Operators over rows: reductions, which make one element of each, and those
//! that give the row back, softmax and normalisation.

mod normalise;
mod reduce;

pub(super) use normalise::is_plain_softmax;
pub(super) use reduce::over_all;
use tract_core::internal::{TDim, TypedNode};

use super::{Lowered, Lowering};
use crate::error::{Error, Result};
use crate::schedule::Sizes;
use crate::tail::{Word, render_place};
use crate::view::{View, volume};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    reduce::lower(lowering, node).or_else(|| normalise::lower(lowering, node))
}

/// A tensor as rows: where each begins, and how it goes on.
struct Rows {
    begins: View,
    goes_on: View,
}

/// The most elements of a row, over which 256 threads go up to three times, in
/// fewer than 65,535 rounds in all.
const LONGEST: u32 = 256 * 21_000;

impl Rows {
    /// Rows along `axes`, which count as one.
    fn new(view: &View, axes: &[usize]) -> Self {
        let part = |inner: bool| {
            let kept = view.axes.iter().enumerate().filter(|(axis, _)| axes.contains(axis) == inner);
            View { axes: kept.map(|(_, axis)| axis.clone()).collect(), ..view.clone() }
        };
        Self { begins: part(false), goes_on: View { offset: TDim::from(0), ..part(true) } }
    }

    /// The functions that give places in them, called with `prefix`.
    fn render(&self, prefix: &str, words: Vec<Word>) -> (String, Vec<Word>) {
        let (begins, words) = render_place(&format!("{prefix}outer_place"), &self.begins, words);
        let (goes_on, words) = render_place(&format!("{prefix}inner_place"), &self.goes_on, words);
        (begins + &goes_on, words)
    }

    /// How many rows, and how long each.
    ///
    /// # Errors
    /// When they are too long.
    fn extent(&self, sizes: &Sizes) -> Result<(u32, u32)> {
        let length = sizes.size(&volume(&self.goes_on.shape()))?;
        if length > LONGEST {
            let what = "the length of a row that is reduced".to_owned();
            return Err(Error::TooLarge { what, size: u64::from(length), limit: u64::from(LONGEST) });
        }
        Ok((sizes.size(&volume(&self.begins.shape()))?, length))
    }
}
