//! Sums of all that comes before along an axis.

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::array::CumSum;

use super::launch::{THREADS, launch, params, spread};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::render_place;
use crate::view::{Axis, View, row_major, volume};

static RUNNING_SUM: Kernel = Kernel {
    name: "running_sum",
    body: include_str!("../kernels/running_sum.wgsl"),
    params: &["count", "length", "stride", "out_stride", "first", "last"],
};

/// The most elements that a thread adds up in one launch.
const ROUNDS: u32 = 1 << 14;
/// What the device could do while it waits for one row.
const ROWS_AT_ONCE: u64 = 4096;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<CumSum>()?;
    Some(running_sum(lowering, node, op).map(|view| vec![view]))
}

fn running_sum(lowering: &mut Lowering<'_>, node: &TypedNode, op: &CumSum) -> Result<View, String> {
    let (input, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    if input.dtype == Dtype::Bool || input.dtype != out.dtype {
        return Err(format!("the GPU does not add up {:?} so", input.dtype));
    }
    let natural = row_major(&out.shape());
    let without = |axes: &[Axis], offset: &TDim| View {
        axes: axes
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != op.axis)
            .map(|(_, axis)| axis.clone())
            .collect(),
        offset: offset.clone(),
        ..input.clone()
    };
    let step = RunningSum {
        rows: without(&input.axes, &input.offset),
        along: input.axes[op.axis].clone(),
        out_rows: without(&natural, &TDim::from(0)),
        out_stride: natural[op.axis].stride.clone(),
        is_exclusive: op.exclusive,
        is_reverse: op.reverse,
        out: out.root,
    };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(out)
}

struct RunningSum {
    rows: View,
    along: Axis,
    out_rows: View,
    out_stride: TDim,
    is_exclusive: bool,
    is_reverse: bool,
    out: Root,
}

impl Step for RunningSum {
    fn name(&self) -> &'static str {
        "running_sum"
    }

    fn reads(&self) -> Vec<Root> {
        vec![self.rows.root]
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        let dtype = self.rows.dtype;
        let (row, words) = render_place("row_place", &self.rows, Vec::new());
        let (out_row, words) = render_place("out_place", &self.out_rows, words);
        let add =
            format!("fn add(a: Found, b: Found) -> Found {{ return {}; }}", dtype.wrap("a + b".to_owned()));
        let ways =
            format!("const IS_EXCLUSIVE = {};\nconst IS_REVERSE = {};", self.is_exclusive, self.is_reverse);
        let spec = Spec {
            inputs: &[("input", dtype)],
            declarations: vec![row, out_row, add, ways],
            words,
            ..Spec::new(&RUNNING_SUM, dtype.stored(), None)
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let (count, length) = (sizes.size(&volume(&self.rows.shape()))?, sizes.size(&self.along.size)?);
        let strides = [&self.along.stride, &self.out_stride].map(|stride| sizes.signed(stride));
        let [stride, out_stride] = strides;
        let (stride, out_stride) = (stride? as u32, out_stride? as u32);
        let part = |first: u32| {
            let last = length.min(first.saturating_add(ROUNDS));
            let words = [count, length, stride, out_stride, first, last];
            let params = params(&words, &variants[0], sizes)?;
            let rounds = u64::from(last - first);
            let cost = Cost {
                flops: rounds * u64::from(count).max(ROWS_AT_ONCE),
                bytes: 2 * rounds * u64::from(count) * self.rows.dtype.size(),
            };
            Ok(launch(0, params, self.out, self.reads(), spread(count.div_ceil(THREADS)), cost))
        };
        (0..length).step_by(ROUNDS as usize).map(part).collect()
    }
}
