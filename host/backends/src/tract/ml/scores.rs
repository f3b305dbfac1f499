//! What becomes of scores, as ONNX Runtime does it: the specification names the
//! functions, and leaves open what is done where one score stands for two classes.

use crate::onnx::learned::Transform;

/// What a lone score becomes where there are two classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    /// Nothing: it stays alone.
    No,
    /// The first class gets what is left of 1.
    Rest,
    /// The first class gets the opposite.
    Opposite,
}

/// Transforms the scores of a row; a lone one is in the first place, with room
/// for a second where that is wanted.
pub(super) fn transform(scores: &mut [f32], count: usize, transform: Transform, second: Second) {
    if count > 1 {
        return transform_all(&mut scores[..count], transform);
    }
    let score = scores[0];
    match (transform, second) {
        (Transform::Probit, _) => scores[0] = probit(score),
        // A function is not applied to a score that stays alone.
        (_, Second::No) => {}
        (Transform::Logistic, _) => scores[..2].copy_from_slice(&[logistic(-score), logistic(score)]),
        (_, Second::Rest) => scores[..2].copy_from_slice(&[1.0 - score, score]),
        (_, Second::Opposite) => scores[..2].copy_from_slice(&[-score, score]),
    }
}

/// The place of the highest score, the first of equals.
pub(super) fn highest(scores: &[f32]) -> usize {
    let mut highest = 0;
    for (place, score) in scores.iter().enumerate() {
        if *score > scores[highest] {
            highest = place;
        }
    }
    highest
}

pub(super) fn logistic(score: f32) -> f32 {
    let high = 1.0 / (1.0 + (-score.abs()).exp());
    if score < 0.0 { 1.0 - high } else { high }
}

/// By an approximation of the inverse of the error function.
pub(super) fn probit(score: f32) -> f32 {
    const A: f32 = 0.147;
    let x = 2.0 * score - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let half = 2.0 / (std::f32::consts::PI * A) + 0.5 * log;
    let inverse = ((half * half - 1.0 / A * log).sqrt() - half).sqrt();
    std::f32::consts::SQRT_2 * if x < 0.0 { -inverse } else { inverse }
}

fn transform_all(scores: &mut [f32], transform: Transform) {
    match transform {
        Transform::None => {}
        Transform::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
        Transform::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        Transform::Softmax => {
            let highest = max(scores);
            scores.iter_mut().for_each(|score| *score = (*score - highest).exp());
            divide(scores);
        }
        Transform::SoftmaxZero => {
            // What is zero stays so: a class of which no leaf speaks.
            let highest = max(scores);
            for score in scores.iter_mut() {
                *score =
                    if score.abs() > 1e-7 { (*score - highest).exp() } else { *score * (-highest).exp() };
            }
            divide_by(scores, |score| score.abs() > 1e-7);
        }
    }
}

fn max(scores: &[f32]) -> f32 {
    scores.iter().copied().fold(f32::MIN, f32::max)
}

fn divide(scores: &mut [f32]) {
    divide_by(scores, |_| true);
}

fn divide_by(scores: &mut [f32], counts: impl Fn(f32) -> bool) {
    let sum: f32 = scores.iter().copied().filter(|&score| counts(score)).sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}
