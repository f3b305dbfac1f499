//! Hands rows of 4096 numbers to the model `m` and gives back what comes.

use samara_sdk::{Error, Tensor};

#[samara_sdk::function(outputs(y(datatype = FP32, shape = [-1, 4096])))]
fn rows(#[tensor(datatype = FP32, shape = [-1, 4096])] x: Tensor) -> Result<Tensor, Error> {
    samara_sdk::model("m")?.run([("x", x)])?.take("y")
}
