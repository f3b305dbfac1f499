//! Runs the model `m`, its input and output handed through untouched.

use samara_sdk::{Error, Tensor};

#[samara_sdk::function(outputs(y(datatype = FP32, shape = [-1])))]
fn model(#[tensor(datatype = FP32, shape = [-1])] x: Tensor) -> Result<Tensor, Error> {
    samara_sdk::model("m")?.run([("x", x)])?.take("y")
}
