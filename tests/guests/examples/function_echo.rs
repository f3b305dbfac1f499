//! Gives its input back; the tensor never enters the guest.

use samara_sdk::Tensor;

#[samara_sdk::function(outputs(y(datatype = FP32, shape = [-1])))]
fn echo(#[tensor(datatype = FP32, shape = [-1])] x: Tensor) -> Tensor {
    x
}
