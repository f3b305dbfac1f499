//! Tensors for people: small ones whole, big ones in numbers about them,
//! class probabilities as bars.

mod classes;
mod summary;
mod text;
mod values;

use std::collections::BTreeMap;

use samara_nn::{Datatype, NamedTensor, Tensor, format_shape};

use crate::printer::{BOLD, DIM};
pub(crate) use text::printable;

/// Tensors with more elements than this are summarised.
const WHOLE: usize = 128;

/// The lines that show tensors, styled; `labels` say what the places along the last
/// axis of some of them stand for.
pub(crate) fn tensors(tensors: &[NamedTensor], labels: &BTreeMap<String, Vec<String>>) -> String {
    let width = tensors.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let labels = |name: &String| labels.get(name).map_or(&[][..], Vec::as_slice);
    tensors.iter().map(|(name, tensor)| show(name, tensor, width, labels(name))).collect()
}

/// How a datatype and shape are written for people, e.g. `FP32[1,10]`.
pub(crate) fn type_of(tensor: &Tensor) -> String {
    format!("{}{}", tensor.datatype(), format_shape(tensor.shape()))
}

/// Every element of a tensor that holds no strings.
pub(crate) fn element_texts(tensor: &Tensor) -> Vec<String> {
    let values = values::Values::of(tensor);
    (0..values.len()).map(|index| values.text(index)).collect()
}

/// A number of bytes for people.
pub(crate) fn size_text(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A count and what is counted, e.g. `2 layers`.
pub(crate) fn count_text(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn show(name: &str, tensor: &Tensor, width: usize, labels: &[String]) -> String {
    let padding = " ".repeat(width.saturating_sub(name.chars().count()));
    let name = printable(name);
    let head = format!("{BOLD}{name}{BOLD:#}{padding}  {DIM}{}{DIM:#}", type_of(tensor));
    match body(tensor, labels) {
        Body::Inline(value) => format!("{head}  {value}\n"),
        Body::Lines(lines) => {
            let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
            format!("{head}\n{lines}")
        }
    }
}

/// What stands beside or below the name.
enum Body {
    Inline(String),
    Lines(Vec<String>),
}

fn body(tensor: &Tensor, labels: &[String]) -> Body {
    if tensor.datatype() == Datatype::Bytes {
        return text::strings(tensor);
    }
    if let Some(lines) = classes::bars(tensor, labels) {
        return Body::Lines(lines);
    }
    let values = values::Values::of(tensor);
    match tensor.len() {
        0 => Body::Inline("no elements".to_owned()),
        1 => Body::Inline(values.text(0)),
        count if count <= WHOLE => whole(tensor.shape(), &values),
        _ => Body::Lines(summary::lines(&values)),
    }
}

/// Every element, a row per line.
fn whole(shape: &[usize], values: &values::Values) -> Body {
    let texts: Vec<String> = (0..values.len()).map(|index| values.text(index)).collect();
    let row = shape.last().copied().unwrap_or(1).max(1);
    if texts.len() == row {
        return Body::Inline(format!("[{}]", texts.join(", ")));
    }
    let width = texts.iter().map(String::len).max().unwrap_or(0);
    let aligned = |row: &[String]| {
        let cells: Vec<String> = row.iter().map(|text| format!("{text:>width$}")).collect();
        format!("[{}]", cells.join(", "))
    };
    // A line between the planes of tensors of more than two axes.
    let plane = shape.iter().rev().nth(1).copied().unwrap_or(1).max(1);
    let mut lines = Vec::new();
    for (index, cells) in texts.chunks(row).enumerate() {
        if index > 0 && index % plane == 0 {
            lines.push(String::new());
        }
        lines.push(aligned(cells));
    }
    Body::Lines(lines)
}

#[cfg(test)]
mod tests;
