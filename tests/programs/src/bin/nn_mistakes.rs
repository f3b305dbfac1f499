//! Uses the models `double`, `y = 2 x`, and `sum`, `c = a + b`, as one should
//! not, and prints what each mistake is answered; between them, what is right.

use std::fmt::Debug;

use wasi_nn::{ExecutionTarget, GraphBuilder, GraphEncoding, TensorType};

fn main() -> Result<(), wasi_nn::Error> {
    let builder = |encoding| GraphBuilder::new(encoding, ExecutionTarget::CPU);
    let onnx = || builder(GraphEncoding::Onnx);
    refused("no such name", onnx().build_from_cache("treble"));
    refused("no model", onnx().build_from_bytes([b"no model at all"]));
    refused("two buffers", onnx().build_from_bytes([b"one", b"two"]));
    refused("another format", builder(GraphEncoding::Openvino).build_from_bytes([b"<net/>"]));
    refused("another device", onnx().tpu().build_from_bytes([b"any"]));

    let double = onnx().build_from_cache("double")?;
    let sum = builder(GraphEncoding::Autodetec).build_from_cache("sum")?;
    let mut context = double.init_execution_context()?;
    let mut buffer = [0f32; 3];
    refused("nothing is set", context.compute());
    refused("nothing has run", context.get_output(0, &mut buffer));
    refused("another type", context.set_input(0, TensorType::F64, &[1], [1f64]));
    refused("another rank", context.set_input(0, TensorType::F32, &[1, 1], [1f32]));
    refused("another size", context.set_input(0, TensorType::F32, &[2], [1f32]));
    refused("no such input", context.set_input(1, TensorType::F32, &[1], [1f32]));

    context.set_input(0, TensorType::F32, &[3], [1f32, 2.0, 3.0])?;
    context.compute()?;
    refused("a small buffer", context.get_output(0, &mut buffer[..2]));
    refused("no such output", context.get_output(1, &mut buffer));
    println!("{} {buffer:?}", context.get_output(0, &mut buffer)?);

    // A second context of the same graph, and one of another, beside it.
    let mut second = double.init_execution_context()?;
    let mut added = sum.init_execution_context()?;
    second.set_input(0, TensorType::F32, &[1], [10f32])?;
    added.set_input(0, TensorType::F32, &[1], [1f32])?;
    refused("half is set", added.compute());
    added.set_input(1, TensorType::F32, &[1], [41f32])?;
    second.compute()?;
    added.compute()?;
    context.compute()?;
    for context in [&second, &added, &context] {
        let length = context.get_output(0, &mut buffer)?;
        println!("{:?}", &buffer[..length / 4]);
    }
    Ok(())
}

fn refused<T: Debug>(what: &str, answer: Result<T, wasi_nn::Error>) {
    match answer {
        Ok(answer) => println!("{what}: accepted as {answer:?}"),
        Err(error) => println!("{what}: {error}"),
    }
}
