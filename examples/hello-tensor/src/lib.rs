//! Scales a vector to length 1.

use samara_sdk::Error;

#[samara_sdk::function(outputs = ["unit", "length"])]
fn normalise(vector: Vec<f32>) -> Result<(Vec<f32>, f32), Error> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length == 0.0 {
        return Err(Error::invalid_input(
            "`vector` has length 0 and so no direction: give one that is not all zeros",
        ));
    }
    Ok((vector.iter().map(|x| x / length).collect(), length))
}

#[cfg(test)]
mod tests {
    use samara_sdk::ErrorKind;
    use samara_sdk::testing::call;

    use super::*;

    #[test]
    fn a_vector_is_scaled_to_length_1() {
        let mut outputs = call::<normalise>([("vector", vec![3.0_f32, 4.0])]).unwrap();
        assert_eq!(outputs.take::<Vec<f32>>("unit").unwrap(), [0.6, 0.8]);
        assert_eq!(outputs.take::<f32>("length").unwrap(), 5.0);
    }

    #[test]
    fn a_vector_without_direction_is_the_callers_mistake() {
        let error = call::<normalise>([("vector", vec![0.0_f32, 0.0])]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
