//! The component that `samara compile --standalone` puts a model into: tensors in and
//! out through `samara:standalone/model`, JSON in and out as a command.

mod command;
mod embedded;
mod json;
mod loaded;
mod tensor;

use std::sync::OnceLock;

use bindings::exports::samara::standalone::model as contract;
use bindings::exports::wasi::cli::run;

use contract::{Error, ErrorKind, Signature, Tensor};
use embedded::Embedded;
use loaded::Loaded;

#[allow(unsafe_code, clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ world: "runner", path: "wit", generate_all });
}

struct Runner;

impl contract::Guest for Runner {
    fn describe() -> Signature {
        match embedded() {
            Ok(embedded) => embedded.signature.clone(),
            // The contract has no other way to say so.
            Err(reason) => panic!("{reason}"),
        }
    }

    fn infer(inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        loaded()?.infer(inputs)
    }
}

impl run::Guest for Runner {
    fn run() -> Result<(), ()> {
        command::run().map_err(|message| eprintln!("error: {message}"))
    }
}

bindings::export!(Runner with_types_in bindings);

/// What the component carries, read once.
fn embedded() -> Result<&'static Embedded, &'static str> {
    static EMBEDDED: OnceLock<Result<Embedded, String>> = OnceLock::new();
    EMBEDDED.get_or_init(Embedded::read).as_ref().map_err(String::as_str)
}

/// The model, loaded once.
fn loaded() -> Result<&'static Loaded, Error> {
    static LOADED: OnceLock<Result<Loaded, String>> = OnceLock::new();
    let load = || Loaded::load(embedded()?).map_err(|reason| format!("the model does not load: {reason}"));
    LOADED.get_or_init(load).as_ref().map_err(|reason| internal(reason.clone()))
}

fn internal(message: String) -> Error {
    Error { kind: ErrorKind::Internal, message }
}

fn invalid(message: String) -> Error {
    Error { kind: ErrorKind::InvalidInput, message }
}
