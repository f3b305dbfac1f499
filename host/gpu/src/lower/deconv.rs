//! Transposed convolutions.

use tract_core::internal::{AxisOp, TDim, TypedNode};
use tract_core::ops::cnn::Deconv;

use super::launch::{THREADS, check_rounds, launch, params, spread};
use super::spatial::by_channels;
use super::{Lowered, Lowering, conv, views};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::Tail;
use crate::view::{Axis, View, volume};

static DECONV: Kernel = Kernel {
    name: "deconv",
    body: include_str!("../kernels/deconv.wgsl"),
    params: &[
        "count",
        "groups",
        "m",
        "channels",
        "in_d",
        "in_h",
        "in_w",
        "out_d",
        "out_h",
        "out_w",
        "kernel_d",
        "kernel_h",
        "kernel_w",
        "stride_d",
        "stride_h",
        "stride_w",
        "dilation_d",
        "dilation_h",
        "dilation_w",
        "pad_d",
        "pad_h",
        "pad_w",
        "x_offset",
        "x_n",
        "x_c",
        "x_d",
        "x_h",
        "x_w",
        "out_n",
        "out_c",
        "out_z",
        "out_y",
        "out_x",
        "w_offset",
    ],
};

/// Axes that a kernel moves over, at most.
const MOST_AXES: usize = 3;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<Deconv>()?;
    Some(deconv(lowering, node, op).map(|view| vec![view]))
}

fn deconv(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Deconv) -> Result<View, String> {
    let (x, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    if !x.dtype.is_float() {
        return Err(format!("the GPU does not convolve {:?}", x.dtype));
    }
    let spec = &op.pool_spec;
    let rank = spec.rank();
    if !(1..=MOST_AXES).contains(&rank) {
        return Err(format!("the GPU moves kernels over one to three axes, not {rank}"));
    }
    let input = by_channels(&x, spec.data_format, MOST_AXES);
    let output = by_channels(&out, spec.data_format, MOST_AXES);
    let sizes: Vec<TDim> = input.axes[2 + MOST_AXES - rank..].iter().map(|axis| axis.size.clone()).collect();
    let padded = spec
        .padding
        .compute_for_deconv(&sizes, &spec.kernel_shape, &spec.dilations(), &spec.strides(), &op.adjustments)
        .map_err(|error| error.to_string())?;
    let tail = conv::with_bias(lowering, node, spec, &out)?;
    let step = Deconvolution {
        weights: weights(lowering, node, op)?,
        groups: op.group,
        kernel: wide(&spec.kernel_shape, 1),
        strides: wide(&spec.strides(), 1),
        dilations: wide(&spec.dilations(), 1),
        pads: wide(&padded.into_iter().map(|axis| axis.pad_before).collect::<Vec<TDim>>(), TDim::from(0)),
        input,
        output: output.axes,
        tail,
        out: out.root,
    };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(out)
}

/// The same for three axes, with `other` for those that are not there.
fn wide<T: Clone>(values: &[T], other: T) -> [T; MOST_AXES] {
    let missing = MOST_AXES - values.len();
    std::array::from_fn(|axis| axis.checked_sub(missing).map_or(other.clone(), |axis| values[axis].clone()))
}

/// The kernel by groups, output channels of a group, input channels of a group,
/// and places, row by row.
fn weights(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Deconv) -> Result<View, String> {
    let mut view = lowering.view(node.inputs[1])?;
    let shape = view.shape();
    for change in op.kernel_format.kernel_as_group_o_i_hw_ops(&shape, op.group) {
        view = views::change(lowering, view, &change, &node.name)?;
    }
    if view.rank() == 3 {
        view = views::change(lowering, view, &AxisOp::Add(3), &node.name)?;
    }
    Ok(lowering.row_major(view, &node.name))
}

struct Deconvolution {
    /// Images, channels and three axes.
    input: View,
    output: Vec<Axis>,
    weights: View,
    groups: usize,
    kernel: [usize; MOST_AXES],
    strides: [usize; MOST_AXES],
    dilations: [usize; MOST_AXES],
    /// What is cut off before the first element of the output.
    pads: [TDim; MOST_AXES],
    tail: Tail,
    out: Root,
}

impl Deconvolution {
    fn inputs(&self) -> [(&'static str, Dtype); 2] {
        [("w", self.weights.dtype), ("input", self.input.dtype)]
    }

    /// The parameters behind `count`.
    fn params(&self, sizes: &Sizes) -> Result<Vec<u32>> {
        let whole = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let mut words = vec![whole(self.groups)];
        for axis in &self.weights.axes[1..3] {
            words.push(sizes.size(&axis.size)?);
        }
        for axis in self.input.axes[2..].iter().chain(&self.output[2..]) {
            words.push(sizes.size(&axis.size)?);
        }
        for values in [&self.kernel, &self.strides, &self.dilations] {
            words.extend(values.iter().copied().map(whole));
        }
        for pad in &self.pads {
            words.push(sizes.size(pad)?);
        }
        words.push(sizes.size(&self.input.offset)?);
        for axis in self.input.axes.iter().chain(&self.output) {
            words.push(sizes.signed(&axis.stride)? as u32);
        }
        words.push(sizes.size(&self.weights.offset)?);
        Ok(words)
    }
}

impl Step for Deconvolution {
    fn name(&self) -> &'static str {
        "deconv"
    }

    fn reads(&self) -> Vec<Root> {
        [&self.weights, &self.input].into_iter().chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        vec![Spec { inputs: &self.inputs(), ..Spec::new(&DECONV, "f32", Some(&self.tail)) }.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let [depth, height, width] = self.kernel.map(|size| size as u64);
        let channels = u64::from(sizes.size(&self.weights.axes[2].size)?);
        check_rounds("a kernel", depth * (2 + height * (2 + width * (2 + channels))))?;
        let shape: Vec<TDim> = self.output.iter().map(|axis| axis.size.clone()).collect();
        let count = sizes.size(&volume(&shape))?;
        let kernel = [vec![count], self.params(sizes)?].concat();
        let params = params(&kernel, &variants[0], sizes)?;
        let weights = u64::from(sizes.volume(&self.weights)?);
        let read = u64::from(sizes.volume(&self.input)?);
        // Every element of the input meets the kernel of every output channel.
        let channels = u64::from(sizes.size(&self.input.axes[1].size)?).max(1);
        let cost =
            Cost { flops: 2 * read * weights / channels, bytes: 4 * (read + weights + u64::from(count)) };
        let workgroups = spread(count.div_ceil(THREADS));
        Ok(vec![launch(0, params, self.out, self.reads(), workgroups, cost)])
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }
}
