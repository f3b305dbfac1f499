//! Makes a tensor of as many mebibytes as it is told.

use samara_sdk::{Error, Tensor};

#[samara_sdk::function(outputs(y(datatype = UINT8, shape = [-1])))]
fn huge_output(mebibytes: i64) -> Result<Tensor, Error> {
    let bytes = usize::try_from(mebibytes)?.saturating_mul(1 << 20);
    Tensor::new(samara_sdk::Datatype::Uint8, [bytes], vec![0; bytes])
}
