//! The host as seen from inside a component.

use std::marker::PhantomData;

use bindings::exports::samara::function::function as contract;
pub use bindings::wasi::nn::errors::{Error as NnError, ErrorCode};
pub use bindings::wasi::nn::graph::{ExecutionTarget, Graph, GraphEncoding, load, load_by_name};
pub use bindings::wasi::nn::inference::GraphExecutionContext;
pub use bindings::wasi::nn::tensor::{Tensor as HostTensor, TensorType};

use crate::function::{Function, infer};
use crate::{Datatype, Error, ErrorKind, TensorSpec};

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "samara-function",
        generate_all,
        runtime_path: "samara_sdk::__private::wit_bindgen::rt",
        default_bindings_module: "samara_sdk::__private::bindings",
        pub_export_macro: true,
    });
}

/// Gives a [`Function`] the shape that the generated exports expect.
pub struct Component<F>(PhantomData<F>);

impl<F: Function> contract::Guest for Component<F> {
    fn describe() -> contract::Signature {
        let signature = F::describe();
        contract::Signature {
            inputs: signature.inputs.iter().map(spec).collect(),
            outputs: signature.outputs.iter().map(spec).collect(),
        }
    }

    fn infer(inputs: Vec<(String, HostTensor)>) -> Result<Vec<(String, HostTensor)>, contract::Error> {
        infer::<F>(inputs).map_err(error)
    }
}

fn spec(spec: &TensorSpec) -> contract::TensorSpec {
    contract::TensorSpec {
        name: spec.name.to_string(),
        datatype: datatype(spec.datatype),
        shape: spec.shape.to_vec(),
        media_type: spec.media_type.as_deref().map(str::to_owned),
    }
}

fn datatype(datatype: Datatype) -> contract::Datatype {
    match datatype {
        Datatype::Bool => contract::Datatype::Bool,
        Datatype::Uint8 => contract::Datatype::Uint8,
        Datatype::Uint16 => contract::Datatype::Uint16,
        Datatype::Uint32 => contract::Datatype::Uint32,
        Datatype::Uint64 => contract::Datatype::Uint64,
        Datatype::Int8 => contract::Datatype::Int8,
        Datatype::Int16 => contract::Datatype::Int16,
        Datatype::Int32 => contract::Datatype::Int32,
        Datatype::Int64 => contract::Datatype::Int64,
        Datatype::Fp16 => contract::Datatype::Fp16,
        Datatype::Bf16 => contract::Datatype::Bf16,
        Datatype::Fp32 => contract::Datatype::Fp32,
        Datatype::Fp64 => contract::Datatype::Fp64,
        Datatype::Bytes => contract::Datatype::Bytes,
    }
}

fn error(error: Error) -> contract::Error {
    let kind = match error.kind() {
        ErrorKind::InvalidInput => contract::ErrorKind::InvalidInput,
        ErrorKind::NotFound => contract::ErrorKind::NotFound,
        ErrorKind::Unsupported => contract::ErrorKind::Unsupported,
        ErrorKind::Timeout => contract::ErrorKind::Timeout,
        ErrorKind::TooLarge => contract::ErrorKind::TooLarge,
        ErrorKind::Internal => contract::ErrorKind::Internal,
    };
    contract::Error { kind, message: error.into_message() }
}
