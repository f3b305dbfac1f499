//! Pooling: the largest element or the mean of windows.

use std::ops::Range;

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::cnn::{MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::nn::DataFormat;

use super::launch::{THREADS, check_rounds, launch, params, spread};
use super::spatial::Window;
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Origin, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::Tail;
use crate::view::{View, row_major};

static POOL: Kernel = Kernel {
    name: "pool",
    body: include_str!("../kernels/pool.wgsl"),
    params: &[
        "images",
        "in_h",
        "in_w",
        "out_h",
        "out_w",
        "kernel_h",
        "kernel_w",
        "stride_h",
        "stride_w",
        "dilation_h",
        "dilation_w",
        "pad_h",
        "pad_w",
        "x_offset",
        "x_n",
        "x_c",
        "x_h",
        "x_w",
        "out_n",
        "out_c",
        "out_y",
        "out_x",
        "channels",
        "padded_h",
        "padded_w",
    ],
};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let (spec, way) = if let Some(op) = node.op_as::<MaxPool>() {
        if op.with_index_outputs.is_some() {
            return Some(Err("the GPU does not tell where the largest element was".to_owned()));
        }
        (&op.pool_spec, Way::Largest)
    } else if let Some(op) = node.op_as::<SumPool>() {
        let way = match (op.normalize, op.count_include_pad) {
            (false, _) => Way::Sum,
            (true, false) => Way::Mean,
            (true, true) => Way::PaddedMean,
        };
        (&op.pool_spec, way)
    } else {
        return None;
    };
    let mut pool = || -> Result<View, String> {
        let (x, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
        if !x.dtype.is_float() {
            return Err(format!("the GPU does not pool {:?}", x.dtype));
        }
        if spec.rank() == 3 {
            over_three_axes(lowering, node, spec, way, [&x, &out])?;
        } else {
            push(lowering, node, spec, way, [&x, &out])?;
        }
        Ok(out)
    };
    Some(pool().map(|view| vec![view]))
}

fn push(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    spec: &PoolSpec,
    way: Way,
    [x, out]: [&View; 2],
) -> Result<(), String> {
    let window = Window::new(spec, x, out)?;
    let step = Pool { window, way, tail: Tail::of_kernel(out.dtype), out: out.root };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(())
}

/// Planes first, each as if it were a channel, then along what they lie behind
/// each other: windows are boxes, so that the extreme, the sum and the mean of
/// all is that of the planes'.
fn over_three_axes(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    spec: &PoolSpec,
    way: Way,
    [x, out]: [&View; 2],
) -> Result<(), String> {
    if spec.data_format != DataFormat::NCHW {
        return Err("the GPU pools over three axes only where channels come first".to_owned());
    }
    let x = lowering.row_major(x.clone(), &node.name);
    let (from, to) = (x.shape(), out.shape());
    let [n, c, d, h, w] = &from[..] else { return Err("its input is no volume".to_owned()) };
    let planes = (c.clone() * d.clone()).reduce();
    let flat = [n.clone(), planes.clone(), to[3].clone(), to[4].clone()];
    // What lies between keeps all its bits.
    let between = lowering.buffer(Dtype::F32, &flat, Origin::Step);
    let whole = |view: &View, shape: &[TDim]| View { axes: row_major(shape), ..view.clone() };
    let seen = whole(&x, &[n.clone(), planes, h.clone(), w.clone()]);
    push(lowering, node, &part(spec, 1..3), way, [&seen, &View::whole(between, Dtype::F32, &flat)])?;
    let area = (to[3].clone() * to[4].clone()).reduce();
    let behind = View::whole(between, Dtype::F32, &[n.clone(), c.clone(), d.clone(), area.clone()]);
    let along = whole(out, &[n.clone(), to[1].clone(), to[2].clone(), area]);
    let mut deep = part(spec, 0..1);
    // Beside it lies what the planes gave, each by itself.
    deep.kernel_shape.push(1);
    deep.strides = Some(deep.strides().iter().copied().chain([1]).collect());
    deep.dilations = Some(deep.dilations().iter().copied().chain([1]).collect());
    match &mut deep.padding {
        PaddingSpec::Explicit(before, after) | PaddingSpec::ExplicitOnnxPool(before, after, _) => {
            before.push(0);
            after.push(0);
        }
        _ => {}
    }
    push(lowering, node, &deep, way, [&behind, &along])
}

/// The same for some of the axes. Strides and dilations are written out.
fn part(spec: &PoolSpec, axes: Range<usize>) -> PoolSpec {
    let of = |values: &[usize]| values[axes.clone()].iter().copied().collect();
    let padding = match &spec.padding {
        PaddingSpec::Explicit(before, after) => PaddingSpec::Explicit(of(before), of(after)),
        PaddingSpec::ExplicitOnnxPool(before, after, up) => {
            PaddingSpec::ExplicitOnnxPool(of(before), of(after), *up)
        }
        other => other.clone(),
    };
    PoolSpec {
        kernel_shape: of(&spec.kernel_shape),
        strides: Some(of(&spec.strides())),
        dilations: Some(of(&spec.dilations())),
        padding,
        ..spec.clone()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Largest,
    Sum,
    /// Of what lies in the input.
    Mean,
    /// Of what lies in the padded input.
    PaddedMean,
}

struct Pool {
    window: Window,
    way: Way,
    tail: Tail,
    out: Root,
}

impl Step for Pool {
    fn name(&self) -> &'static str {
        if self.way == Way::Largest { "max_pool" } else { "sum_pool" }
    }

    fn reads(&self) -> Vec<Root> {
        std::iter::once(&self.window.input).chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        let (start, join) = match self.way {
            Way::Largest => ("-3.40282347e38", "select(a, b, a < b)"),
            _ => ("0.0", "a + b"),
        };
        let settled = match self.way {
            Way::Largest | Way::Sum => "found",
            Way::Mean => "found * (1.0 / f32(inside))",
            Way::PaddedMean => "found * (1.0 / f32(padded))",
        };
        let spec = Spec {
            inputs: &[("input", self.window.input.dtype)],
            declarations: vec![
                format!("fn start() -> Found {{ return {start}; }}"),
                format!("fn join(a: Found, b: Found) -> Found {{ return {join}; }}"),
                format!("fn settle(found: Found, inside: u32, padded: u32) -> Found {{ return {settled}; }}"),
            ],
            ..Spec::new(&POOL, "f32", Some(&self.tail))
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let [height, width] = self.window.kernel().map(|size| size as u64);
        check_rounds("a window", height * (2 + width))?;
        let channels = sizes.size(&self.window.input.axes[1].size)?;
        let mut kernel = self.window.params(sizes)?;
        kernel.push(channels);
        kernel.extend(self.window.ends(sizes)?);
        let count = u64::from(self.window.places(sizes)?) * u64::from(channels);
        let params = params(&kernel, &variants[0], sizes)?;
        let read = u64::from(sizes.volume(&self.window.input)?);
        let cost = Cost { flops: count * self.window.area() as u64, bytes: (read + count) * 4 };
        let workgroups = spread(u32::try_from(count).unwrap_or(u32::MAX).div_ceil(THREADS));
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
