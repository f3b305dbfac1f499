//! The stage behind the model: its five most probable classes.

use samara_sdk::{Error, Tensor};

const SHOWN: usize = 5;

#[samara_sdk::function(outputs(classes(shape = [5]), probabilities(shape = [5])))]
fn top5(#[tensor(datatype = FP32, shape = [1, 1000])] logits: Tensor) -> Result<(Vec<i64>, Vec<f32>), Error> {
    Ok(most_probable(logits.as_slice()?))
}

/// Returns the classes with the largest logits, the largest first, and the
/// softmax of the logits at them.
fn most_probable(logits: &[f32]) -> (Vec<i64>, Vec<f32>) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let share = |logit: f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(|&logit| share(logit)).sum();

    let mut ranked: Vec<(i64, f32)> = (0..).zip(logits.iter().copied()).collect();
    ranked.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    ranked.truncate(SHOWN);
    ranked.into_iter().map(|(class, logit)| (class, (share(logit) / sum) as f32)).unzip()
}

#[cfg(test)]
mod tests {
    use samara_sdk::testing::call;

    use super::*;

    #[test]
    fn the_largest_logits_come_first() {
        let mut logits = vec![-20.0_f32; 1000];
        for (class, logit) in [(7, 1.0), (999, 3.0), (0, 2.0), (500, -1.0), (501, 0.0), (502, -2.0)] {
            logits[class] = logit;
        }
        let logits = Tensor::from_vec([1, 1000], logits).unwrap();
        let mut outputs = call::<top5>([("logits", logits)]).unwrap();
        assert_eq!(outputs.take::<Vec<i64>>("classes").unwrap(), [999, 0, 7, 501, 500]);
        let probabilities = outputs.take::<Vec<f32>>("probabilities").unwrap();
        let sum: f64 = [3.0, 2.0, 1.0, 0.0, -1.0, -2.0].iter().map(|logit: &f64| (logit - 3.0).exp()).sum();
        for (found, expected) in probabilities.iter().zip([1.0, 0.367_879_44, 0.135_335_28]) {
            assert!((f64::from(*found) - expected / sum).abs() < 1e-5, "{found}");
        }
    }
}
