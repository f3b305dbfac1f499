//! Runs the model `m` on one number through the `wasi:nn` of June 2024, whose
//! guests may make errors themselves.

mod bindings {
    wit_bindgen::generate!({ path: "wit/nn-2024-06-25", world: "wasi:nn/user", generate_all });
}

use bindings::wasi::nn::errors::{Error, ErrorCode};
use bindings::wasi::nn::graph::load_by_name;
use bindings::wasi::nn::tensor::{Tensor, TensorType};

fn main() {
    match run() {
        Ok(y) => println!("{y:?}"),
        Err(error) => println!("{:?}: {}", error.code(), error.data()),
    }
    let own = Error::new(ErrorCode::Security, "made by the guest");
    println!("{:?}: {}", own.code(), own.data());
}

fn run() -> Result<Vec<u8>, Error> {
    let context = load_by_name("m")?.init_execution_context()?;
    context.set_input("x", Tensor::new(&[1], TensorType::Fp32, &21f32.to_le_bytes()))?;
    context.compute()?;
    Ok(context.get_output("y")?.data())
}
