//! Softmax, and division by the root of the mean square.

use std::any::Any;

use tract_core::internal::TypedNode;
use tract_core::ops::nn::{RmsNorm, Softmax, SoftmaxKind};

use super::Rows;
use crate::error::Result;
use crate::lower::launch::{launch, params, spread};
use crate::lower::{Lowered, Lowering};
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::Tail;
use crate::view::View;

static SOFTMAX: Kernel = Kernel {
    name: "softmax",
    body: include_str!("../../kernels/softmax.wgsl"),
    params: &["count", "length", "lowest"],
};

const TOGETHER: &str = include_str!("../../kernels/together.wgsl");
const TOGETHER_BY_SUBGROUPS: &str = include_str!("../../kernels/together_subgroups.wgsl");

static RMS_NORM: Kernel = Kernel {
    name: "rms_norm",
    body: include_str!("../../kernels/rms_norm.wgsl"),
    params: &["count", "length", "epsilon"],
};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let (way, axes) = if let Some(op) = node.op_as::<Softmax>() {
        if op.quant_output_dt.is_some() {
            return Some(Err("quantised softmax is not computed on the GPU".to_owned()));
        }
        (Way::Softmax { logarithm: op.kind == SoftmaxKind::LogSoftmax }, op.axes.to_vec())
    } else if let Some(op) = node.op_as::<RmsNorm>() {
        match op.eps.cast_to_scalar::<f32>() {
            Ok(epsilon) => (Way::RmsNorm { epsilon }, vec![op.axis]),
            Err(error) => return Some(Err(error.to_string())),
        }
    } else {
        return None;
    };
    Some(normalise(lowering, node, way, &axes).map(|view| vec![view]))
}

fn normalise(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    way: Way,
    axes: &[usize],
) -> Result<View, String> {
    let (view, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    if !view.dtype.is_float() {
        return Err(format!("the GPU does not normalise {:?}", view.dtype));
    }
    let (input, output) = (Rows::new(&view, axes), Rows::new(&out, axes));
    let step = Normalisation {
        input,
        output,
        way,
        has_subgroups: lowering.abilities.subgroups,
        tail: Tail::of_kernel(out.dtype),
        out: out.root,
    };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(out)
}

/// Whether a step is a softmax with nothing behind it.
pub(in crate::lower) fn is_plain_softmax(step: &dyn Step) -> bool {
    let step: &dyn Any = step;
    step.downcast_ref::<Normalisation>()
        .is_some_and(|step| step.way == Way::Softmax { logarithm: false } && step.tail.calls() == 0)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Softmax { logarithm: bool },
    RmsNorm { epsilon: f32 },
}

struct Normalisation {
    input: Rows,
    output: Rows,
    way: Way,
    /// Whether threads may find something together without memory.
    has_subgroups: bool,
    tail: Tail,
    out: Root,
}

impl Step for Normalisation {
    fn name(&self) -> &'static str {
        match self.way {
            Way::Softmax { .. } => "softmax",
            Way::RmsNorm { .. } => "rms_norm",
        }
    }

    fn reads(&self) -> Vec<Root> {
        std::iter::once(&self.input.begins).chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        let (places, words) = self.input.render("", Vec::new());
        let (out_places, words) = self.output.render("out_", words);
        let together = if self.has_subgroups { TOGETHER_BY_SUBGROUPS } else { TOGETHER };
        let mut declarations = vec![together.to_owned(), places, out_places];
        let kernel = match self.way {
            Way::Softmax { logarithm } => {
                declarations.push(format!("const LOGARITHM = {logarithm};"));
                &SOFTMAX
            }
            Way::RmsNorm { .. } => &RMS_NORM,
        };
        let spec = Spec {
            inputs: &[("input", self.input.begins.dtype)],
            declarations,
            words,
            ..Spec::new(kernel, "f32", Some(&self.tail))
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let (count, length) = self.input.extent(sizes)?;
        let number = match self.way {
            Way::Softmax { .. } => f32::NEG_INFINITY,
            Way::RmsNorm { epsilon } => epsilon,
        };
        let params = params(&[count, length, number.to_bits()], &variants[0], sizes)?;
        let elements = u64::from(count) * u64::from(length);
        let cost = Cost { flops: 4 * elements, bytes: 2 * elements * self.input.begins.dtype.size() };
        // Rows of no elements have nothing to write.
        let workgroups = spread(if length == 0 { 0 } else { count });
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
