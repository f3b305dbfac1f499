//! Tensors one after the other: each is copied to its part of the whole.

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::array::TypedConcat;

use super::map::Map;
use super::{Lowered, Lowering};
use crate::error::Result;
use crate::program::{Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::Variant;
use crate::view::View;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<TypedConcat>()?;
    Some(concat(lowering, node, op.axis).map(|view| vec![view]))
}

fn concat(lowering: &mut Lowering<'_>, node: &TypedNode, axis: usize) -> Result<View, String> {
    let out = lowering.output(node)?;
    let mut offset = TDim::from(0);
    let mut parts = Vec::with_capacity(node.inputs.len());
    for &input in &node.inputs {
        let view = lowering.view(input)?;
        if view.dtype != out.dtype {
            return Err(format!("{:?} cannot go into {:?}", view.dtype, out.dtype));
        }
        let size = view.axes[axis].size.clone();
        let mut to = out.clone();
        to.cut(axis, offset.clone(), 1, size.clone());
        offset += size;
        parts.push(Map::copy_into(view, to));
    }
    lowering.push(Box::new(Concat { parts, out: out.root }), vec![node.name.clone()]);
    Ok(out)
}

struct Concat {
    parts: Vec<Map>,
    out: Root,
}

impl Step for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn reads(&self) -> Vec<Root> {
        self.parts.iter().flat_map(Step::reads).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        self.parts.iter().flat_map(Step::variants).collect()
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let mut launches = Vec::with_capacity(self.parts.len());
        for (index, part) in self.parts.iter().enumerate() {
            for launch in part.launches(&variants[index..=index], sizes)? {
                launches.push(Launch { variant: index, ..launch });
            }
        }
        Ok(launches)
    }
}
