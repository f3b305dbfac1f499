//! Integers of 64 bits, of which the engine keeps 32: where a model could compute with
//! larger ones, it is refused.

use std::collections::HashSet;

use crate::onnx::attributes::Attributes;
use crate::onnx::{Node, Outline};

const INT64: i64 = 7;

/// Refuses computing with 64-bit integers that a caller gives: what it gives fits 32
/// bits, which the runner checks, but a sum or a product need not.
///
/// # Errors
/// With the node, in words.
pub(super) fn check(outline: &Outline<'_>) -> Result<(), String> {
    let mut given: HashSet<&str> = outline
        .free_inputs()
        .filter(|input| input.tensor().is_some_and(|tensor| tensor.datatype == INT64))
        .map(|input| input.name)
        .collect();
    let mut refused = None;
    outline.for_each_node(&mut |node| {
        let Some(input) = node.inputs.iter().find(|input| given.contains(*input)) else { return };
        if ARITHMETIC.contains(&node.operator) {
            refused.get_or_insert_with(|| {
                format!(
                    "{node} computes with the 64-bit integers `{input}`, and the result may not fit 32 bits"
                )
            });
        }
        if passes_on(node, &given) {
            given.extend(node.outputs.iter().filter(|output| !output.is_empty()));
        }
    });
    refused.map_or(Ok(()), Err)
}

/// Whether what a caller gave may be among the values that a node makes.
fn passes_on(node: &Node<'_>, given: &HashSet<&str>) -> bool {
    match node.operator {
        "Cast" => {
            let to = Attributes::read(node).ok().and_then(|attributes| attributes.int("to"));
            matches!(to, None | Some(INT64))
        }
        // By their places only: what is taken comes from the first input.
        "Gather" | "GatherElements" | "GatherND" => {
            node.inputs.first().is_some_and(|data| given.contains(data))
        }
        operator => !FORGETS.contains(&operator),
    }
}

/// Whether a constant with integers beyond 32 bits means the same when it is cut to the
/// nearest that has 32: where all that takes it are ends of slices, which exporters write
/// as the largest number there is.
pub(super) fn is_cut_harmlessly(outline: &Outline<'_>, name: &str) -> bool {
    let (mut used, mut harmless) = (false, true);
    outline.for_each_node(&mut |node| {
        for (place, input) in node.inputs.iter().enumerate() {
            if *input == name {
                used = true;
                harmless &= node.operator == "Slice" && matches!(place, 1 | 2);
            }
        }
    });
    let is_output = outline.graph.outputs.iter().any(|output| output.name == name);
    used && harmless && !is_output
}

/// Operators whose results may be larger than what they are made of.
const ARITHMETIC: [&str; 17] = [
    "Abs",
    "Add",
    "CumSum",
    "Div",
    "Einsum",
    "Gemm",
    "MatMul",
    "Mean",
    "Mod",
    "Mul",
    "Neg",
    "Pow",
    "ReduceL1",
    "ReduceProd",
    "ReduceSum",
    "Sub",
    "Sum",
];

/// Operators whose results say nothing of how large their inputs are.
const FORGETS: [&str; 17] = [
    "And",
    "ArgMax",
    "ArgMin",
    "ConstantOfShape",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "Shape",
    "Sign",
    "Size",
    "Xor",
];
