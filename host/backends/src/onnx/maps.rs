//! Maps from classes to probabilities, which scikit-learn's converter puts at the
//! end of a classifier: no tensors. A file is rewritten so that the tensor comes
//! out from which a `ZipMap` makes them, under the output's name.

use std::borrow::Cow;

use samara_nn::{Error, ModelSource, Result, Signature};

use super::attributes::Attributes;
use super::learned::DOMAIN;
use super::read::read_model;
use super::wire::{Fields, Value, Writer};
use super::{Node, Outline, is_default_domain, quote};

/// A model file without maps, and the classes that they told.
pub(crate) struct Flat<'a> {
    pub(crate) source: Cow<'a, ModelSource>,
    /// An output, and what its columns stand for.
    labels: Vec<(String, Vec<String>)>,
}

impl<'a> Flat<'a> {
    /// Rewrites a file where it has maps among its outputs.
    ///
    /// # Errors
    /// When a map goes anywhere else, or its classes are unsound. Of what is wrong
    /// with the rest of the file, nothing is said.
    pub(crate) fn of(source: &'a ModelSource, backend: &'static str) -> Result<Self> {
        let unchanged = || Self { source: Cow::Borrowed(source), labels: Vec::new() };
        let Ok(outline) = read_model(&source.bytes) else { return Ok(unchanged()) };
        let invalid = |reason: String| Error::InvalidModel { model: source.name.clone(), backend, reason };
        let maps = outline.graph.nodes.iter().filter(|node| makes_maps(node));
        let maps = maps.map(|node| read_map(&outline, node)).collect::<std::result::Result<Vec<_>, _>>();
        let labels = maps.map_err(invalid)?;
        if labels.is_empty() {
            return Ok(unchanged());
        }
        let has_default = outline.opsets.iter().any(|(domain, _)| is_default_domain(domain));
        let bytes = rewrite(&source.bytes, &labels, has_default);
        let bytes = bytes.ok_or_else(|| invalid("its maps cannot be taken out of it".to_owned()))?;
        Ok(Self { source: Cow::Owned(ModelSource { bytes: bytes.into(), ..source.clone() }), labels })
    }

    /// A signature that tells the classes.
    ///
    /// # Errors
    /// When there are not as many as the output has columns.
    pub(crate) fn label(&self, mut signature: Signature, backend: &'static str) -> Result<Signature> {
        for (name, labels) in &self.labels {
            let Some(output) = signature.outputs.iter_mut().find(|output| output.name == *name) else {
                continue;
            };
            let columns = output.shape.last().copied().and_then(|size| usize::try_from(size).ok());
            if columns.is_some_and(|columns| columns != labels.len()) {
                let reason = format!(
                    "the map {} has {} classes for {} numbers",
                    quote(name),
                    labels.len(),
                    columns.unwrap_or(0)
                );
                return Err(Error::InvalidModel { model: self.source.name.clone(), backend, reason });
            }
            output.labels.clone_from(labels);
        }
        Ok(signature)
    }
}

fn makes_maps(node: &Node<'_>) -> bool {
    node.domain == DOMAIN && node.operator == OPERATOR
}

/// The output of a node that makes maps, and the classes.
fn read_map(outline: &Outline<'_>, node: &Node<'_>) -> std::result::Result<(String, Vec<String>), String> {
    let (&[_], &[output]) = (&node.inputs[..], &node.outputs[..]) else {
        return Err(format!("{node} has not one input and one output"));
    };
    let mut goes_on = false;
    outline.for_each_node(&mut |user| goes_on |= user.inputs.contains(&output));
    if goes_on || !outline.graph.outputs.iter().any(|declared| declared.name == output) {
        return Err(format!("{node} makes a map that is no output of the model"));
    }
    let attributes = Attributes::read(node).map_err(|fault| fault.to_string())?;
    let texts = attributes.texts("classlabels_strings").map_err(|fault| fault.to_string())?;
    let numbers = attributes.ints("classlabels_int64s");
    let labels: Vec<String> = match (&texts[..], numbers) {
        (texts, []) => texts.iter().map(|&text| text.to_owned()).collect(),
        ([], numbers) => numbers.iter().map(ToString::to_string).collect(),
        _ => return Err(format!("{node} has two lists of classes")),
    };
    if labels.is_empty() {
        return Err(format!("{node} has no classes"));
    }
    Ok((output.to_owned(), labels))
}

/// The file with a tensor for each map; `None` where it is damaged.
fn rewrite(bytes: &[u8], labels: &[(String, Vec<String>)], has_default: bool) -> Option<Vec<u8>> {
    let mut model = Writer::default();
    for field in Fields::new(bytes) {
        match field.ok()? {
            (GRAPH, value) => model.bytes(GRAPH, &rewrite_graph(value.bytes(GRAPH).ok()?, labels)?),
            (number, value) => model.value(number, value),
        }
    }
    if !has_default {
        let mut opset = Writer::default();
        opset.value(2, Value::Varint(IDENTITY_SINCE));
        model.bytes(8, &opset.finish());
    }
    Some(model.finish())
}

fn rewrite_graph(bytes: &[u8], labels: &[(String, Vec<String>)]) -> Option<Vec<u8>> {
    const NODE: u32 = 1;
    const OUTPUT: u32 = 12;
    const INNER: u32 = 13;
    let mut graph = Writer::default();
    for field in Fields::new(bytes) {
        let (number, value) = field.ok()?;
        match number {
            NODE => {
                let node = super::read::read_node(value.bytes(NODE).ok()?, 0).ok()?;
                if makes_maps(&node) {
                    graph.bytes(NODE, &identity(&node));
                } else {
                    graph.value(NODE, value);
                }
            }
            OUTPUT | INNER => match labels.iter().find(|(output, _)| is_called(value, output)) {
                Some((output, labels)) if number == OUTPUT => {
                    graph.bytes(OUTPUT, &tensor(output, labels.len()))
                }
                Some(_) => {}
                None => graph.value(number, value),
            },
            _ => graph.value(number, value),
        }
    }
    Some(graph.finish())
}

/// Whether a declaration is of this tensor.
fn is_called(declaration: Value<'_>, name: &str) -> bool {
    let Ok(bytes) = declaration.bytes(0) else { return false };
    Fields::new(bytes).any(|field| matches!(field, Ok((1, Value::Bytes(found))) if found == name.as_bytes()))
}

/// The node that hands on what another would have made maps of.
fn identity(node: &Node<'_>) -> Vec<u8> {
    let mut made = Writer::default();
    node.inputs.iter().for_each(|input| made.bytes(1, input.as_bytes()));
    node.outputs.iter().for_each(|output| made.bytes(2, output.as_bytes()));
    made.bytes(3, node.name.as_bytes());
    made.bytes(4, b"Identity");
    made.finish()
}

/// The declaration of floats for any number of rows.
fn tensor(name: &str, columns: usize) -> Vec<u8> {
    const FP32: u64 = 1;
    let (mut size, mut shape) = (Writer::default(), Writer::default());
    size.value(1, Value::Varint(columns as u64));
    shape.bytes(1, &[]);
    shape.bytes(1, &size.finish());
    let (mut tensor, mut kind, mut made) = (Writer::default(), Writer::default(), Writer::default());
    tensor.value(1, Value::Varint(FP32));
    tensor.bytes(2, &shape.finish());
    kind.bytes(1, &tensor.finish());
    made.bytes(1, name.as_bytes());
    made.bytes(2, &kind.finish());
    made.finish()
}

const OPERATOR: &str = "ZipMap";

/// The field of the graph in a model.
const GRAPH: u32 = 7;

/// A version of the default operators that has `Identity`.
const IDENTITY_SINCE: u64 = 13;
