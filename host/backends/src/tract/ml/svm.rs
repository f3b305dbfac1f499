//! Support vector machines.

use tract_onnx::prelude::{TVec, TractResult, tvec};
use tract_onnx::tract_hir::internal::Tensor;

use super::encoders::labels;
use super::matrix::{Matrix, check_width, distance, dot};
use super::scores::{Second, highest, logistic, transform};
use crate::onnx::learned::{Kernel, Labels, Machine, Svc, SvmClassifier, SvmRegressor, Transform};

/// How many scores a row gets: one for each class or, without probabilities, for
/// each pair of more than two.
pub(super) fn score_count(svm: &SvmClassifier) -> usize {
    let classes = svm.labels.len();
    match &svm.svc {
        Some(svc) if svc.probabilities.is_empty() && classes > 2 => classes * (classes - 1) / 2,
        _ => classes,
    }
}

pub(super) fn classify(svm: &SvmClassifier, input: &Tensor) -> TractResult<TVec<Tensor>> {
    let matrix = Matrix::<f32>::of(input)?;
    check_width(matrix.width, svm.machine.width)?;
    let count = score_count(svm);
    let mut scores = vec![0.0f32; matrix.rows * count];
    let mut chosen = Vec::with_capacity(matrix.rows);
    let mut room = Room::default();
    for (row, scores) in matrix.values()?.chunks_exact(matrix.width).zip(scores.chunks_exact_mut(count)) {
        chosen.push(match &svm.svc {
            Some(svc) => decide(svm, svc, row, scores, &mut room),
            None => decide_linear(svm, row, scores),
        });
    }
    let labels = labels(&svm.labels, &chosen)?;
    Ok(tvec![labels, Tensor::from_shape(&[matrix.rows, count], &scores)?])
}

pub(super) fn regress(svm: &SvmRegressor, input: &Tensor) -> TractResult<Tensor> {
    let matrix = Matrix::<f32>::of(input)?;
    let machine = &svm.machine;
    check_width(matrix.width, machine.width)?;
    let mut alike = Vec::new();
    let mut made = Vec::with_capacity(matrix.rows);
    for row in matrix.values()?.chunks_exact(matrix.width) {
        let sum = if machine.vectors.is_empty() {
            dot(row, &machine.coefficients)
        } else {
            compare(machine, row, &mut alike);
            dot(&alike, &machine.coefficients)
        } + machine.rho[0];
        made.push(match svm.one_class {
            true if sum > 0.0 => 1.0,
            true => -1.0,
            false => sum,
        });
    }
    Tensor::from_shape(&[matrix.rows, 1], &made)
}

/// What one row after the other uses.
#[derive(Default)]
struct Room {
    alike: Vec<f32>,
    votes: Vec<u32>,
    decisions: Vec<f32>,
    chances: Vec<f32>,
}

/// The class for which most pairs vote, and the scores.
fn decide(svm: &SvmClassifier, svc: &Svc, row: &[f32], scores: &mut [f32], room: &mut Room) -> usize {
    compare(&svm.machine, row, &mut room.alike);
    vote(&svm.machine, svc, room);
    let winner = first_highest(&room.votes);
    if !svc.probabilities.is_empty() {
        let classes = svc.counts.len();
        couple(svc, classes, room, scores);
        transform(scores, classes, svm.transform, Second::No);
        return winner;
    }
    scores[..room.decisions.len()].copy_from_slice(&room.decisions);
    let second = if svm.transform == Transform::None { Second::Opposite } else { Second::Rest };
    let second = if room.decisions.len() == 1 { second } else { Second::No };
    transform(scores, room.decisions.len(), svm.transform, second);
    winner
}

/// The class with the highest sum. Of two, as in ONNX Runtime, the second is taken
/// whenever the higher one says yes at all.
fn decide_linear(svm: &SvmClassifier, row: &[f32], scores: &mut [f32]) -> usize {
    let machine = &svm.machine;
    for (score, coefficients) in scores.iter_mut().zip(machine.coefficients.chunks_exact(machine.width)) {
        *score = dot(row, coefficients) + machine.rho[0];
    }
    let winner = highest(scores);
    let most = scores[winner];
    let says_yes = if svm.all_positive { most >= 0.5 } else { most > 0.0 };
    transform(scores, scores.len(), svm.transform, Second::No);
    match &svm.labels {
        Labels::Ints(_) | Labels::Texts(_) if svm.labels.len() == 2 && !svm.has_probabilities && says_yes => {
            1
        }
        _ => winner,
    }
}

/// Lets each pair of classes decide and vote.
fn vote(machine: &Machine, svc: &Svc, room: &mut Room) {
    let classes = svc.counts.len();
    let total = room.alike.len();
    room.votes.clear();
    room.votes.resize(classes, 0);
    room.decisions.clear();
    let mut first_start = 0;
    for first in 0..classes {
        let first_range = first_start..first_start + svc.counts[first];
        let mut second_start = first_range.end;
        for second in first + 1..classes {
            let second_range = second_start..second_start + svc.counts[second];
            // Coefficients have a row for each class but one: its own is left out.
            let of_first = &machine.coefficients[total * (second - 1)..][first_range.clone()];
            let of_second = &machine.coefficients[total * first..][second_range.clone()];
            let sum = sum(of_first, &room.alike[first_range.clone()])
                + sum(of_second, &room.alike[second_range.clone()])
                + f64::from(machine.rho[room.decisions.len()]);
            room.votes[if sum > 0.0 { first } else { second }] += 1;
            room.decisions.push(sum as f32);
            second_start = second_range.end;
        }
        first_start = first_range.end;
    }
}

fn sum(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

fn first_highest(votes: &[u32]) -> usize {
    let mut winner = 0;
    for (class, count) in votes.iter().enumerate() {
        if *count > votes[winner] {
            winner = class;
        }
    }
    winner
}

/// Probabilities of the classes out of those of the pairs: those whose
/// differences from the pairs' are smallest, found step by step (Wu, Lin and
/// Weng, 2004, the second method).
fn couple(svc: &Svc, classes: usize, room: &mut Room, chances: &mut [f32]) {
    const ROUNDS: usize = 100;
    let pair = &mut room.chances;
    pair.clear();
    pair.resize(classes * classes, 0.0);
    let mut index = 0;
    for first in 0..classes {
        for second in first + 1..classes {
            let (a, b) = svc.probabilities[index];
            let chance = (1.0 - logistic(room.decisions[index] * a + b)).clamp(1e-7, 1.0 - 1e-7);
            pair[first * classes + second] = chance;
            pair[second * classes + first] = 1.0 - chance;
            index += 1;
        }
    }
    let weight = |row: usize, column: usize| -> f32 {
        if row != column {
            return -pair[column * classes + row] * pair[row * classes + column];
        }
        let others = (0..classes).filter(|&other| other != row);
        others.map(|other| pair[other * classes + row] * pair[other * classes + row]).sum()
    };
    let weights: Vec<f32> = (0..classes * classes).map(|at| weight(at / classes, at % classes)).collect();
    chances.fill(1.0 / classes as f32);
    let close_enough = 0.005 / classes as f32;
    let mut pull = vec![0.0f32; classes];
    for _ in 0..ROUNDS {
        for (pull, weights) in pull.iter_mut().zip(weights.chunks_exact(classes)) {
            *pull = weights.iter().zip(&*chances).map(|(weight, chance)| weight * chance).sum();
        }
        let mut mean: f32 = chances.iter().zip(&pull).map(|(chance, pull)| chance * pull).sum();
        if pull.iter().all(|pull| (pull - mean).abs() < close_enough) {
            break;
        }
        for class in 0..classes {
            let own = weights[class * classes + class];
            let step = (mean - pull[class]) / own;
            chances[class] += step;
            let whole = 1.0 + step;
            mean = (mean + step * (step * own + 2.0 * pull[class])) / whole / whole;
            for other in 0..classes {
                pull[other] = (pull[other] + step * weights[class * classes + other]) / whole;
                chances[other] /= whole;
            }
        }
    }
}

/// How alike a row is to each of the vectors.
fn compare(machine: &Machine, row: &[f32], alike: &mut Vec<f32>) {
    let vectors = machine.vectors.chunks_exact(machine.width);
    alike.clear();
    match machine.kernel {
        Kernel::Linear => alike.extend(vectors.map(|vector| dot(row, vector))),
        Kernel::Rbf { gamma } => alike.extend(vectors.map(|vector| (-gamma * distance(row, vector)).exp())),
        Kernel::Sigmoid { gamma, offset } => {
            alike.extend(vectors.map(|vector| (gamma * dot(row, vector) + offset).tanh()));
        }
        Kernel::Poly { gamma, offset, degree } => {
            alike.extend(vectors.map(|vector| power(gamma * dot(row, vector) + offset, degree)));
        }
    }
}

fn power(base: f32, degree: f32) -> f32 {
    match degree {
        2.0 => base * base,
        3.0 => base * base * base,
        degree => base.powf(degree),
    }
}
