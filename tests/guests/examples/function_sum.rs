//! Two inputs, added element by element.

use samara_sdk::Error;

#[samara_sdk::function(output = "sum")]
fn sum(a: Vec<f32>, b: Vec<f32>) -> Result<Vec<f32>, Error> {
    if a.len() != b.len() {
        let (a, b) = (a.len(), b.len());
        return Err(Error::invalid_input(format!("`a` has {a} elements, `b` has {b}; give as many of both")));
    }
    Ok(a.iter().zip(&b).map(|(a, b)| a + b).collect())
}
