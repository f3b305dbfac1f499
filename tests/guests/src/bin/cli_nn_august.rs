//! Runs the model `m` on the numbers that its arguments give, through the
//! `wasi:nn` of August 2024, and says what mistakes are answered.

mod bindings {
    wit_bindgen::generate!({ path: "wit/nn-2024-08-19", world: "wasi:nn/user", generate_all });
}

use bindings::wasi::nn::errors::Error;
use bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding, load, load_by_name};
use bindings::wasi::nn::tensor::{Tensor, TensorType};

fn main() {
    if let Err(error) = run() {
        println!("{}", words(error));
        std::process::exit(1);
    }
}

fn run() -> Result<(), Error> {
    let x: Vec<f32> = std::env::args().skip(1).filter_map(|number| number.parse().ok()).collect();
    let tensor = || {
        let size = u32::try_from(x.len()).unwrap_or(u32::MAX);
        Tensor::new(&[size], TensorType::Fp32, &x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
    };
    refused(load_by_name("no such").map(drop));
    refused(load(&[b"no model".to_vec()], GraphEncoding::Onnx, ExecutionTarget::Cpu).map(drop));
    let context = load_by_name("m")?.init_execution_context()?;
    refused(context.compute());
    refused(context.get_output("y").map(drop));
    refused(context.set_input("z", tensor()));
    context.set_input("x", tensor())?;
    for _ in 0..2 {
        context.compute()?;
        let y = context.get_output("y")?;
        let values = y.data();
        let values =
            values.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        println!("{:?} {:?} {:?}", y.dimensions(), y.ty(), values.collect::<Vec<_>>());
    }
    refused(context.get_output("z").map(drop));
    Ok(())
}

fn refused(answer: Result<(), Error>) {
    match answer {
        Ok(()) => println!("accepted"),
        Err(error) => println!("{}", words(error)),
    }
}

fn words(error: Error) -> String {
    format!("{:?}: {}", error.code(), error.data())
}
