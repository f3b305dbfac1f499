//! The model in its engine, and one run of it.

use rten::{ModelOptions, NodeId, Value, ValueOrView};

use crate::contract::{Error, Signature, Tensor, TensorSpec};
use crate::embedded::Embedded;
use crate::tensor::{self, Shape};
use crate::{internal, invalid};

/// A model that is ready to run.
pub(crate) struct Loaded {
    model: rten::Model,
    signature: &'static Signature,
    /// In the order of the signature.
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
}

impl Loaded {
    pub(crate) fn load(embedded: &'static Embedded) -> Result<Self, String> {
        let mut options = ModelOptions::with_all_ops();
        options.external_data_static("weights.data", embedded.weights);
        let model = options.load_static_slice(embedded.file).map_err(|error| error.to_string())?;
        let node = |spec: &TensorSpec| {
            model.node_id(&spec.name).map_err(|_| format!("it has no value `{}`", spec.name))
        };
        let nodes = |specs: &[TensorSpec]| specs.iter().map(node).collect::<Result<Vec<_>, _>>();
        let signature = &embedded.signature;
        let (inputs, outputs) = (nodes(&signature.inputs)?, nodes(&signature.outputs)?);
        Ok(Self { model, signature, inputs, outputs })
    }

    /// Runs the model over inputs in any order; the outputs are in the signature's.
    pub(crate) fn infer(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        let values = self.arrange(inputs)?;
        let fed = self.inputs.iter().copied().zip(values.into_iter().map(ValueOrView::Value)).collect();
        let given = self
            .model
            .run(fed, &self.outputs, None)
            .map_err(|error| internal(format!("the model does not run on these inputs: {error}")))?;
        let specs = self.signature.outputs.iter();
        specs.zip(given).map(|(spec, value)| tensor::from_value(spec, value).map_err(internal)).collect()
    }

    /// Checks the inputs and puts them into the signature's order.
    fn arrange(&self, mut inputs: Vec<Tensor>) -> Result<Vec<Value>, Error> {
        let specs = &self.signature.inputs;
        let mut values = Vec::with_capacity(specs.len());
        for spec in specs {
            let Some(place) = inputs.iter().position(|input| input.name == spec.name) else {
                return Err(invalid(format!("the input {} is missing", tensor::describe(spec))));
            };
            let input = inputs.swap_remove(place);
            check(spec, &input)?;
            values.push(tensor::into_value(input).map_err(invalid)?);
        }
        match inputs.first() {
            None => Ok(values),
            Some(left) => {
                let known: Vec<String> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
                let known = known.join(", ");
                Err(invalid(format!("there is no further input `{}`; the inputs are {known}", left.name)))
            }
        }
    }
}

fn check(spec: &TensorSpec, input: &Tensor) -> Result<(), Error> {
    let fits = |(want, &size): (&i64, &u64)| *want == -1 || u64::try_from(*want) == Ok(size);
    let same_axes = spec.shape.len() == input.shape.len();
    if input.datatype == spec.datatype && same_axes && spec.shape.iter().zip(&input.shape).all(fits) {
        return Ok(());
    }
    let (datatype, shape) = (tensor::datatype_name(input.datatype), Shape(&input.shape));
    Err(invalid(format!("input {} is declared, not {datatype} {shape}", tensor::describe(spec))))
}
