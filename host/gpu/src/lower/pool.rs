//! Pooling: the largest element or the mean of windows.

use tract_core::internal::TypedNode;
use tract_core::ops::cnn::{MaxPool, SumPool};

use super::launch::{THREADS, check_rounds, launch, params, spread};
use super::spatial::Window;
use super::{Lowered, Lowering};
use crate::error::Result;
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::Tail;
use crate::view::View;

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
        let window = Window::new(spec, &x, &out)?;
        let step = Pool { window, way, tail: Tail::of_kernel(out.dtype), out: out.root };
        lowering.push(Box::new(step), vec![node.name.clone()]);
        Ok(out)
    };
    Some(pool().map(|view| vec![view]))
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
