//! The operators that the engine is known to compute as ONNX says: those whose cases in
//! ONNX's own suite it passes or refuses, every one of them, less what its source shows
//! to differ where the suite has no case.

use std::collections::HashSet;

use crate::onnx::attributes::Attributes;
use crate::onnx::{Data, Graph, Node, Outline, ValueInfo, datatype, is_default_domain, quote};

/// Refuses nodes that the engine may answer wrongly, and datatypes that it has not.
///
/// # Errors
/// With the node or the tensor, in words.
pub(super) fn check(outline: &Outline<'_>) -> Result<(), String> {
    let opset = outline.default_opset();
    if let Some(function) = outline.functions.first() {
        return Err(format!("it has functions of its own, as {}; export it without", quote(function.name)));
    }
    let mut foreign = None;
    outline.for_each_node(&mut |node| {
        if !is_default_domain(node.domain) {
            foreign
                .get_or_insert_with(|| format!("{node}: it is one of `{}`, which rten lacks", node.domain));
        }
    });
    if let Some(foreign) = foreign {
        return Err(foreign);
    }
    if !(OLDEST..=NEWEST).contains(&opset) {
        return Err(format!(
            "it is written in version {opset} of ONNX's operators, and {OLDEST} to {NEWEST} are those that are known; \
             `onnx.version_converter` writes it in another"
        ));
    }
    for (what, values) in [("input", &outline.graph.inputs), ("output", &outline.graph.outputs)] {
        for value in values {
            has_datatype(value.tensor().map_or(0, |tensor| tensor.datatype))
                .map_err(|reason| format!("{what} {} {reason}", quote(value.name)))?;
        }
    }
    let mut vectors = HashSet::new();
    find_vectors(&outline.graph, &mut vectors);
    graph(&outline.graph, opset, &vectors)
}

/// The names of values that are known to have one axis.
fn find_vectors<'a>(of: &Graph<'a>, vectors: &mut HashSet<&'a str>) {
    vectors.extend(of.initializers.iter().filter(|data| data.dims.len() == 1).map(|data| data.name));
    let rank = |value: &ValueInfo<'_>| value.tensor()?.shape.as_ref().map(Vec::len);
    vectors.extend(of.inputs.iter().filter(|value| rank(value) == Some(1)).map(|value| value.name));
    of.nodes.iter().flat_map(|node| &node.graphs).for_each(|nested| find_vectors(nested, vectors));
}

fn graph(of: &Graph<'_>, opset: i64, vectors: &HashSet<&str>) -> Result<(), String> {
    of.initializers.iter().try_for_each(constant)?;
    for node in &of.nodes {
        self::node(node, opset, vectors)?;
        node.tensors.iter().try_for_each(|tensor| {
            has_datatype(tensor.datatype).map_err(|reason| format!("{node} has a tensor that {reason}"))
        })?;
        node.graphs.iter().try_for_each(|nested| graph(nested, opset, vectors))?;
    }
    Ok(())
}

fn constant(data: &Data<'_>) -> Result<(), String> {
    has_datatype(data.datatype).map_err(|reason| format!("the constant {} {reason}", quote(data.name)))
}

fn has_datatype(number: i64) -> Result<(), String> {
    // FP32, UINT8, INT8, INT32, INT64, BOOL.
    if matches!(number, 1..=3 | 6 | 7 | 9) {
        return Ok(());
    }
    let name =
        datatype(number).map_or_else(|| format!("of the ONNX datatype {number}"), |known| known.to_string());
    Err(format!("is {name}, and a standalone model computes with FP32, INT32, INT64, INT8, UINT8 and BOOL"))
}

fn node(node: &Node<'_>, opset: i64, vectors: &HashSet<&str>) -> Result<(), String> {
    let refused = |reason: &str| Err(format!("{node}: {reason}"));
    if let Some((_, reason)) = KNOWN_WRONG.iter().find(|(operator, _)| *operator == node.operator) {
        return Err(format!("{node}: {reason}"));
    }
    if !KNOWN.contains(&node.operator) {
        return refused("rten has it not, or is not known to compute it as ONNX says");
    }
    let attributes = Attributes::read(node).map_err(|fault| fault.to_string())?;
    for name in ["to", "dtype"] {
        if let Some(number) = attributes.int(name) {
            has_datatype(number).map_err(|reason| format!("{node}: its result {reason}"))?;
        }
    }
    let is = |name: &str, value: &str| attributes.text(name).is_ok_and(|text| text == Some(value));
    if is("auto_pad", "SAME_LOWER") {
        return refused(
            "`auto_pad` is `SAME_LOWER`, which rten takes for `SAME_UPPER`; write the sizes into `pads`",
        );
    }
    match node.operator {
        "ArgMax" | "ArgMin" if attributes.int("select_last_index").unwrap_or(0) != 0 => {
            refused("`select_last_index` is set, which rten lacks")
        }
        "Dropout" if !is_idle_dropout(node, opset) => {
            refused("it may drop what it is given, as in training, or its mask is used; export for inference")
        }
        "MatMul" if node.inputs.get(1).is_some_and(|second| vectors.contains(second)) => {
            refused("rten makes a matrix of its second input, a vector")
        }
        "Resize" if is("mode", "cubic") => refused("rten computes the mode `cubic` as `linear`"),
        "Resize" if is("coordinate_transformation_mode", "align_corners") => {
            refused("rten places the corners otherwise than ONNX where `align_corners` is asked for")
        }
        "Upsample" if is("mode", "linear") => refused("rten is not known to compute the mode `linear`"),
        _ => Ok(()),
    }
}

/// Whether a dropout gives what it is given.
fn is_idle_dropout(node: &Node<'_>, opset: i64) -> bool {
    let training = node.inputs.get(2).is_some_and(|input| !input.is_empty());
    let has_mask = node.outputs.get(1).is_some_and(|output| !output.is_empty());
    opset >= OLDEST && !training && !has_mask
}

/// From here on operators broadcast as they do today, and dropout is for training only.
const OLDEST: i64 = 7;
/// What the suite is written in.
const NEWEST: i64 = 27;

/// Operators of which wrong answers are known.
const KNOWN_WRONG: [(&str, &str); 7] = [
    ("BitCast", "rten has 32 bits of what has 64"),
    ("CastLike", "rten does not make truth values of numbers"),
    ("ConvInteger", "rten answers otherwise than ONNX where it pads"),
    ("DynamicQuantizeLinear", "rten multiplies where ONNX divides, which rounds otherwise"),
    ("NonMaxSuppression", "rten forgets boxes of further classes and images"),
    ("QuantizeLinear", "rten multiplies where ONNX divides, which rounds otherwise"),
    ("Sign", "rten gives 0 a sign"),
];

/// Those that are computed, with others written in their place where rten differs.
const KNOWN: [&str; 126] = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumSum",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "EyeLike",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "If",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "Loop",
    "LpNormalization",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "RMSNormalization",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "ReverseSequence",
    "RotaryEmbedding",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Sigmoid",
    "Sin",
    "Sinh",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
];
