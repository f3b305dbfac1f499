//! Writes a model as the engine reads it: lists of numbers unpacked where it knows no
//! packed ones, sizes that exporters leave to ONNX's defaults, other nodes where it
//! differs from ONNX (`replace.rs`), and nothing that no engine needs. Integers that have
//! no room in the engine are found on the way.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use crate::onnx::attributes::Attributes;
use crate::onnx::wire::{Damage, Fields, Value, Writer};
use crate::onnx::{Node, Outline, quote, read_integers, read_node};

use super::{StandaloneModel, replace, wide};

/// Rewrites a model file.
///
/// # Errors
/// In words, where the file is damaged or holds integers that the engine would cut.
pub(super) fn model(bytes: &[u8], outline: &Outline<'_>) -> Result<StandaloneModel, String> {
    let rewriter = Rewriter { outline, kernels: kernels(outline), weights: RefCell::default() };
    let mut model = Writer::default();
    each(bytes, |number, value| {
        match number {
            // The version of the format, and those of the operators.
            1 | 8 => model.value(number, value),
            7 => model.bytes(7, &rewriter.graph(value.bytes(7).map_err(damaged)?)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(StandaloneModel { file: model.finish(), weights: rewriter.weights.into_inner() })
}

struct Rewriter<'o, 'a> {
    outline: &'o Outline<'a>,
    /// The sizes of kernels, by the weights that have them.
    kernels: HashMap<&'a str, Vec<i64>>,
    /// Those that are large enough to be used where they are.
    weights: RefCell<Vec<u8>>,
}

/// The sizes along the axes that a kernel moves along, of every weight that could be one.
fn kernels<'a>(outline: &Outline<'a>) -> HashMap<&'a str, Vec<i64>> {
    let weights = outline.graph.initializers.iter().filter(|weight| weight.dims.len() > 2);
    weights.map(|weight| (weight.name, weight.dims[2..].to_vec())).collect()
}

impl Rewriter<'_, '_> {
    fn graph(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut graph = Writer::default();
        each(bytes, |number, value| {
            match number {
                1 => {
                    let bytes = value.bytes(1).map_err(damaged)?;
                    let node = read_node(bytes)?;
                    match replace::nodes(&node, self.outline.default_opset())? {
                        Some(nodes) => nodes.iter().for_each(|node| graph.bytes(1, node)),
                        None => graph.bytes(1, &self.node(bytes, &node)?),
                    }
                }
                5 => {
                    let bytes = value.bytes(5).map_err(damaged)?;
                    graph.bytes(5, &self.tensor(bytes, None)?);
                }
                // Its name, inputs, outputs, and what is known of values in between.
                2 | 11..=13 => graph.value(number, value),
                _ => {}
            }
            Ok(())
        })?;
        Ok(graph.finish())
    }

    fn node(&self, bytes: &[u8], node: &Node<'_>) -> Result<Vec<u8>, String> {
        let mut written = Writer::default();
        let mut names = Vec::new();
        each(bytes, |number, value| {
            match number {
                5 => {
                    let attribute = value.bytes(5).map_err(damaged)?;
                    names.push(attribute_name(attribute)?);
                    written.bytes(5, &self.attribute(attribute, node)?);
                }
                // Inputs, outputs, its name, its operator and that one's set.
                1..=4 | 7 => written.value(number, value),
                _ => {}
            }
            Ok(())
        })?;
        if KERNELS_OF_WEIGHTS.contains(&node.operator)
            && !names.contains(&KERNEL)
            && let Some(sizes) = node.inputs.get(1).and_then(|weight| self.kernels.get(weight))
        {
            written.bytes(5, &ints(KERNEL, sizes));
        }
        if POOLS.contains(&node.operator) && !names.contains(&STRIDES) {
            let attributes = Attributes::read(node).map_err(|fault| fault.to_string())?;
            written.bytes(5, &ints(STRIDES, &vec![1; attributes.ints(KERNEL).len()]));
        }
        Ok(written.finish())
    }

    fn attribute(&self, bytes: &[u8], node: &Node<'_>) -> Result<Vec<u8>, String> {
        let mut attribute = Writer::default();
        each(bytes, |number, value| {
            match number {
                5 => attribute.bytes(5, &self.tensor(value.bytes(5).map_err(damaged)?, Some(node))?),
                6 => attribute.bytes(6, &self.graph(value.bytes(6).map_err(damaged)?)?),
                7 => {
                    let floats = value.floats(7).map_err(damaged)?;
                    floats.iter().for_each(|float| attribute.value(7, Value::Fixed32(float.to_le_bytes())));
                }
                8 => unpacked(&mut attribute, 8, &value.ints(8).map_err(damaged)?),
                _ => attribute.value(number, value),
            }
            Ok(())
        })?;
        Ok(attribute.finish())
    }

    /// A tensor of the graph, or of an attribute of a node.
    fn tensor(&self, bytes: &[u8], node: Option<&Node<'_>>) -> Result<Vec<u8>, String> {
        let (mut tensor, mut name) = (Writer::default(), "");
        let weight = match node {
            None => large_floats(bytes)?,
            Some(_) => None,
        };
        each(bytes, |number, value| {
            match number {
                // The elements, in either form.
                4 | 9 if weight.is_some() => {}
                1 => unpacked(&mut tensor, 1, &value.ints(1).map_err(damaged)?),
                8 => {
                    name = value.text(8).map_err(damaged)?;
                    tensor.value(8, value);
                }
                // What people wrote about it.
                12 => {}
                _ => tensor.value(number, value),
            }
            Ok(())
        })?;
        if let Some(weight) = weight {
            self.put_aside(&weight, &mut tensor);
        }
        let name = node.map_or(name, |node| node.outputs.first().copied().unwrap_or_default());
        let wide = read_integers(bytes)?.into_iter().find(|&value| i32::try_from(value).is_err());
        match wide {
            Some(wide) if !wide::is_cut_harmlessly(self.outline, name) => {
                Err(format!("the constant {} holds {wide}, and integers have 32 bits there", quote(name)))
            }
            _ => Ok(tensor.finish()),
        }
    }
}

impl Rewriter<'_, '_> {
    /// Keeps elements beside the file, and says in the tensor where.
    fn put_aside(&self, weight: &[u8], tensor: &mut Writer) {
        let mut weights = self.weights.borrow_mut();
        let offset = weights.len().next_multiple_of(ALIGNMENT);
        weights.resize(offset, 0);
        weights.extend_from_slice(weight);
        let entries = [("offset", offset), ("length", weight.len())];
        let entries = entries.map(|(key, number)| (key, number.to_string()));
        for (key, text) in entries.iter().map(|(key, text)| (*key, text.as_str())).chain([LOCATION]) {
            let mut entry = Writer::default();
            entry.bytes(1, key.as_bytes());
            entry.bytes(2, text.as_bytes());
            tensor.bytes(13, &entry.finish());
        }
        tensor.value(14, Value::Varint(1));
    }
}

/// The bytes of a tensor of 32-bit floats, where they are many.
fn large_floats(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, String> {
    const FLOAT: i64 = 1;
    let (mut datatype, mut raw, mut typed) = (0, &[][..], Vec::new());
    each(bytes, |number, value| {
        match number {
            2 => datatype = value.int(2).map_err(damaged)?,
            4 => typed.extend(value.floats(4).map_err(damaged)?.into_iter().flat_map(f32::to_le_bytes)),
            9 => raw = value.bytes(9).map_err(damaged)?,
            _ => {}
        }
        Ok(())
    })?;
    let floats = if raw.is_empty() { Cow::Owned(typed) } else { Cow::Borrowed(raw) };
    Ok(Some(floats).filter(|floats| datatype == FLOAT && floats.len() >= LARGE))
}

fn attribute_name(bytes: &[u8]) -> Result<&str, String> {
    let mut name = "";
    each(bytes, |number, value| {
        if number == 1 {
            name = value.text(1).map_err(damaged)?;
        }
        Ok(())
    })?;
    Ok(name)
}

/// An attribute that is a list of integers.
pub(super) fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    const INTS: u64 = 7;
    let mut attribute = Writer::default();
    attribute.bytes(1, name.as_bytes());
    unpacked(&mut attribute, 8, values);
    attribute.value(20, Value::Varint(INTS));
    attribute.finish()
}

fn unpacked(writer: &mut Writer, field: u32, values: &[i64]) {
    values.iter().for_each(|value| writer.value(field, Value::Varint(value.cast_unsigned())));
}

fn each<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(u32, Value<'a>) -> Result<(), String>,
) -> Result<(), String> {
    for field in Fields::new(bytes) {
        let (number, value) = field.map_err(damaged)?;
        visit(number, value)?;
    }
    Ok(())
}

fn damaged(damage: Damage) -> String {
    damage.to_string()
}

/// In bytes; what is smaller is copied as fast as it is found.
const LARGE: usize = 1024;
/// What every weight begins at a multiple of.
const ALIGNMENT: usize = 64;
/// What the engine knows the weights by.
const LOCATION: (&str, &str) = ("location", "weights.data");

const KERNEL: &str = "kernel_shape";
const STRIDES: &str = "strides";

/// Operators that move by one where they are not told how far.
const POOLS: [&str; 2] = ["AveragePool", "MaxPool"];

/// Operators whose kernels are as large as their weights say, where nothing else does.
const KERNELS_OF_WEIGHTS: [&str; 3] = ["Conv", "ConvInteger", "ConvTranspose"];
