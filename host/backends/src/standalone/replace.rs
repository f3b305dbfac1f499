//! Nodes that stand for others in the engine's file: what ONNX defines them by, where the
//! engine computes them otherwise, or lacks them.

use crate::onnx::Node;
use crate::onnx::attributes::Attributes;
use crate::onnx::wire::{Value, Writer};

use super::rewrite::ints;

/// The nodes in place of one, in order; `None` where it stays.
///
/// # Errors
/// In words.
pub(super) fn nodes(node: &Node<'_>, opset: i64) -> Result<Option<Vec<Vec<u8>>>, String> {
    let attributes = Attributes::read(node).map_err(|fault| fault.to_string())?;
    let (Some(&input), Some(&output)) = (node.inputs.first(), node.outputs.first()) else { return Ok(None) };
    let replacement = Replacement { node, input, output };
    Ok(match node.operator {
        // Of equal ones the engine takes the last, and ONNX the first, as `TopK` does.
        "ArgMax" | "ArgMin" => {
            let axis = attributes.int("axis").unwrap_or(0);
            let keeps = attributes.int("keepdims").unwrap_or(1) != 0;
            Some(replacement.first_of_top(axis, node.operator == "ArgMax", keeps))
        }
        // The engine only counts fractions off.
        "Cast" if attributes.int("to") == Some(BOOL) => Some(replacement.differs_from_zero()),
        "Dropout" => Some(vec![replacement.made("Identity", &[input], &[output], &[])]),
        // Over all axes from one on, where the engine takes that one alone.
        "Softmax" | "LogSoftmax" if opset < ONE_AXIS_SINCE => {
            Some(replacement.over_all_axes(attributes.int("axis").unwrap_or(1)))
        }
        _ => None,
    })
}

struct Replacement<'n, 'a> {
    node: &'n Node<'a>,
    input: &'a str,
    output: &'a str,
}

impl Replacement<'_, '_> {
    fn first_of_top(&self, axis: i64, largest: bool, keeps: bool) -> Vec<Vec<u8>> {
        let [one, values, places, axes] = ["one", "values", "places", "axes"].map(|name| self.inner(name));
        let places = if keeps { self.output.to_owned() } else { places };
        let attributes = [int("axis", axis), int("largest", i64::from(largest)), int("sorted", 1)];
        let mut nodes = vec![
            self.constant(&one, 1),
            self.made("TopK", &[self.input, &one], &[&values, &places], &attributes),
        ];
        if !keeps {
            nodes.push(self.constant(&axes, axis));
            nodes.push(self.made("Squeeze", &[&places, &axes], &[self.output], &[]));
        }
        nodes
    }

    /// Nothing but zero equals the difference of a number and itself, not even what is no
    /// number or infinite.
    fn differs_from_zero(&self) -> Vec<Vec<u8>> {
        let [zero, is_zero] = ["zero", "is_zero"].map(|name| self.inner(name));
        vec![
            self.made("Sub", &[self.input, self.input], &[&zero], &[]),
            self.made("Equal", &[self.input, &zero], &[&is_zero], &[]),
            self.made("Not", &[&is_zero], &[self.output], &[]),
        ]
    }

    fn over_all_axes(&self, axis: i64) -> Vec<Vec<u8>> {
        let [shape, flat, soft] = ["shape", "flat", "soft"].map(|name| self.inner(name));
        vec![
            self.made("Shape", &[self.input], &[&shape], &[]),
            self.made("Flatten", &[self.input], &[&flat], &[int("axis", axis)]),
            self.made(self.node.operator, &[&flat], &[&soft], &[int("axis", -1)]),
            self.made("Reshape", &[&soft, &shape], &[self.output], &[]),
        ]
    }

    /// The name of a value between the nodes.
    fn inner(&self, name: &str) -> String {
        format!("{}:samara:{name}", self.output)
    }

    /// A node that bears the name of the one that it helps to stand for.
    fn made(&self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut node = Writer::default();
        inputs.iter().for_each(|input| node.bytes(1, input.as_bytes()));
        outputs.iter().for_each(|output| node.bytes(2, output.as_bytes()));
        node.bytes(3, self.node.name.as_bytes());
        node.bytes(4, operator.as_bytes());
        attributes.iter().for_each(|attribute| node.bytes(5, attribute));
        node.finish()
    }

    /// A node with a list of one integer.
    fn constant(&self, name: &str, value: i64) -> Vec<u8> {
        self.made("Constant", &[], &[name], &[ints("value_ints", &[value])])
    }
}

/// An attribute that is an integer.
fn int(name: &str, value: i64) -> Vec<u8> {
    const INT: u64 = 2;
    let mut attribute = Writer::default();
    attribute.bytes(1, name.as_bytes());
    attribute.value(3, Value::Varint(value.cast_unsigned()));
    attribute.value(20, Value::Varint(INT));
    attribute.finish()
}

/// How ONNX files name truth values.
const BOOL: i64 = 9;

/// The operators since which softmax goes along one axis.
const ONE_AXIS_SINCE: i64 = 13;
