//! A component that takes tensors, in either form: with the tensors of `wasi:nn`, or
//! with plain ones where its model is inside.

use samara_nn::{Datatype, NamedTensor, Tensor};
use wasmtime::component::{Component, InstancePre, Resource};
use wasmtime::{Engine, Store};

use crate::instance::InstanceState;
use crate::kind::STANDALONE_EXPORT;
use crate::wasi::nn::{self, GuestTensor, SamaraFunction, SamaraFunctionPre, contract};

use generated::exports::samara::standalone::model as plain;
use generated::{Standalone, StandalonePre};

mod generated {
    wasmtime::component::bindgen!({
        path: "../../guest-sdk/standalone/wit",
        world: "standalone",
        exports: { default: async },
    });
}

/// What an instance is made of.
pub(crate) enum ExportedPre {
    Function(SamaraFunctionPre<InstanceState>),
    Standalone(StandalonePre<InstanceState>),
}

/// What an instance exports.
pub(crate) enum Exported {
    Function(SamaraFunction),
    Standalone(Standalone),
}

/// An output as the component gave it.
pub(crate) enum Given {
    Handle(Resource<GuestTensor>),
    Plain(plain::Tensor),
}

/// What a component answers: outputs, or that it refuses.
type Answer = Result<Vec<(String, Given)>, contract::Error>;

impl ExportedPre {
    /// Looks for the functions of either form.
    ///
    /// # Errors
    /// When they are not as their contract says.
    pub(crate) fn new(
        engine: &Engine,
        component: &Component,
        pre: InstancePre<InstanceState>,
    ) -> wasmtime::Result<Self> {
        let component = component.component_type();
        if component.exports(engine).any(|(name, _)| name.starts_with(STANDALONE_EXPORT)) {
            return StandalonePre::new(pre).map(Self::Standalone);
        }
        SamaraFunctionPre::new(pre).map(Self::Function)
    }

    pub(crate) async fn instantiate_async(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Exported> {
        match self {
            Self::Function(pre) => pre.instantiate_async(store).await.map(Exported::Function),
            Self::Standalone(pre) => pre.instantiate_async(store).await.map(Exported::Standalone),
        }
    }
}

impl Exported {
    pub(crate) async fn describe(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<contract::Signature> {
        match self {
            Self::Function(function) => function.samara_function_function().call_describe(store).await,
            Self::Standalone(component) => {
                let described = component.samara_standalone_model().call_describe(store).await?;
                Ok(contract::Signature { inputs: specs(described.inputs), outputs: specs(described.outputs) })
            }
        }
    }

    pub(crate) async fn infer(
        &self,
        store: &mut Store<InstanceState>,
        inputs: Vec<NamedTensor>,
    ) -> wasmtime::Result<Answer> {
        match self {
            Self::Function(function) => {
                let inputs = nn::lower(&mut store.data_mut().table, inputs)?;
                let answer = function.samara_function_function().call_infer(store, &inputs).await?;
                let handle = |(name, tensor)| (name, Given::Handle(tensor));
                Ok(answer.map(|outputs| outputs.into_iter().map(handle).collect()))
            }
            Self::Standalone(component) => {
                let inputs: Vec<plain::Tensor> = inputs.into_iter().map(write).collect();
                let answer = component.samara_standalone_model().call_infer(store, &inputs).await?;
                let given = |tensor: plain::Tensor| (tensor.name.clone(), Given::Plain(tensor));
                Ok(answer.map(|outputs| outputs.into_iter().map(given).collect()).map_err(refusal))
            }
        }
    }
}

impl Given {
    /// Takes the tensor over.
    ///
    /// # Errors
    /// When the guest held no such tensor.
    pub(crate) fn take(self, state: &mut InstanceState) -> wasmtime::Result<GuestTensor> {
        match self {
            Self::Handle(handle) => state.take_tensor(handle),
            Self::Plain(tensor) => {
                let (_, _, datatype) = DATATYPES[tensor.datatype as usize];
                let shape =
                    tensor.shape.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>()?;
                Ok(GuestTensor::from_host(Tensor::new(datatype, shape, tensor.data)?))
            }
        }
    }
}

/// The datatypes of both contracts, in the order in which both have them.
const DATATYPES: [(plain::Datatype, contract::Datatype, Datatype); 14] = [
    (plain::Datatype::Bool, contract::Datatype::Bool, Datatype::Bool),
    (plain::Datatype::Uint8, contract::Datatype::Uint8, Datatype::Uint8),
    (plain::Datatype::Uint16, contract::Datatype::Uint16, Datatype::Uint16),
    (plain::Datatype::Uint32, contract::Datatype::Uint32, Datatype::Uint32),
    (plain::Datatype::Uint64, contract::Datatype::Uint64, Datatype::Uint64),
    (plain::Datatype::Int8, contract::Datatype::Int8, Datatype::Int8),
    (plain::Datatype::Int16, contract::Datatype::Int16, Datatype::Int16),
    (plain::Datatype::Int32, contract::Datatype::Int32, Datatype::Int32),
    (plain::Datatype::Int64, contract::Datatype::Int64, Datatype::Int64),
    (plain::Datatype::Fp16, contract::Datatype::Fp16, Datatype::Fp16),
    (plain::Datatype::Bf16, contract::Datatype::Bf16, Datatype::Bf16),
    (plain::Datatype::Fp32, contract::Datatype::Fp32, Datatype::Fp32),
    (plain::Datatype::Fp64, contract::Datatype::Fp64, Datatype::Fp64),
    (plain::Datatype::Bytes, contract::Datatype::Bytes, Datatype::Bytes),
];

fn specs(described: Vec<plain::TensorSpec>) -> Vec<contract::TensorSpec> {
    let spec = |spec: plain::TensorSpec| contract::TensorSpec {
        name: spec.name,
        datatype: DATATYPES[spec.datatype as usize].1,
        shape: spec.shape,
        media_type: None,
    };
    described.into_iter().map(spec).collect()
}

fn write((name, tensor): NamedTensor) -> plain::Tensor {
    let place = DATATYPES.iter().position(|(.., known)| *known == tensor.datatype()).unwrap_or_default();
    plain::Tensor {
        name,
        datatype: DATATYPES[place].0,
        shape: tensor.shape().iter().map(|&size| size as u64).collect(),
        data: tensor.data().to_vec(),
    }
}

fn refusal(error: plain::Error) -> contract::Error {
    let kind = match error.kind {
        plain::ErrorKind::InvalidInput => contract::ErrorKind::InvalidInput,
        plain::ErrorKind::Unsupported => contract::ErrorKind::Unsupported,
        plain::ErrorKind::Internal => contract::ErrorKind::Internal,
    };
    contract::Error { kind, message: error.message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datatypes_stand_in_the_order_of_their_contracts() {
        for (place, (plain, contract, datatype)) in DATATYPES.into_iter().enumerate() {
            assert_eq!((plain as usize, contract as usize), (place, place));
            assert_eq!(Datatype::ALL[place], datatype);
        }
    }
}
