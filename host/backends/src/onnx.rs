//! What an ONNX file says of itself, read and checked before any engine sees
//! it: engines differ in what they make of a hostile file, so all of them get
//! only files that are sound.

mod check;
mod data;
mod wire;

use std::fmt;

use samara_nn::{Datatype, Error, ModelSource, Result};

use wire::{Damage, Fields, Value};

/// A model file without its weights.
pub(crate) struct Outline<'a> {
    pub graph: Graph<'a>,
    /// Domain and version of the operator sets that the model is written in.
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
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub tensors: Vec<Data<'a>>,
    pub graphs: Vec<Graph<'a>>,
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
    /// `None` for sequences, maps and optionals.
    pub tensor: Option<TensorType<'a>>,
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
    /// Reads the outline of a model and checks that it is sound.
    pub(crate) fn read(source: &'a ModelSource, backend: &'static str) -> Result<Self> {
        let outline = read_model(&source.bytes).map_err(|damage| Error::InvalidModel {
            model: source.name.clone(),
            backend,
            reason: damage.to_string(),
        })?;
        check::Check { source, backend }.outline(&outline)?;
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

    /// Whether weights lie in other files.
    pub(crate) fn has_external_data(&self) -> bool {
        let mut found = false;
        self.for_each_data(&mut |data| found |= data.external.is_some());
        found
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
    }

    /// Every node, those of nested graphs included.
    pub(crate) fn for_each_node(&self, visit: &mut dyn FnMut(&Node<'a>)) {
        for_each_node(&self.graph, visit);
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { self.outputs.first().unwrap_or(&"") } else { &self.name };
        write!(f, "node {} (operator `{}`)", quote(name), short(self.operator))
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

/// A name out of a model file, fit for a message: bounded, no control characters.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", short(name))
}

fn short(name: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

fn for_each_node<'a>(graph: &Graph<'a>, visit: &mut dyn FnMut(&Node<'a>)) {
    for node in &graph.nodes {
        visit(node);
        for graph in &node.graphs {
            for_each_node(graph, visit);
        }
    }
}

/// Graphs within nodes within graphs are read this deep; no model comes near.
const DEEPEST: usize = 16;

fn read_model(bytes: &[u8]) -> Result<Outline<'_>, Problem> {
    let (mut graph, mut opsets) = (None, Vec::new());
    for field in Fields::new(bytes) {
        match field? {
            (7, value) => {
                let earlier = graph.replace(read_graph(value.bytes(7)?, 0)?);
                if earlier.is_some() {
                    return Err(Problem::Twice("graph"));
                }
            }
            (8, value) => opsets.push(read_opset(value.bytes(8)?)?),
            _ => {}
        }
    }
    let graph = graph.ok_or(Problem::NoGraph)?;
    Ok(Outline { graph, opsets })
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

fn read_node(bytes: &[u8], depth: usize) -> Result<Node<'_>, Problem> {
    let mut node = Node::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => node.inputs.push(value.text(1)?),
            (2, value) => node.outputs.push(value.text(2)?),
            (3, value) => node.name = value.text(3)?,
            (4, value) => node.operator = value.text(4)?,
            (5, value) => read_attribute(value.bytes(5)?, depth, &mut node)?,
            (7, value) => node.domain = value.text(7)?,
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

fn read_data(bytes: &[u8]) -> Result<Data<'_>, Damage> {
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
    match key {
        "location" => location.location = text,
        "offset" => location.offset = Some(text),
        "length" => location.length = Some(text),
        _ => {}
    }
    Ok(())
}

fn read_value_info(bytes: &[u8]) -> Result<ValueInfo<'_>, Damage> {
    let mut info = ValueInfo::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => info.name = value.text(1)?,
            (2, value) => {
                for field in Fields::new(value.bytes(2)?) {
                    if let (1, value) = field? {
                        info.tensor = Some(read_tensor_type(value.bytes(1)?)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(info)
}

fn read_tensor_type(bytes: &[u8]) -> Result<TensorType<'_>, Damage> {
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
enum Problem {
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
            Problem::TooDeep => write!(f, "graphs are nested more than {DEEPEST} deep"),
        }
    }
}
