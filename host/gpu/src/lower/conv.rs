//! Convolutions.

use tract_core::internal::{AxisOp, TDim, TypedNode};
use tract_core::ops::cnn::{Conv, PoolSpec};

use super::launch::{MOST_ROUNDS, THREADS, launch, params, spread};
use super::map::functions::uniform_bits;
use super::spatial::Window;
use super::tiles::{Extent, TILE, Tiled, partial_tail, split_sum};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::{Function, Tail};
use crate::view::View;

macro_rules! conv_params {
    ($($more:literal),*) => {
        &[
            "images", "in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w",
            "dilation_h", "dilation_w", "pad_h", "pad_w", "x_offset", "x_n", "x_c", "x_h", "x_w", "out_n",
            "out_c", "out_y", "out_x", "m", "k", "channels", "groups", "w_offset", "w_group", "w_out", $($more),*
        ]
    };
}

static CONV: Kernel = Kernel {
    name: "conv",
    body: include_str!("../kernels/conv.wgsl"),
    params: conv_params!("splits", "share"),
};

static DIRECT: Kernel =
    Kernel { name: "conv_direct", body: include_str!("../kernels/conv_direct.wgsl"), params: conv_params!() };

/// With no more output channels in a group, tiles would be mostly empty.
const FEW_CHANNELS: usize = 8;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<Conv>()?;
    Some(conv(lowering, node, op).map(|view| vec![view]))
}

fn conv(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Conv) -> Result<View, String> {
    if op.q_params.is_some() {
        return Err("quantised convolutions are not computed on the GPU".to_owned());
    }
    let (x, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    if !x.dtype.is_float() {
        return Err(format!("the GPU does not convolve {:?}", x.dtype));
    }
    let window = Window::new(&op.pool_spec, &x, &out)?;
    let weights = weights(lowering, node, op)?;
    let [groups, m, k] =
        [0, 1, 2].map(|axis| weights.axes[axis].size.as_i64().and_then(|size| size.try_into().ok()));
    let (Some(groups), Some(m), Some(k)) = (groups, m, k) else {
        return Err("the size of its kernel is not known".to_owned());
    };
    let tail = with_bias(lowering, node, &op.pool_spec, &out)?;
    let step = Convolution { window, weights, groups, m, k, tail, out: out.root };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(out)
}

/// The kernel by groups, output channels of a group, and all that one output
/// takes, which lies without gaps.
fn weights(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Conv) -> Result<View, String> {
    let view = lowering.view(node.inputs[1])?;
    let mut view = view;
    let shape = view.shape();
    for change in op.kernel_fmt.kernel_as_group_o_i_h_w_ops(&shape, op.group) {
        view = super::views::change(lowering, view, &change, &node.name)?;
    }
    let view = lowering.row_major(view, &node.name);
    let inner: Vec<TDim> = view.shape()[2..].to_vec();
    let joined =
        AxisOp::Reshape(2, inner.clone().into(), [crate::view::volume(&inner)].into_iter().collect());
    super::views::change(lowering, view, &joined, &node.name)
}

/// What follows the sum: the bias, the node's third input, where it is not 0.
pub(super) fn with_bias(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    spec: &PoolSpec,
    out: &View,
) -> Result<Tail, String> {
    let mut tail = Tail::of_kernel(out.dtype);
    let known = lowering.known(node.inputs[2]).and_then(|bias| uniform_bits(bias));
    let found = tail.last();
    let bias = match known {
        Some((_, [0, 0])) => return Ok(tail),
        Some((dtype, bits)) => tail.scalar(dtype, bits),
        None => {
            let mut bias = lowering.view(node.inputs[2])?;
            if bias.rank() == 1 && !spec.data_format.c_is_last() {
                (0..spec.rank()).for_each(|_| bias.insert_axis(1));
            }
            tail.input(lowering.broadcast(bias, &out.shape()))
        }
    };
    tail.call(out.dtype, Function::Add, &[found, bias]);
    Ok(tail)
}

struct Convolution {
    window: Window,
    /// `[groups, m, k]`.
    weights: View,
    groups: u32,
    /// Output channels of a group.
    m: u32,
    /// Elements of the kernel for one output channel.
    k: u32,
    tail: Tail,
    out: Root,
}

impl Convolution {
    fn is_direct(&self) -> bool {
        self.m as usize <= FEW_CHANNELS && self.rounds() <= MOST_ROUNDS
    }

    /// Rounds of loops for one element by one thread.
    fn rounds(&self) -> u64 {
        let [height, width] = self.window.kernel().map(|size| size as u64);
        u64::from(self.k) / (height * width).max(1) * (2 + height * (2 + width))
    }

    fn spec<'a>(
        &'a self,
        kernel: &'static Kernel,
        inputs: &'a [(&'static str, Dtype)],
        tail: &'a Tail,
    ) -> Spec<'a> {
        Spec { inputs, ..Spec::new(kernel, "f32", Some(tail)) }
    }

    fn tiled(&self, tail: &Tail, partial: bool) -> Variant {
        let inputs = self.inputs();
        let spec = self.spec(&CONV, &inputs, tail);
        Spec { declarations: vec![format!("const PARTIAL = {partial};")], ..spec }.render()
    }

    fn inputs(&self) -> [(&'static str, Dtype); 2] {
        [("w", self.weights.dtype), ("input", self.window.input.dtype)]
    }

    fn params(&self, sizes: &Sizes) -> Result<Vec<u32>> {
        let mut words = self.window.params(sizes)?;
        let channels = self.k / u32::try_from(self.window.area().max(1)).unwrap_or(u32::MAX);
        words.extend([self.m, self.k, channels, self.groups]);
        words.push(sizes.size(&self.weights.offset)?);
        for axis in &self.weights.axes[..2] {
            words.push(sizes.size(&axis.stride)?);
        }
        Ok(words)
    }
}

impl Step for Convolution {
    fn name(&self) -> &'static str {
        if self.is_direct() { "conv_direct" } else { "conv" }
    }

    fn reads(&self) -> Vec<Root> {
        [&self.weights, &self.window.input]
            .into_iter()
            .chain(self.tail.inputs())
            .map(|view| view.root)
            .collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        if self.is_direct() {
            return vec![self.spec(&DIRECT, &self.inputs(), &self.tail).render()];
        }
        vec![
            self.tiled(&self.tail, false),
            self.tiled(&partial_tail("f32"), true),
            split_sum("f32", &self.tail),
        ]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let extent =
            Extent { m: self.m, n: self.window.places(sizes)?, k: self.k, batches: self.groups, tile: TILE };
        let read = sizes.volume(&self.window.input)?;
        let bytes =
            u64::from(read) * 4 + extent.elements() * 4 + u64::from(self.groups * self.m * self.k) * 4;
        let kernel = self.params(sizes)?;
        if self.is_direct() {
            let params = params(&kernel, &variants[0], sizes)?;
            let count = u32::try_from(extent.elements()).unwrap_or(u32::MAX);
            let cost = Cost { flops: extent.flops(), bytes };
            let workgroups = spread(count.div_ceil(THREADS));
            return Ok(vec![launch(0, params, self.out, self.reads(), workgroups, cost)]);
        }
        let splits = extent.splits();
        let tiled = Tiled {
            extent,
            splits,
            params: kernel,
            operands: vec![self.weights.root, self.window.input.root],
            tail: &self.tail,
            out: self.out,
            bytes,
        };
        tiled.launches(usize::from(splits > 1), variants, sizes)
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }
}
