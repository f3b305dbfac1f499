//! Windows over images: what convolutions and pooling have in common.

use tract_core::internal::TDim;
use tract_core::ops::cnn::{PaddingSpec, PoolSpec};
use tract_core::ops::nn::DataFormat;

use crate::error::Result;
use crate::schedule::Sizes;
use crate::view::{Axis, View};

/// A window that moves over images, and what comes of it.
pub(super) struct Window {
    /// Images, channels, rows and columns of the input.
    pub input: View,
    /// The same of the output.
    output: [Axis; 4],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Before the first row and column.
    pads: [TDim; 2],
    /// Where the padded input ends, counted from the input's first row and
    /// column; `None` where windows never reach beyond.
    ends: Option<[TDim; 2]>,
}

impl Window {
    /// # Errors
    /// Why the GPU cannot move it.
    pub(super) fn new(spec: &PoolSpec, input: &View, output: &View) -> Result<Self, String> {
        let rank = spec.rank();
        if !(1..=2).contains(&rank) {
            return Err(format!("the GPU moves windows over one or two axes, not {rank}"));
        }
        let input = by_channels(input, spec.data_format, 2);
        let sizes: Vec<TDim> = input.axes[2..].iter().map(|axis| axis.size.clone()).collect();
        let computed = spec.computed_padding(&sizes[2 - rank..]);
        let ends = match &spec.padding {
            PaddingSpec::ExplicitOnnxPool(_, after, true) => {
                if sizes.iter().any(|size| size.as_i64().is_none()) {
                    return Err("it rounds up the size of an image that is not known".to_owned());
                }
                let ends = sizes[2 - rank..].iter().zip(after).map(|(size, &after)| size.clone() + after);
                Some(pair(ends.collect(), TDim::from(1)))
            }
            _ => None,
        };
        let output: Vec<Axis> = by_channels(output, spec.data_format, 2).axes;
        Ok(Self {
            output: output.try_into().map_err(|_| "its output is no image".to_owned())?,
            kernel: pair(spec.kernel_shape.to_vec(), 1),
            strides: pair(spec.strides().to_vec(), 1),
            dilations: pair(spec.dilations().to_vec(), 1),
            pads: pair(computed.into_iter().map(|axis| axis.pad_before).collect(), TDim::from(0)),
            ends,
            input,
        })
    }

    /// Height and width of the window.
    pub(super) fn kernel(&self) -> [usize; 2] {
        self.kernel
    }

    /// Elements of the window.
    pub(super) fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Images times rows times columns of the output.
    pub(super) fn places(&self, sizes: &Sizes) -> Result<u32> {
        let [images, _, rows, columns] = &self.output;
        sizes.size(&(images.size.clone() * rows.size.clone() * columns.size.clone()))
    }

    /// `images`, then heights and widths of input, output, kernel, strides,
    /// dilations and padding, then where the input and the output lie.
    pub(super) fn params(&self, sizes: &Sizes) -> Result<Vec<u32>> {
        let [images, _, rows, columns] = &self.output;
        let mut words = vec![sizes.size(&images.size)?];
        for size in [&self.input.axes[2].size, &self.input.axes[3].size, &rows.size, &columns.size] {
            words.push(sizes.size(size)?);
        }
        for &size in self.kernel.iter().chain(&self.strides).chain(&self.dilations) {
            words.push(u32::try_from(size).unwrap_or(u32::MAX));
        }
        for pad in &self.pads {
            words.push(u32::try_from(sizes.signed(pad)?.max(0)).unwrap_or(u32::MAX));
        }
        words.push(sizes.signed(&self.input.offset)? as u32);
        for axis in self.input.axes.iter().chain(&self.output) {
            words.push(sizes.signed(&axis.stride)? as u32);
        }
        Ok(words)
    }

    /// Height and width of the padded input, or what no window reaches.
    pub(super) fn ends(&self, sizes: &Sizes) -> Result<[u32; 2]> {
        match &self.ends {
            Some([height, width]) => Ok([sizes.size(height)?, sizes.size(width)?]),
            None => Ok([i32::MAX as u32; 2]),
        }
    }
}

/// The same tensor by images, channels and as many axes as `rank` says, the
/// first of which have size 1 where there are fewer.
pub(super) fn by_channels(view: &View, format: DataFormat, rank: usize) -> View {
    let mut view = view.clone();
    if !format.has_n() {
        view.insert_axis(0);
    }
    if format.c_is_last() {
        let last = view.rank() - 1;
        view.move_axis(last, 1);
    }
    while view.rank() < 2 + rank {
        view.insert_axis(2);
    }
    view
}

/// One or two values as height and width.
fn pair<T: Clone>(mut values: Vec<T>, height: T) -> [T; 2] {
    let width = values.pop().unwrap_or_else(|| height.clone());
    [values.pop().unwrap_or(height), width]
}
