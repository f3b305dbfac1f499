//! What an ONNX file says of itself, read and checked before any engine sees
//! it: engines differ in what they make of a hostile file, so all of them get
//! only files that are sound.

pub(crate) mod attributes;
mod check;
mod data;
mod functions;
pub(crate) mod learned;
mod maps;
mod read;
mod types;
pub(crate) mod wire;

use std::collections::BTreeSet;
use std::fmt;

use samara_nn::{Datatype, Error, ModelSource, Result};

pub(crate) use crate::names::quote;
use crate::names::short;
pub(crate) use maps::Flat;
use read::read_model;
pub(crate) use types::Type;

/// A model file without its weights.
pub(crate) struct Outline<'a> {
    pub graph: Graph<'a>,
    /// Domain and version of the operator sets that the model is written in.
    pub opsets: Vec<(&'a str, i64)>,
    pub functions: Vec<Function<'a>>,
}

/// Nodes that other nodes call by a name.
pub(crate) struct Function<'a> {
    pub domain: &'a str,
    pub name: &'a str,
    /// Tells functions of one name apart.
    pub overload: &'a str,
    /// Inputs and outputs have no types.
    pub body: Graph<'a>,
    /// As those of the outline, of its body.
    pub opsets: Vec<(&'a str, i64)>,
}

#[derive(Default)]
pub(crate) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<Data<'a>>,
    pub has_sparse_initializers: bool,
    /// As declared, initialisers among them.
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
}

#[derive(Default)]
pub(crate) struct Node<'a> {
    pub name: &'a str,
    pub operator: &'a str,
    pub domain: &'a str,
    /// Which of several functions of the name is called.
    pub overload: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub tensors: Vec<Data<'a>>,
    pub graphs: Vec<Graph<'a>>,
    /// The attributes as they stand in the file.
    attributes: Vec<&'a [u8]>,
    /// Whether an attribute is one of the function that it is in.
    has_references: bool,
}

/// A tensor in the file: what it claims to be, and how much data it brings.
#[derive(Default)]
pub(crate) struct Data<'a> {
    pub name: &'a str,
    pub dims: Vec<i64>,
    pub datatype: i64,
    pub raw_length: Option<u64>,
    /// Elements in the fields that hold numbers of one type each.
    pub typed_count: u64,
    pub external: Option<External<'a>>,
}

/// Where a tensor's bytes lie outside the file.
#[derive(Default)]
pub(crate) struct External<'a> {
    pub location: &'a str,
    pub offset: Option<&'a str>,
    pub length: Option<&'a str>,
}

/// The declaration of an input or output.
#[derive(Default)]
pub(crate) struct ValueInfo<'a> {
    pub name: &'a str,
    pub kind: Type<'a>,
}

impl<'a> ValueInfo<'a> {
    /// `None` for sequences, maps and optionals.
    pub(crate) fn tensor(&self) -> Option<&TensorType<'a>> {
        self.kind.tensor()
    }
}

/// What outputs of a model may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    Tensors,
    /// Tensors, and sequences of them: each becomes one tensor with a further axis
    /// in front.
    Sequences,
}

#[derive(Default)]
pub(crate) struct TensorType<'a> {
    pub datatype: i64,
    /// `None` where not even the rank is declared.
    pub shape: Option<Vec<Dim<'a>>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Dim<'a> {
    Fixed(i64),
    Named(&'a str),
    Unknown,
}

impl<'a> Outline<'a> {
    /// Reads the outline of a model whose outputs are tensors, and checks that it is
    /// sound.
    pub(crate) fn read(source: &'a ModelSource, backend: &'static str) -> Result<Self> {
        Self::read_with(source, backend, Outputs::Tensors)
    }

    /// Reads the outline of a model and checks that it is sound.
    pub(crate) fn read_with(
        source: &'a ModelSource,
        backend: &'static str,
        outputs: Outputs,
    ) -> Result<Self> {
        let outline = read_model(&source.bytes).map_err(|damage| Error::InvalidModel {
            model: source.name.clone(),
            backend,
            reason: damage.to_string(),
        })?;
        check::Check { source, backend, outputs }.outline(&outline)?;
        Ok(outline)
    }

    /// The inputs that a caller gives: those without an initialiser.
    pub(crate) fn free_inputs(&self) -> impl Iterator<Item = &ValueInfo<'a>> {
        self.graph
            .inputs
            .iter()
            .filter(|input| !self.graph.initializers.iter().any(|initializer| initializer.name == input.name))
    }

    /// The version of the default operator set, 0 when the model names none.
    pub(crate) fn default_opset(&self) -> i64 {
        self.opsets.iter().find(|(domain, _)| is_default_domain(domain)).map_or(0, |&(_, version)| version)
    }

    /// The version of another operator set, 0 when the model does not name it.
    pub(crate) fn opset(&self, domain: &str) -> i64 {
        self.opsets.iter().find(|(named, _)| *named == domain).map_or(0, |&(_, version)| version)
    }

    /// Whether weights lie in other files.
    pub(crate) fn has_external_data(&self) -> bool {
        let mut found = false;
        self.for_each_data(&mut |data| found |= data.external.is_some());
        found
    }

    /// Whether weights of a graph inside a node lie in other files.
    pub(crate) fn has_nested_external_data(&self) -> bool {
        let mut outer = self.graph.initializers.iter().collect::<Vec<_>>();
        outer.extend(self.graph.nodes.iter().flat_map(|node| &node.tensors));
        let outer = outer.iter().filter(|data| data.external.is_some()).count();
        let mut all = 0;
        self.for_each_data(&mut |data| all += usize::from(data.external.is_some()));
        all > outer
    }

    /// The names of files beside the model's own that have weights, each once.
    pub(crate) fn data_files(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.for_each_data(&mut |data| {
            names.extend(data.external.as_ref().map(|file| file.location.to_owned()))
        });
        names
    }

    /// Whether it has operators of `ai.onnx.ml` and takes any number of rows.
    /// Converters declare one label as its output then.
    pub(crate) fn has_learned_of_rows(&self) -> bool {
        let mut has_learned = false;
        self.for_each_node(&mut |node| has_learned |= node.domain == learned::DOMAIN);
        let is_open = |input: &ValueInfo<'_>| {
            let shape = input.tensor().and_then(|tensor| tensor.shape.as_deref());
            !matches!(shape, Some([Dim::Fixed(_), ..]))
        };
        has_learned && self.free_inputs().any(is_open)
    }

    /// How many columns an output has, where a node of `ai.onnx.ml` says so.
    /// Converters declare one of several.
    pub(crate) fn learned_columns(&self, output: &str) -> Option<usize> {
        let node = self.graph.nodes.iter().find(|node| node.outputs.contains(&output))?;
        learned::Learned::read(node, self.opset(learned::DOMAIN)).ok()??.columns()
    }

    /// What the weights take in memory.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let mut bytes = 0u64;
        self.for_each_data(&mut |data| bytes = bytes.saturating_add(data.bytes()));
        bytes
    }

    fn for_each_data(&self, visit: &mut dyn FnMut(&Data<'a>)) {
        fn graph<'a>(graph_: &Graph<'a>, visit: &mut dyn FnMut(&Data<'a>)) {
            graph_.initializers.iter().for_each(&mut *visit);
            for node in &graph_.nodes {
                node.tensors.iter().for_each(&mut *visit);
                node.graphs.iter().for_each(|nested| graph(nested, visit));
            }
        }
        graph(&self.graph, visit);
        self.functions.iter().for_each(|function| graph(&function.body, visit));
    }

    /// Every node, those of nested graphs and functions included.
    pub(crate) fn for_each_node(&self, visit: &mut dyn FnMut(&Node<'a>)) {
        for_each_node(&self.graph, visit);
        self.functions.iter().for_each(|function| for_each_node(&function.body, visit));
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { self.outputs.first().unwrap_or(&"") } else { &self.name };
        write!(f, "node {} (operator `{}`)", quote(name), short(self.operator))
    }
}

/// The names of files that a model keeps weights in; none where it is damaged.
pub(crate) fn data_files(bytes: &[u8]) -> BTreeSet<String> {
    read_model(bytes).map(|outline| outline.data_files()).unwrap_or_default()
}

/// Reads one node.
///
/// # Errors
/// In words.
pub(crate) fn read_node(bytes: &[u8]) -> std::result::Result<Node<'_>, String> {
    read::read_node(bytes, 0).map_err(|problem| problem.to_string())
}

/// The elements of a tensor of 64-bit integers; none where it is another.
///
/// # Errors
/// In words.
pub(crate) fn read_integers(bytes: &[u8]) -> std::result::Result<Vec<i64>, String> {
    const INT64: i64 = 7;
    let data = read::read_data(bytes).map_err(|damage| damage.to_string())?;
    if data.datatype != INT64 {
        return Ok(Vec::new());
    }
    match attributes::read_values(bytes)? {
        attributes::Values::Ints(values) => Ok(values),
        _ => Ok(Vec::new()),
    }
}

pub(crate) fn is_default_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// The datatype that a number in an ONNX file stands for.
pub(crate) fn datatype(number: i64) -> Option<Datatype> {
    Some(match number {
        1 => Datatype::Fp32,
        2 => Datatype::Uint8,
        3 => Datatype::Int8,
        4 => Datatype::Uint16,
        5 => Datatype::Int16,
        6 => Datatype::Int32,
        7 => Datatype::Int64,
        8 => Datatype::Bytes,
        9 => Datatype::Bool,
        10 => Datatype::Fp16,
        11 => Datatype::Fp64,
        12 => Datatype::Uint32,
        13 => Datatype::Uint64,
        16 => Datatype::Bf16,
        _ => return None,
    })
}

fn for_each_node<'a>(graph: &Graph<'a>, visit: &mut dyn FnMut(&Node<'a>)) {
    for node in &graph.nodes {
        visit(node);
        for graph in &node.graphs {
            for_each_node(graph, visit);
        }
    }
}
