//! Loads the ONNX model that comes as an input and runs it once.

use samara_sdk::{Bytes, Encoding, Error, Model, Target, Tensor};

#[samara_sdk::function(outputs(y(datatype = FP32, shape = [-1])))]
fn model_bytes(onnx: Bytes, #[tensor(datatype = FP32, shape = [-1])] x: Tensor) -> Result<Tensor, Error> {
    Model::load(onnx.0, Encoding::Onnx, Target::Cpu)?.run([("x", x)])?.take("y")
}
