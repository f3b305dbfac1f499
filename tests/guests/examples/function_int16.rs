//! Datatypes that travel in the raw layout: negates INT16 where a BOOL says so.

use samara_sdk::{Error, Tensor};

#[samara_sdk::function(outputs(y(datatype = INT16, shape = [-1, 3]), negated))]
fn int16(
    #[tensor(datatype = INT16, shape = [-1, 3])] x: Tensor,
    negate: Vec<bool>,
) -> Result<(Tensor, Vec<bool>), Error> {
    if negate.len() != x.len() {
        return Err(Error::invalid_input("input `negate` has not one element for each of `x`"));
    }
    let elements = x.as_slice::<i16>()?.iter().zip(&negate);
    let elements = elements.map(|(&x, &negate)| if negate { x.wrapping_neg() } else { x }).collect();
    Ok((Tensor::from_vec(x.shape(), elements)?, negate))
}
