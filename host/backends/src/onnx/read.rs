//! From the bytes of a model to its outline.

use std::fmt;

use super::types::{Type, read_type};
use super::wire::{Damage, Fields, Value};
use super::{Data, Dim, External, Function, Graph, Node, Outline, TensorType, ValueInfo};

/// Graphs within nodes within graphs are read this deep; no model comes near.
const DEEPEST: usize = 16;

pub(super) fn read_model(bytes: &[u8]) -> Result<Outline<'_>, Problem> {
    let (mut graph, mut opsets, mut functions) = (None, Vec::new(), Vec::new());
    for field in Fields::new(bytes) {
        match field? {
            (7, value) => {
                let earlier = graph.replace(read_graph(value.bytes(7)?, 0)?);
                if earlier.is_some() {
                    return Err(Problem::Twice("graph"));
                }
            }
            (8, value) => opsets.push(read_opset(value.bytes(8)?)?),
            (25, value) => functions.push(read_function(value.bytes(25)?)?),
            _ => {}
        }
    }
    let graph = graph.ok_or(Problem::NoGraph)?;
    Ok(Outline { graph, opsets, functions })
}

fn read_function(bytes: &[u8]) -> Result<Function<'_>, Problem> {
    let (mut domain, mut name, mut overload) = ("", "", "");
    let (mut body, mut opsets) = (Graph::default(), Vec::new());
    let untyped = |name| ValueInfo { name, kind: Type::Unknown };
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => name = value.text(1)?,
            (4, value) => body.inputs.push(untyped(value.text(4)?)),
            (5, value) => body.outputs.push(untyped(value.text(5)?)),
            (7, value) => body.nodes.push(read_node(value.bytes(7)?, 0)?),
            (9, value) => opsets.push(read_opset(value.bytes(9)?)?),
            (10, value) => domain = value.text(10)?,
            (13, value) => overload = value.text(13)?,
            _ => {}
        }
    }
    Ok(Function { domain, name, overload, body, opsets })
}

fn read_opset(bytes: &[u8]) -> Result<(&str, i64), Damage> {
    let (mut domain, mut version) = ("", 0);
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => domain = value.text(1)?,
            (2, value) => version = value.int(2)?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn read_graph(bytes: &[u8], depth: usize) -> Result<Graph<'_>, Problem> {
    if depth > DEEPEST {
        return Err(Problem::TooDeep);
    }
    let mut graph = Graph::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => graph.nodes.push(read_node(value.bytes(1)?, depth)?),
            (5, value) => graph.initializers.push(read_data(value.bytes(5)?)?),
            (11, value) => graph.inputs.push(read_value_info(value.bytes(11)?)?),
            (12, value) => graph.outputs.push(read_value_info(value.bytes(12)?)?),
            (15, _) => graph.has_sparse_initializers = true,
            _ => {}
        }
    }
    Ok(graph)
}

pub(super) fn read_node(bytes: &[u8], depth: usize) -> Result<Node<'_>, Problem> {
    let mut node = Node::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => node.inputs.push(value.text(1)?),
            (2, value) => node.outputs.push(value.text(2)?),
            (3, value) => node.name = value.text(3)?,
            (4, value) => node.operator = value.text(4)?,
            (5, value) => {
                let attribute = value.bytes(5)?;
                read_attribute(attribute, depth, &mut node)?;
                node.attributes.push(attribute);
            }
            (7, value) => node.domain = value.text(7)?,
            (8, value) => node.overload = value.text(8)?,
            _ => {}
        }
    }
    Ok(node)
}

/// Takes the tensors and graphs out of an attribute.
fn read_attribute<'a>(bytes: &'a [u8], depth: usize, node: &mut Node<'a>) -> Result<(), Problem> {
    let (mut tensors, mut graphs) = (0, 0);
    for field in Fields::new(bytes) {
        let (number, value) = field?;
        match number {
            5 | 10 => node.tensors.push(read_data(value.bytes(number)?)?),
            6 | 11 => node.graphs.push(read_graph(value.bytes(number)?, depth + 1)?),
            21 => node.has_references |= !value.bytes(number)?.is_empty(),
            _ => {}
        }
        tensors += usize::from(number == 5);
        graphs += usize::from(number == 6);
    }
    if tensors > 1 || graphs > 1 {
        return Err(Problem::Twice("attribute"));
    }
    Ok(())
}

pub(super) fn read_data(bytes: &[u8]) -> Result<Data<'_>, Damage> {
    let mut data = Data::default();
    let (mut location, mut is_external) = (External::default(), false);
    for field in Fields::new(bytes) {
        let (number, value) = field?;
        match number {
            1 => data.dims.extend(value.ints(1)?),
            2 => data.datatype = value.int(2)?,
            4 => data.typed_count += value.count_fixed(4, 4)?,
            5 | 7 | 11 => data.typed_count += value.count_varints(number)?,
            6 => data.typed_count += u64::from(value.bytes(6).is_ok()),
            8 => data.name = value.text(8)?,
            9 => data.raw_length = Some(value.bytes(9)?.len() as u64),
            10 => data.typed_count += value.count_fixed(10, 8)?,
            13 => read_entry(value.bytes(13)?, &mut location)?,
            14 => is_external = value.int(14)? == 1,
            _ => {}
        }
    }
    data.external = is_external.then_some(location);
    Ok(data)
}

fn read_entry<'a>(bytes: &'a [u8], location: &mut External<'a>) -> Result<(), Damage> {
    let (mut key, mut text) = ("", "");
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => key = value.text(1)?,
            (2, value) => text = value.text(2)?,
            _ => {}
        }
    }
    let before = match key {
        "location" => Some(std::mem::replace(&mut location.location, text)).filter(|text| !text.is_empty()),
        "offset" => location.offset.replace(text),
        "length" => location.length.replace(text),
        _ => None,
    };
    // Engines differ in which of two they go by.
    if before.is_some() { Err(Damage::TwoPlaces) } else { Ok(()) }
}

fn read_value_info(bytes: &[u8]) -> Result<ValueInfo<'_>, Problem> {
    let mut info = ValueInfo::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => info.name = value.text(1)?,
            (2, value) => info.kind = read_type(value.bytes(2)?, 0)?,
            _ => {}
        }
    }
    Ok(info)
}

pub(super) fn read_tensor_type(bytes: &[u8]) -> Result<TensorType<'_>, Damage> {
    let mut tensor = TensorType::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => tensor.datatype = value.int(1)?,
            (2, value) => {
                let dims = Fields::new(value.bytes(2)?).filter_map(|field| match field {
                    Ok((1, value)) => Some(read_dim(value)),
                    Ok(_) => None,
                    Err(damage) => Some(Err(damage)),
                });
                tensor.shape = Some(dims.collect::<Result<_, _>>()?);
            }
            _ => {}
        }
    }
    Ok(tensor)
}

fn read_dim(value: Value<'_>) -> Result<Dim<'_>, Damage> {
    let mut dim = Dim::Unknown;
    for field in Fields::new(value.bytes(1)?) {
        match field? {
            (1, value) => dim = Dim::Fixed(value.int(1)?),
            (2, value) => dim = Dim::Named(value.text(2)?),
            _ => {}
        }
    }
    Ok(match dim {
        // What exporters write for a size that they do not know.
        Dim::Fixed(size) if size < 0 => Dim::Unknown,
        Dim::Named("" | "?") => Dim::Unknown,
        dim => dim,
    })
}

/// Why a file has no outline.
pub(super) enum Problem {
    Damage(Damage),
    NoGraph,
    Twice(&'static str),
    TooDeep,
}

impl From<Damage> for Problem {
    fn from(damage: Damage) -> Self {
        Problem::Damage(damage)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Damage(damage) => write!(f, "not a sound ONNX file: {damage}"),
            Problem::NoGraph => f.write_str("not an ONNX file: it holds no graph"),
            Problem::Twice(what) => write!(f, "it holds a second {what} where there can be one"),
            Problem::TooDeep => write!(f, "graphs or types are nested more than {DEEPEST} deep"),
        }
    }
}
