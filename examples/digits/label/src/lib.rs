//! The stage behind the model: the most probable digit of each row.

use samara_sdk::{Error, Tensor};

const DIGITS: usize = 10;

#[samara_sdk::function(outputs(digit, probabilities(datatype = FP32, shape = [-1, 10])))]
fn label(
    #[tensor(datatype = FP32, shape = [-1, 10])] probabilities: Tensor,
) -> Result<(Vec<i64>, Tensor), Error> {
    let rows = probabilities.as_slice::<f32>()?.chunks_exact(DIGITS);
    let digits = rows.map(most_probable).collect();
    Ok((digits, probabilities))
}

/// Returns the index of the largest value, the first of several.
fn most_probable(probabilities: &[f32]) -> i64 {
    let (mut digit, mut largest) = (0, f32::NEG_INFINITY);
    for (candidate, &probability) in (0..).zip(probabilities) {
        if probability > largest {
            (digit, largest) = (candidate, probability);
        }
    }
    digit
}

#[cfg(test)]
mod tests {
    use samara_sdk::testing::call;

    use super::*;

    fn labels(rows: usize, probabilities: &[f32]) -> Vec<i64> {
        let tensor = Tensor::from_vec([rows, DIGITS], probabilities.to_vec()).unwrap();
        let mut outputs = call::<label>([("probabilities", tensor)]).unwrap();
        let passed_on: Tensor = outputs.take("probabilities").unwrap();
        assert_eq!(passed_on.as_slice::<f32>().unwrap(), probabilities);
        outputs.take("digit").unwrap()
    }

    #[test]
    fn each_row_gets_its_digit() {
        let mut rows = [0.05; 30];
        rows[3] = 0.5;
        rows[19] = 0.5;
        (rows[22], rows[24]) = (0.3, 0.3);
        assert_eq!(labels(3, &rows), [3, 9, 2]);
        assert_eq!(labels(0, &[]), [0; 0]);
    }
}
