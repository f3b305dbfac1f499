//! Slices of a tensor by their indices.

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::array::Gather;

use super::launch::{THREADS, launch, params, spread};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::{Tail, render_place};
use crate::view::{Axis, View, volume};

static GATHER: Kernel = Kernel {
    name: "gather",
    body: include_str!("../kernels/gather.wgsl"),
    params: &["step", "count", "inner", "indices", "size", "stride"],
};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<Gather>()?;
    Some(gather(lowering, node, op.axis).map(|view| vec![view]))
}

fn gather(lowering: &mut Lowering<'_>, node: &TypedNode, axis: usize) -> Result<View, String> {
    let (data, indices) = (lowering.view(node.inputs[0])?, lowering.view(node.inputs[1])?);
    let out = lowering.output(node)?;
    if data.dtype != out.dtype {
        return Err(format!("the GPU does not gather {:?} as {:?}", data.dtype, out.dtype));
    }
    if !matches!(indices.dtype, Dtype::I32 | Dtype::I64) {
        return Err(format!("the GPU takes no {:?} for indices", indices.dtype));
    }
    let part = |axes: &[Axis], offset: TDim| View { axes: axes.to_vec(), offset, ..data.clone() };
    let step = Gathering {
        outer: part(&data.axes[..axis], data.offset.clone()),
        inner: part(&data.axes[axis + 1..], TDim::from(0)),
        axis: data.axes[axis].clone(),
        indices,
        tail: Tail::of_kernel(out.dtype),
        out: out.root,
    };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(out)
}

struct Gathering {
    /// The axes before the one that is indexed, and where the data begin.
    outer: View,
    inner: View,
    axis: Axis,
    indices: View,
    tail: Tail,
    out: Root,
}

impl Step for Gathering {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn reads(&self) -> Vec<Root> {
        [&self.outer, &self.indices].into_iter().chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        let (outer, words) = render_place("outer_place", &self.outer, Vec::new());
        let (inner, words) = render_place("inner_place", &self.inner, words);
        let (index, words) = render_place("index_place", &self.indices, words);
        let alias = format!("alias Index = {};", self.indices.dtype.stored());
        let spec = Spec {
            inputs: &[("data", self.outer.dtype), ("indices", self.indices.dtype)],
            declarations: vec![alias, outer, inner, index],
            words,
            has_faults: true,
            ..Spec::new(&GATHER, self.outer.dtype.stored(), Some(&self.tail))
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let [outer, inner, indices] =
            [&self.outer, &self.inner, &self.indices].map(|view| sizes.size(&volume(&view.shape())));
        let (outer, inner, indices) = (outer?, inner?, indices?);
        let count = sizes.size(&TDim::from(i64::from(outer) * i64::from(inner) * i64::from(indices)))?;
        let (size, stride) = (sizes.size(&self.axis.size)?, sizes.signed(&self.axis.stride)? as u32);
        let params = params(&[0, count, inner, indices, size, stride], &variants[0], sizes)?;
        let cost = Cost { flops: 0, bytes: 2 * u64::from(count) * self.outer.dtype.size() };
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

    fn fault(&self) -> &'static str {
        "an index is outside of the axis that it counts"
    }
}
