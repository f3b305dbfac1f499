//! Integers of 64 bits, of which the engine keeps 32: where a model could compute with
//! larger ones, it is refused.

use std::collections::HashSet;

use crate::onnx::attributes::Attributes;
use crate::onnx::{Node, Outline, ValueInfo};

const INT64: i64 = 7;

/// Refuses computing with 64-bit integers that a caller gives: what it gives fits 32
/// bits, which the runner checks, but a sum or a product need not.
///
/// # Errors
/// With the node, in words.
pub(super) fn check(outline: &Outline<'_>) -> Result<(), String> {
    let given = given(outline);
    let mut refused = None;
    outline.for_each_node(&mut |node| {
        let input = node.inputs.iter().find(|input| given.contains(*input));
        if let (Some(input), true) = (input, ARITHMETIC.contains(&node.operator)) {
            refused.get_or_insert_with(|| {
                format!(
                    "{node} computes with the 64-bit integers `{input}`, and the result may not fit 32 bits"
                )
            });
        }
    });
    refused.map_or(Ok(()), Err)
}

/// The names of values that may hold 64-bit integers of a caller.
fn given<'a>(outline: &Outline<'a>) -> HashSet<&'a str> {
    let is_wide = |input: &&ValueInfo<'_>| input.tensor().is_some_and(|tensor| tensor.datatype == INT64);
    let mut given: HashSet<&str> = outline.free_inputs().filter(is_wide).map(|input| input.name).collect();
    let mut known = 0;
    // Until there is no more, whatever order the nodes stand in.
    while given.len() > known {
        known = given.len();
        outline.for_each_node(&mut |node| {
            if passes_on(node, &given) {
                given.extend(node.outputs.iter().filter(|output| !output.is_empty()));
            }
        });
    }
    given
}

/// Whether what a caller gave may be among the values that a node makes.
fn passes_on(node: &Node<'_>, given: &HashSet<&str>) -> bool {
    if !takes(node, given) {
        return false;
    }
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

/// Whether a node, or one within it, takes one of these values.
fn takes(node: &Node<'_>, values: &HashSet<&str>) -> bool {
    let mut nested = node.graphs.iter().flat_map(|graph| &graph.nodes);
    node.inputs.iter().any(|input| values.contains(input)) || nested.any(|node| takes(node, values))
}

/// Whether a constant with integers beyond 32 bits means the same when it is cut to the
/// nearest that has 32: where all that takes it, moved about or not, are ends of slices,
/// which exporters write as the largest number there is.
pub(super) fn is_cut_harmlessly(outline: &Outline<'_>, name: &str) -> bool {
    only_ends_slices(outline, name, MOST_MOVES)
}

fn only_ends_slices(outline: &Outline<'_>, name: &str, moves: usize) -> bool {
    let (mut moved, mut is_used, mut is_harmless) = (Vec::<&str>::new(), false, true);
    outline.for_each_node(&mut |node| {
        for (place, _) in node.inputs.iter().enumerate().filter(|(_, input)| **input == name) {
            is_used = true;
            match node.operator {
                "Slice" if matches!(place, 1 | 2) => {}
                "Concat" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" => {
                    moved.extend(node.outputs.iter().copied())
                }
                _ => is_harmless = false,
            }
        }
    });
    is_used
        && is_harmless
        && !outline.graph.outputs.iter().any(|output| output.name == name)
        && (moved.is_empty() || moves > 0)
        && moved.iter().all(|moved| only_ends_slices(outline, moved, moves - 1))
}

/// So often at most is a number moved about between its constant and its slice.
const MOST_MOVES: usize = 4;

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
