//! Nodes that the GPU has no kernel for, left to the model's own operator on the
//! CPU where that is allowed.

use std::sync::Arc;

use tract_core::internal::{DatumType, OutletId, TypedNode, TypedOp};

use super::{Lowering, Wire};
use crate::derived::Given;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Launch, Origin, Root, Step};
use crate::schedule::Sizes;
use crate::shader::Variant;
use crate::view::View;

/// A node that is computed on the CPU in the middle of a run.
pub(crate) struct HostNode {
    pub op: Box<dyn TypedOp>,
    pub inputs: Vec<HostInput>,
    pub outputs: Vec<View>,
}

pub(crate) enum HostInput {
    /// Known, or following from sizes.
    Given(Given),
    /// Row by row in a buffer of the device, of this datatype to the operator.
    Tensor(View, DatumType),
}

impl Lowering<'_> {
    /// Leaves a node to the CPU, and gives what it computes.
    ///
    /// # Errors
    /// Why not even that is possible.
    pub(super) fn host(&mut self, node: &TypedNode) -> Result<Vec<View>, String> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            inputs.push(self.host_input(input, &node.name)?);
        }
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for slot in 0..node.outputs.len() {
            let (dtype, shape) = self.fact(OutletId::new(node.id, slot))?;
            let root = self.buffer(dtype, &shape, Origin::Step);
            outputs.push(View::whole(root, dtype, &shape));
        }
        if outputs.is_empty() {
            return Err("it gives nothing".to_owned());
        }
        let step = HostNode { op: node.op.clone(), inputs, outputs: outputs.clone() };
        self.push(Box::new(step), vec![node.name.clone()]);
        Ok(outputs)
    }

    fn host_input(&mut self, input: OutletId, node: &str) -> Result<HostInput, String> {
        let datum_type = self.model.outlet_fact(input).map_err(|error| error.to_string())?.datum_type;
        match self.wires.get(&input) {
            Some(Wire::Constant(tensor)) => Ok(HostInput::Given(Given::Known(Arc::clone(tensor)))),
            Some(Wire::Derived(derived)) => Ok(HostInput::Given(Given::Derived(Arc::clone(derived)))),
            Some(Wire::View(view)) => {
                let view = view.clone();
                Ok(HostInput::Tensor(self.row_major(view, node), datum_type))
            }
            None => Err(String::new()),
        }
    }
}

impl HostInput {
    /// The tensor of the device, with its datatype there.
    pub(crate) fn tensor(&self) -> Option<(&View, Dtype)> {
        match self {
            HostInput::Given(_) => None,
            HostInput::Tensor(view, _) => Some((view, view.dtype)),
        }
    }
}

impl Step for HostNode {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn reads(&self) -> Vec<Root> {
        self.inputs.iter().filter_map(HostInput::tensor).map(|(view, _)| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.outputs[0].root
    }

    fn also_writes(&self) -> Vec<Root> {
        self.outputs[1..].iter().map(|view| view.root).collect()
    }

    fn variants(&self) -> Vec<Variant> {
        Vec::new()
    }

    fn launches(&self, _: &[Variant], _: &Sizes) -> Result<Vec<Launch>> {
        Ok(Vec::new())
    }

    fn host(&self) -> Option<&HostNode> {
        Some(self)
    }
}
