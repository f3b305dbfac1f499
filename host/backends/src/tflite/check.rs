//! Whether what a TFLite file claims fits together: indices lead somewhere, constants
//! bring the data of their shapes, nobody writes into them, and graphs end.

use std::collections::BTreeSet;

use samara_nn::Error;

use super::arity::needed_inputs;
use super::{Graph, Operator, Outline, SignatureDef, TensorInfo, datatype};
use crate::names::quote;

pub(super) enum Problem {
    /// In words.
    Unsound(String),
    TooLarge(Error),
}

impl From<String> for Problem {
    fn from(reason: String) -> Self {
        Problem::Unsound(reason)
    }
}

pub(super) struct Limit<'a> {
    pub model: &'a str,
    /// Of one tensor.
    pub bytes: u64,
}

type Checked = Result<(), Problem>;

pub(super) fn outline(outline: &Outline<'_>, limit: &Limit<'_>) -> Checked {
    if outline.graphs.is_empty() {
        return Err("it has no graph".to_owned().into());
    }
    if outline.graphs.len() > MOST_GRAPHS {
        let count = outline.graphs.len();
        return Err(format!("it has {count} graphs, and {MOST_GRAPHS} are the most").into());
    }
    // Buffer 0 is nobody's, and must be empty to mean that.
    if outline.buffers.first().is_some_and(|data| !data.is_empty()) {
        return Err("its first buffer, which stands for no data, has some".to_owned().into());
    }
    for graph in &outline.graphs {
        for tensor in &graph.tensors {
            self::tensor(tensor, outline, limit)?;
        }
        self::graph(graph, outline)?;
    }
    for signature in &outline.signatures {
        self::signature(signature, outline)?;
    }
    recursion(outline)?;
    Ok(())
}

/// The name of a datatype in messages.
pub(super) fn kind_name(kind: i8) -> String {
    match (datatype(kind), kind) {
        (Some(datatype), _) => datatype.to_string(),
        (None, 8) => "COMPLEX64".to_owned(),
        (None, 11) => "COMPLEX128".to_owned(),
        (None, 13) => "RESOURCE".to_owned(),
        (None, 14) => "VARIANT".to_owned(),
        (None, 17) => "INT4".to_owned(),
        (None, 19) => "INT2".to_owned(),
        (None, 20) => "UINT4".to_owned(),
        (None, number) => format!("number {number}"),
    }
}

/// Bits of one element, `None` for text and what only stands for something.
fn bits(kind: i8) -> Option<u64> {
    Some(match kind {
        3 | 6 | 9 | 21 | 22 => 8,
        1 | 7 | 16 | 18 => 16,
        0 | 2 | 15 => 32,
        4 | 8 | 10 | 12 => 64,
        11 => 128,
        17 | 20 => 4,
        19 => 2,
        _ => return None,
    })
}

const MOST_GRAPHS: usize = 1024;
const MOST_AXES: usize = 8;
const TEXT: i8 = 5;

fn tensor(tensor: &TensorInfo<'_>, outline: &Outline<'_>, limit: &Limit<'_>) -> Checked {
    let unsound = |reason: String| Problem::Unsound(format!("tensor {}: {reason}", quote(tensor.name)));
    if !(0..=22).contains(&tensor.kind) {
        return Err(unsound(format!("its datatype is {}", kind_name(tensor.kind))));
    }
    if tensor.shape.len() > MOST_AXES {
        return Err(unsound(format!("it has {} axes, and {MOST_AXES} are the most", tensor.shape.len())));
    }
    if let Some(open) = &tensor.open_shape {
        let fits = |(&open, &size): (&i32, &i32)| open == -1 || open == size;
        if open.len() != tensor.shape.len() || !open.iter().zip(&tensor.shape).all(fits) {
            return Err(unsound(format!("its shapes {open:?} and {:?} contradict each other", tensor.shape)));
        }
    }
    let mut count = 1u64;
    for &size in &tensor.shape {
        let size = u64::try_from(size)
            .map_err(|_| unsound(format!("its shape {:?} has a negative size", tensor.shape)))?;
        count = count.checked_mul(size).ok_or_else(|| {
            unsound(format!("its shape {:?} holds more elements than memory can", tensor.shape))
        })?;
    }
    let bytes = bits(tensor.kind).map(|bits| u128::from(count) * u128::from(bits));
    let bytes = bytes.map(|bits| u64::try_from(bits.div_ceil(8)).unwrap_or(u64::MAX));
    if let Some(size) = bytes.filter(|&bytes| bytes > limit.bytes) {
        let what = format!("tensor {}", quote(tensor.name));
        return Err(Problem::TooLarge(Error::TooLarge {
            model: limit.model.to_owned(),
            what,
            size,
            limit: limit.bytes,
        }));
    }
    let data = outline.buffers.get(tensor.buffer as usize);
    let data = data.ok_or_else(|| unsound(format!("there is no buffer {}", tensor.buffer)))?;
    quantisation(tensor).map_err(unsound)?;
    if data.is_empty() {
        return Ok(());
    }
    match bytes {
        Some(bytes) if bytes != data.len() as u64 && !tensor.is_sparse => Err(unsound(format!(
            "its shape {:?} takes {bytes} bytes, but it brings {}",
            tensor.shape,
            data.len()
        ))),
        None if tensor.kind == TEXT => text(data, count).map_err(unsound),
        _ => Ok(()),
    }
}

/// A count, that many offsets and one more, and the texts between them.
fn text(data: &[u8], count: u64) -> Result<(), String> {
    let damaged = || "its texts are damaged".to_owned();
    let numbers: Vec<u64> = data
        .chunks_exact(4)
        .map(|bytes| bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
        .take(usize::try_from(count).unwrap_or(usize::MAX).saturating_add(2))
        .collect();
    let [found, offsets @ ..] = &numbers[..] else { return Err(damaged()) };
    let ordered = offsets.is_sorted() && offsets.first().is_some_and(|&first| first >= 4 * (count + 2));
    let inside = offsets.last().is_some_and(|&last| last <= data.len() as u64);
    let complete = *found == count && offsets.len() as u64 == count + 1;
    (ordered && inside && complete).then_some(()).ok_or_else(damaged)
}

fn quantisation(tensor: &TensorInfo<'_>) -> Result<(), String> {
    let quantisation = &tensor.quantisation;
    let (scales, zeros) = (quantisation.scales.len(), quantisation.zero_points.len());
    if scales != zeros && (scales == 0 || zeros != 1) {
        return Err(format!("it has {scales} scales of quantisation and {zeros} zero points"));
    }
    if let Some(scale) = quantisation.scales.iter().find(|scale| !scale.is_finite()) {
        return Err(format!("it has the scale {scale}"));
    }
    if scales > 1 {
        let axis = usize::try_from(quantisation.axis).ok();
        let size = axis.and_then(|axis| tensor.shape.get(axis));
        if size.and_then(|&size| usize::try_from(size).ok()) != Some(scales) {
            return Err(format!(
                "it has {scales} scales along axis {} of its shape {:?}",
                quantisation.axis, tensor.shape
            ));
        }
    }
    let range = match tensor.kind {
        3 => 0..=255,
        9 => -128..=127,
        7 => -32768..=32767,
        _ => return Ok(()),
    };
    let outside = quantisation.zero_points.iter().find(|zero| !range.contains(*zero));
    outside.map_or(Ok(()), |zero| Err(format!("it has the zero point {zero}")))
}

fn graph(graph: &Graph<'_>, outline: &Outline<'_>) -> Checked {
    let count = graph.tensors.len();
    let exists = |&index: &i32| usize::try_from(index).is_ok_and(|index| index < count);
    let all = [&graph.inputs, &graph.outputs];
    if let Some(index) = all.into_iter().flatten().find(|index| !exists(index)) {
        return Err(format!("a graph takes or gives tensor {index} of {count}").into());
    }
    // What holds a value: constants and variables, then inputs, then results.
    let is_constant = |tensor: &TensorInfo<'_>| !outline.buffers[tensor.buffer as usize].is_empty();
    let mut set: Vec<bool> =
        graph.tensors.iter().map(|tensor| is_constant(tensor) || tensor.is_variable).collect();
    for &index in &graph.inputs {
        let index = index.unsigned_abs() as usize;
        if is_constant(&graph.tensors[index]) {
            return Err(format!("input {} has data of its own", quote(graph.tensors[index].name)).into());
        }
        set[index] = true;
    }
    for (place, operator) in graph.operators.iter().enumerate() {
        self::operator(operator, graph, outline, &mut set)
            .map_err(|reason| format!("operator {place} of a graph: {reason}"))?;
    }
    let unset = graph.outputs.iter().find(|index| !set[index.unsigned_abs() as usize]);
    if let Some(index) = unset {
        let name = quote(graph.tensors[index.unsigned_abs() as usize].name);
        return Err(format!("no operator computes the output {name}").into());
    }
    Ok(())
}

fn operator(
    operator: &Operator,
    graph: &Graph<'_>,
    outline: &Outline<'_>,
    set: &mut [bool],
) -> Result<(), String> {
    let count = graph.tensors.len();
    let place = |index: i32| usize::try_from(index).ok().filter(|&index| index < count);
    let code = outline.codes.get(operator.code as usize);
    let code = code.ok_or_else(|| format!("it has code {} of {}", operator.code, outline.codes.len()))?;
    let needed = needed_inputs(*code);
    if operator.inputs.len() < needed
        || operator.inputs[..needed].contains(&-1)
        || operator.outputs.is_empty()
    {
        return Err(format!("it lacks one of its {needed} inputs, or an output"));
    }
    for &index in operator.inputs.iter().chain(&operator.intermediates).filter(|&&index| index != -1) {
        place(index).ok_or_else(|| format!("it reads tensor {index} of {count}"))?;
    }
    for &index in operator.inputs.iter().filter(|&&index| index != -1) {
        if !place(index).is_some_and(|index| set[index]) {
            return Err(format!("it reads tensor {index} before anything is in it"));
        }
    }
    for &index in &operator.outputs {
        let at = place(index).ok_or_else(|| format!("it writes tensor {index} of {count}"))?;
        let tensor = &graph.tensors[at];
        if set[at] {
            let name = quote(tensor.name);
            return Err(format!("it writes tensor {name}, which has a value already"));
        }
        set[at] = true;
    }
    multiplier(operator, graph)?;
    let graphs = outline.graphs.len();
    let called = |&index: &i32| usize::try_from(index).is_ok_and(|index| index < graphs);
    match operator.calls.iter().find(|index| !called(index)) {
        Some(index) => Err(format!("it runs graph {index} of {graphs}")),
        None => Ok(()),
    }
}

/// Refuses scales of quantisation between which integers cannot be converted: kernels
/// have room for factors below 2 to the 31st, and end the process above.
fn multiplier(operator: &Operator, graph: &Graph<'_>) -> Result<(), String> {
    const MOST: f64 = (1u64 << 30) as f64;
    let scales = |indices: &[i32]| -> Vec<f64> {
        let tensors = indices.iter().filter_map(|&index| graph.tensors.get(usize::try_from(index).ok()?));
        tensors.flat_map(|tensor| &tensor.quantisation.scales).map(|&scale| f64::from(scale).abs()).collect()
    };
    let largest = |indices: &[i32]| scales(indices).into_iter().fold(0.0, f64::max);
    let [first, second] = [0, 1].map(|place| operator.inputs.get(place..=place).map_or(0.0, largest));
    let given = first.max(second).max(first * second);
    let taken = scales(&operator.outputs).into_iter().fold(f64::INFINITY, f64::min);
    match given > 0.0 && given / taken >= MOST {
        true => Err(format!("it turns the scale {given:e} of quantisation into {taken:e}")),
        false => Ok(()),
    }
}

fn signature(signature: &SignatureDef<'_>, outline: &Outline<'_>) -> Checked {
    let key = quote(signature.key);
    let graph = outline.graphs.get(signature.graph as usize);
    let graph = graph.ok_or_else(|| format!("signature {key} is for graph {}", signature.graph))?;
    let sides = [(&signature.inputs, &graph.inputs), (&signature.outputs, &graph.outputs)];
    for (entries, indices) in sides {
        let known = |index: u32| indices.iter().any(|&known| known.unsigned_abs() == index);
        if let Some((name, index)) = entries.iter().find(|(_, index)| !known(*index)) {
            return Err(format!(
                "signature {key}: {} is tensor {index}, which its graph does not take or give",
                quote(name)
            )
            .into());
        }
        let names: BTreeSet<_> = entries.iter().map(|(name, _)| name).collect();
        if names.len() != entries.len() || entries.len() != indices.len() {
            return Err(format!("signature {key} does not name each tensor of its graph once").into());
        }
    }
    Ok(())
}

/// Refuses graphs that run themselves, however many others lie between.
fn recursion(outline: &Outline<'_>) -> Checked {
    // Graphs that are done call only others that are.
    let mut done = vec![false; outline.graphs.len()];
    for _ in 0..outline.graphs.len() {
        let mut changed = false;
        for (index, graph) in outline.graphs.iter().enumerate() {
            let calls = || graph.operators.iter().flat_map(|operator| &operator.calls);
            if !done[index] && calls().all(|&called| done[called.unsigned_abs() as usize]) {
                done[index] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    match done.iter().position(|done| !done) {
        Some(index) => Err(format!("graph {index} runs itself, or one that does").into()),
        None => Ok(()),
    }
}
