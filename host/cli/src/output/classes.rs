//! Class probabilities as a bar chart.

use samara_nn::{Datatype, Tensor};

use super::text::printable;
use super::values::Values;
use crate::printer::GREEN;

/// How many classes are shown at most.
const TOP: usize = 10;
/// Shown however small they are.
const ALWAYS: usize = 3;
/// Less than this is 0.00%.
const LEAST: f64 = 5e-5;
/// Rows of a batch that are shown.
const ROWS: usize = 4;
const WIDTH: f64 = 30.0;
/// Characters of a label that are shown.
const LONGEST: usize = 32;
const CLASSES: std::ops::RangeInclusive<usize> = 2..=1000;
/// How far the sum of a row may be from 1.
const SUM_TOLERANCE: f64 = 1e-3;
/// Eighths of a cell, from none to seven.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The chart, where the tensor holds probabilities: floats from 0 to 1 whose
/// last axis has 2 to 1000 classes and sums to 1. Classes without a label are their
/// places.
pub(crate) fn bars(tensor: &Tensor, labels: &[String]) -> Option<Vec<String>> {
    let classes = tensor.shape().last().copied().filter(|classes| CLASSES.contains(classes))?;
    if !matches!(tensor.datatype(), Datatype::Fp32 | Datatype::Fp64) || tensor.is_empty() {
        return None;
    }
    let values = Values::of(tensor).floats();
    let mut rows = values.chunks(classes);
    if !rows.clone().all(is_distribution) {
        return None;
    }
    let batch = values.len() / classes;
    if batch == 1 {
        return rows.next().map(|row| chart(row, labels));
    }
    let mut lines = Vec::new();
    for (index, row) in rows.take(ROWS).enumerate() {
        lines.push(format!("row {index}"));
        lines.extend(chart(row, labels).into_iter().map(|line| format!("  {line}")));
    }
    if batch > ROWS {
        lines.push(format!("… and {} more rows", batch - ROWS));
    }
    Some(lines)
}

fn is_distribution(row: &[f64]) -> bool {
    row.iter().all(|value| (0.0..=1.0 + SUM_TOLERANCE).contains(value))
        && (row.iter().sum::<f64>() - 1.0).abs() < SUM_TOLERANCE
}

fn chart(row: &[f64], labels: &[String]) -> Vec<String> {
    let mut ranked: Vec<(usize, f64)> = row.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let worth = ranked.iter().take_while(|(_, probability)| *probability >= LEAST).count();
    let (shown, rest) = ranked.split_at(worth.clamp(ALWAYS, TOP).min(ranked.len()));
    let names: Vec<String> = shown.iter().map(|(class, _)| name(*class, labels)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(1);
    let line = |(name, &(_, probability)): (&String, &(usize, f64))| {
        let bar = bar(probability);
        let percent = format!("{:.2}%", probability * 100.0);
        let name = if labels.is_empty() { format!("{name:>width$}") } else { format!("{name:<width$}") };
        let line = format!("{name}  {percent:>7}  {GREEN}{bar}{GREEN:#}");
        if bar.is_empty() { format!("{name}  {percent:>7}") } else { line }
    };
    let mut lines: Vec<String> = names.iter().zip(shown).map(line).collect();
    if !rest.is_empty() {
        let together: f64 = rest.iter().map(|(_, probability)| probability).sum();
        lines.push(format!("… and {} more classes with {:.2}% together", rest.len(), together * 100.0));
    }
    lines
}

/// What a class is called, on one line.
fn name(class: usize, labels: &[String]) -> String {
    let Some(label) = labels.get(class) else { return class.to_string() };
    let label = printable(label).replace(['\n', '\t'], " ");
    match label.chars().count() > LONGEST {
        true => label.chars().take(LONGEST - 1).chain(['…']).collect(),
        false => label,
    }
}

fn bar(probability: f64) -> String {
    let eighths = (probability * WIDTH * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}
