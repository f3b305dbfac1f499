//! How a tensor lies in a buffer: an offset and a stride for each axis, all in
//! elements and all symbolic. Moving, cutting, repeating and most reshaping of
//! axes makes another view of the same buffer and computes nothing.

use tract_core::internal::TDim;

use crate::dtype::Dtype;
use crate::program::Root;

/// A tensor as it lies in the buffer of `root`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub root: Root,
    pub dtype: Dtype,
    /// Of the first element.
    pub offset: TDim,
    pub axes: Vec<Axis>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub size: TDim,
    pub stride: TDim,
}

impl View {
    /// A whole buffer, row by row.
    pub(crate) fn whole(root: Root, dtype: Dtype, shape: &[TDim]) -> Self {
        Self { root, dtype, offset: TDim::from(0), axes: row_major(shape) }
    }

    pub(crate) fn rank(&self) -> usize {
        self.axes.len()
    }

    pub(crate) fn shape(&self) -> Vec<TDim> {
        self.axes.iter().map(|axis| axis.size.clone()).collect()
    }

    pub(crate) fn volume(&self) -> TDim {
        volume(&self.shape())
    }

    /// Whether the elements lie row by row without gaps, beginning anywhere.
    pub(crate) fn is_row_major(&self) -> bool {
        let natural = row_major(&self.shape());
        self.axes
            .iter()
            .zip(natural)
            .all(|(axis, natural)| is_one(&axis.size) || same(&axis.stride, &natural.stride))
    }

    /// Whether every index leads to one and the same element.
    pub(crate) fn is_one_element(&self) -> bool {
        self.axes.iter().all(|axis| is_one(&axis.size) || is_zero(&axis.stride))
    }

    pub(crate) fn insert_axis(&mut self, at: usize) {
        self.axes.insert(at, Axis { size: TDim::from(1), stride: TDim::from(0) });
    }

    /// Takes away an axis of size 1.
    pub(crate) fn remove_axis(&mut self, at: usize) {
        self.axes.remove(at);
    }

    pub(crate) fn move_axis(&mut self, from: usize, to: usize) {
        let axis = self.axes.remove(from);
        self.axes.insert(to, axis);
    }

    /// Every `step`th of the elements along an axis, `size` of them from
    /// `start` on.
    pub(crate) fn cut(&mut self, axis: usize, start: TDim, step: i64, size: TDim) {
        let axis = &mut self.axes[axis];
        self.offset = (self.offset.clone() + start * axis.stride.clone()).reduce();
        axis.stride = (axis.stride.clone() * step).reduce();
        axis.size = size;
    }

    /// Repeats what has size 1 so that the shape is `shape`, which has at least
    /// as many axes; axes are matched from the last on. Gives the pairs of sizes
    /// that are equal, or the first of them 1, only as far as the model is right.
    pub(crate) fn broadcast(&mut self, shape: &[TDim]) -> Vec<(TDim, TDim)> {
        while self.rank() < shape.len() {
            self.insert_axis(0);
        }
        let mut assumed = Vec::new();
        for (axis, size) in self.axes.iter_mut().zip(shape) {
            if same(&axis.size, size) {
                continue;
            }
            let stride = if is_one(&axis.size) {
                TDim::from(0)
            } else {
                assumed.push((axis.size.clone(), size.clone()));
                let is_one = TDim::Eq(Box::new(axis.size.clone()), Box::new(TDim::from(1)));
                axis.stride.clone() * (TDim::from(1) - is_one)
            };
            *axis = Axis { size: size.clone(), stride };
        }
        assumed
    }

    /// Puts axes of sizes `to` where `from` axes were from `at` on; `None`
    /// where those do not lie row by row, so that only a copy would do.
    #[must_use]
    pub(crate) fn reshape(&self, at: usize, from: usize, to: &[TDim]) -> Option<Self> {
        let old: Vec<&Axis> = self.axes[at..at + from].iter().filter(|axis| !is_one(&axis.size)).collect();
        let nested = old
            .windows(2)
            .all(|pair| same(&pair[0].stride, &(pair[1].stride.clone() * pair[1].size.clone())));
        if !nested {
            return None;
        }
        let innermost = old.last().map_or(TDim::from(1), |axis| axis.stride.clone());
        let new = row_major(to)
            .into_iter()
            .map(|axis| Axis { stride: (axis.stride * innermost.clone()).reduce(), size: axis.size });
        let mut view = self.clone();
        view.axes.splice(at..at + from, new);
        Some(view)
    }

    /// The same elements in the same order over as few axes as can be told
    /// without knowing the sizes.
    pub(crate) fn collapsed(&self) -> Vec<Axis> {
        let mut axes: Vec<Axis> = Vec::with_capacity(self.rank());
        for axis in self.axes.iter().filter(|axis| !is_one(&axis.size)) {
            match axes.last_mut() {
                Some(last) if same(&last.stride, &(axis.stride.clone() * axis.size.clone())) => {
                    *last = Axis {
                        size: (last.size.clone() * axis.size.clone()).reduce(),
                        stride: axis.stride.clone(),
                    };
                }
                _ => axes.push(axis.clone()),
            }
        }
        axes
    }
}

/// Axes of these sizes that lie row by row without gaps.
pub(crate) fn row_major(shape: &[TDim]) -> Vec<Axis> {
    let mut stride = TDim::from(1);
    let mut axes: Vec<Axis> = shape
        .iter()
        .rev()
        .map(|size| {
            let axis = Axis { size: size.clone(), stride: stride.clone() };
            stride = (stride.clone() * size.clone()).reduce();
            axis
        })
        .collect();
    axes.reverse();
    axes
}

/// How many elements a shape has.
pub(crate) fn volume(shape: &[TDim]) -> TDim {
    shape.iter().cloned().fold(TDim::from(1), |volume, size| (volume * size).reduce())
}

/// Whether two sizes are known to be equal; `false` may mean that it is not
/// known.
pub(crate) fn same(one: &TDim, other: &TDim) -> bool {
    one == other || (one.clone() - other).simplify() == TDim::from(0)
}

pub(crate) fn is_one(size: &TDim) -> bool {
    size.as_i64() == Some(1)
}

pub(crate) fn is_zero(size: &TDim) -> bool {
    size.as_i64() == Some(0)
}

#[cfg(test)]
mod tests {
    use tract_core::internal::{SymbolScope, SymbolValues};

    use super::*;

    fn whole(shape: &[TDim]) -> View {
        View::whole(Root(0), Dtype::F32, shape)
    }

    fn strides(view: &View) -> Vec<String> {
        view.axes.iter().map(|axis| axis.stride.to_string()).collect()
    }

    #[test]
    fn heads_of_attention_are_views_until_they_are_joined_again() {
        let symbols = SymbolScope::default();
        let [n, s] = ["N", "S"].map(|name| TDim::from(symbols.sym(name)));
        let [heads, width] = [TDim::from(4), TDim::from(8)];
        let joined = whole(&[n.clone(), s.clone(), TDim::from(32)]);
        let mut split = joined.reshape(2, 1, &[heads.clone(), width]).unwrap();
        split.move_axis(2, 1);
        assert_eq!(split.shape()[1], heads);
        assert_eq!(&strides(&split)[1..], ["8", "32", "1"]);
        assert!(!split.is_row_major());
        split.move_axis(1, 2);
        let again = split.reshape(2, 2, &[TDim::from(32)]).unwrap();
        assert_eq!(again, joined);
        split.move_axis(2, 1);
        assert!(split.reshape(1, 2, &[s * 4]).is_none(), "this takes a copy");
    }

    #[test]
    fn a_repeated_row_collapses_to_two_axes() {
        let symbols = SymbolScope::default();
        let n = TDim::from(symbols.sym("N"));
        let mut bias = whole(&[TDim::from(1), TDim::from(16), TDim::from(1), TDim::from(1)]);
        let assumed = bias.broadcast(&[n.clone(), TDim::from(16), TDim::from(7), TDim::from(9)]);
        assert!(assumed.is_empty());
        let collapsed = bias.collapsed();
        let sizes: Vec<String> = collapsed.iter().map(|axis| axis.size.to_string()).collect();
        assert_eq!(sizes, ["N", "16", "63"]);
        assert_eq!(whole(&[n, TDim::from(3), TDim::from(5)]).collapsed().len(), 1);
    }

    #[test]
    fn a_size_that_may_be_one_is_repeated_only_then() {
        let symbols = SymbolScope::default();
        let [n, m] = ["N", "M"].map(|name| symbols.sym(name));
        let mut view = whole(&[TDim::from(n.clone()), TDim::from(3)]);
        let target = [TDim::from(m.clone()), TDim::from(3)];
        let assumed = view.broadcast(&target);
        assert_eq!(assumed, [(TDim::from(n.clone()), TDim::from(m.clone()))]);
        for (rows, stride) in [(1, 0), (5, 3)] {
            let values = SymbolValues::default().with(&n, rows).with(&m, 5);
            assert_eq!(view.axes[0].stride.eval_to_i64(&values).unwrap(), stride);
        }
    }

    #[test]
    fn cuts_begin_later_and_step_wider() {
        let mut view = whole(&[TDim::from(6), TDim::from(5)]);
        view.cut(1, TDim::from(4), -2, TDim::from(3));
        view.cut(0, TDim::from(1), 1, TDim::from(2));
        assert_eq!(view.offset, TDim::from(9));
        assert_eq!(strides(&view), ["5", "-2"]);
        assert!(!view.is_row_major() && !view.is_one_element());
    }
}
