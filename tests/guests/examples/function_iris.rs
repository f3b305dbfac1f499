//! The model `iris` with nothing added, as a guest that calls it.

use samara_sdk::{Error, Tensor};

#[samara_sdk::function(outputs(probabilities(datatype = FP32, shape = [-1, 3])))]
fn iris(#[tensor(datatype = FP32, shape = [-1, 4])] features: Tensor) -> Result<Tensor, Error> {
    samara_sdk::model("iris")?.run([("features", features)])?.take("probabilities")
}
