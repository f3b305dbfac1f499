//! Whether an outline is sound: names resolve, nothing runs in a circle, and
//! tensors bring the data that they claim.

use std::collections::{HashMap, HashSet};

use samara_nn::{Error, ModelSource, Result};

use super::functions::{self, Fault};
use super::learned::{self, Learned};
use super::{Dim, Graph, Node, Outline, Outputs, TensorType, Type, ValueInfo, data, quote};

pub(super) struct Check<'a> {
    pub source: &'a ModelSource,
    pub backend: &'static str,
    pub outputs: Outputs,
}

/// What to do about an input that is a map, which `DictVectorizer` and `CastMap` take.
const OF_MAPS: &str = "convert the pipeline without its first step, and give the columns that this makes: `convert_sklearn(pipeline[1:], initial_types=[(\"x\", FloatTensorType([None, COLUMNS]))])`";

/// The names that a nested graph may use of the graphs around it.
type Scope<'s, 'a> = Vec<&'s HashSet<&'a str>>;

/// Longer names of sizes are refused: engines parse them as formulas.
const LONGEST_SIZE_NAME: usize = 512;

impl Check<'_> {
    pub(super) fn outline(&self, outline: &Outline<'_>) -> Result<()> {
        let version = outline.opset(learned::DOMAIN);
        self.graph(&outline.graph, version, &mut Vec::new())?;
        self.functions(outline)?;
        if version > learned::NEWEST {
            return Err(self.unsupported(format!(
                "it is written in version {version} of `{}`, and {} is the newest that is known",
                learned::DOMAIN,
                learned::NEWEST
            )));
        }
        if outline.graph.outputs.is_empty() {
            return Err(self.invalid("it has no outputs".to_owned()));
        }
        for value in outline.free_inputs() {
            self.input(value)?;
        }
        for value in &outline.graph.outputs {
            self.output(value)?;
        }
        Ok(())
    }

    fn functions(&self, outline: &Outline<'_>) -> Result<()> {
        functions::check(outline).map_err(|fault| match fault {
            Fault::Invalid(reason) => self.invalid(reason),
            Fault::Unsupported(reason) => self.unsupported(reason),
        })?;
        for function in &outline.functions {
            let version = function.opsets.iter().find(|(domain, _)| *domain == learned::DOMAIN);
            self.graph(&function.body, version.map_or(0, |&(_, version)| version), &mut Vec::new())?;
        }
        Ok(())
    }

    fn input(&self, value: &ValueInfo<'_>) -> Result<()> {
        match &value.kind {
            Type::Tensor(tensor) => self.interface(value.name, tensor, "input", true),
            Type::Map(..) => Err(self.unsupported(format!(
                "input {} is {}, and only tensors can be given; {OF_MAPS}",
                quote(value.name),
                value.kind
            ))),
            kind => Err(self.unsupported(format!(
                "input {} is {kind}, and only tensors can be given; make it of tensors inside the model",
                quote(value.name)
            ))),
        }
    }

    fn output(&self, value: &ValueInfo<'_>) -> Result<()> {
        let advice = match (&value.kind, self.outputs) {
            (Type::Tensor(tensor), _) => return self.interface(value.name, tensor, "output", false),
            (Type::Sequence(element), Outputs::Sequences) if element.tensor().is_some() => {
                return self.sequence(value.name, element);
            }
            (Type::Sequence(element), _) if element.tensor().is_some() => {
                ", as by the operator `ConcatFromSequence`"
            }
            (Type::Optional(_), _) => ", as by the operator `OptionalGetElement`",
            _ => "",
        };
        let Type::Unknown = value.kind else {
            return Err(self.unsupported(format!(
                "output {} is {}, and only tensors can be answered; let the model end with tensors{advice}",
                quote(value.name),
                value.kind
            )));
        };
        Err(self.unsupported(format!("output {} declares no type", quote(value.name))))
    }

    /// A sequence of tensors of one number of axes, which are stacked.
    fn sequence(&self, name: &str, element: &Type<'_>) -> Result<()> {
        let Some(tensor) = element.tensor().filter(|tensor| tensor.shape.is_some()) else {
            return Err(self.unsupported(format!(
                "output {} is seq({element}), whose tensors declare no number of axes; export the model with their shapes, sizes may stay open",
                quote(name)
            )));
        };
        self.interface(name, tensor, "output", false)
    }

    /// A tensor that samara can carry.
    fn interface(&self, name: &str, tensor: &TensorType<'_>, what: &str, needs_rank: bool) -> Result<()> {
        let name = quote(name);
        if super::datatype(tensor.datatype).is_none() && (needs_rank || tensor.datatype != 0) {
            let number = tensor.datatype;
            return Err(self.unsupported(format!("{what} {name} has the ONNX datatype {number}")));
        }
        if needs_rank && tensor.shape.is_none() {
            let advice = "export the model with shapes, sizes may stay open";
            return Err(self.unsupported(format!("{what} {name} declares no number of axes; {advice}")));
        }
        let sizes = tensor.shape.iter().flatten();
        let long = sizes.filter(|dim| matches!(dim, Dim::Named(name) if name.len() > LONGEST_SIZE_NAME));
        if long.count() > 0 {
            return Err(
                self.invalid(format!("{what} {name} names a size with more than {LONGEST_SIZE_NAME} bytes"))
            );
        }
        Ok(())
    }

    fn graph<'a>(&self, graph: &Graph<'a>, version: i64, scope: &mut Scope<'_, 'a>) -> Result<()> {
        if graph.has_sparse_initializers {
            return Err(self.unsupported("it has sparse initializers; store them densely".to_owned()));
        }
        for initializer in &graph.initializers {
            data::check(initializer, &self.source.beside).map_err(|reason| {
                self.invalid(format!("initializer {}: {reason}", quote(initializer.name)))
            })?;
        }
        let producers = self.producers(graph)?;
        let names: HashSet<&'a str> = producers.keys().copied().collect();
        let mut dependencies = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            for tensor in &node.tensors {
                data::check(tensor, &self.source.beside)
                    .map_err(|reason| self.invalid(format!("{node}: its tensor: {reason}")))?;
            }
            if node.domain == learned::DOMAIN && node.has_references {
                return Err(
                    self.unsupported(format!("{node} takes an attribute from the function that it is in"))
                );
            }
            self.learned(node, version, graph)?;
            let mut uses = Vec::new();
            collect_uses(node, &mut uses);
            for name in &node.inputs {
                let known = names.contains(name) || scope.iter().any(|names| names.contains(name));
                if !name.is_empty() && !known {
                    return Err(self.invalid(format!("{node} uses {}, which nothing provides", quote(name))));
                }
            }
            let makers = uses.iter().filter_map(|name| producers.get(name).copied().flatten());
            dependencies.push(makers.collect::<Vec<usize>>());
        }
        if let Some(node) = find_cycle(&dependencies) {
            return Err(self.invalid(format!("{} depends on its own output", graph.nodes[node])));
        }
        for output in &graph.outputs {
            if !names.contains(output.name) && !scope.iter().any(|names| names.contains(output.name)) {
                return Err(self.invalid(format!("nothing provides the output {}", quote(output.name))));
            }
        }
        for node in &graph.nodes {
            for nested in &node.graphs {
                let mut inner: Scope<'_, 'a> = scope.clone();
                inner.push(&names);
                self.graph(nested, version, &mut inner)?;
            }
        }
        Ok(())
    }

    /// What a node has learned, and whether the graph's input is as wide.
    fn learned(&self, node: &Node<'_>, version: i64, graph: &Graph<'_>) -> Result<()> {
        let learned = Learned::read(node, version).map_err(|fault| self.invalid(fault.to_string()))?;
        let (Some(learned), Some(name)) = (learned, node.inputs.first()) else { return Ok(()) };
        let input = graph.inputs.iter().find(|input| input.name == *name);
        let shape = input.and_then(|input| input.tensor()?.shape.as_deref()).unwrap_or(&[]);
        learned.check_declared(shape).map_err(|reason| self.invalid(format!("{node}: {reason}")))
    }

    /// Every name of a graph, with the node that computes it.
    fn producers<'a>(&self, graph: &Graph<'a>) -> Result<HashMap<&'a str, Option<usize>>> {
        let mut producers = HashMap::new();
        let twice =
            |what: &str, name: &str| self.invalid(format!("the {what} {} is there twice", quote(name)));
        for input in &graph.inputs {
            if producers.insert(input.name, None).is_some() {
                return Err(twice("input", input.name));
            }
        }
        let mut initialized = HashSet::new();
        for initializer in &graph.initializers {
            if !initialized.insert(initializer.name) {
                return Err(twice("initializer", initializer.name));
            }
            producers.insert(initializer.name, None);
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            for &output in node.outputs.iter().filter(|name| !name.is_empty()) {
                if producers.insert(output, Some(index)).is_some() {
                    return Err(
                        self.invalid(format!("{node} computes {}, which is there already", quote(output)))
                    );
                }
            }
        }
        Ok(producers)
    }

    fn invalid(&self, reason: String) -> Error {
        Error::InvalidModel { model: self.source.name.clone(), backend: self.backend, reason }
    }

    fn unsupported(&self, reason: String) -> Error {
        Error::Unsupported { model: self.source.name.clone(), backend: self.backend, reason }
    }
}

/// The names that a node reads from the graph it is in, be it for its nested
/// graphs.
fn collect_uses<'a>(node: &Node<'a>, uses: &mut Vec<&'a str>) {
    uses.extend(&node.inputs);
    for graph in &node.graphs {
        let mut inner: Vec<&'a str> = graph.outputs.iter().map(|output| output.name).collect();
        graph.nodes.iter().for_each(|node| collect_uses(node, &mut inner));
        let own: HashSet<&str> = defined(graph).collect();
        uses.extend(inner.into_iter().filter(|name| !own.contains(name)));
    }
}

fn defined<'g, 'a>(graph: &'g Graph<'a>) -> impl Iterator<Item = &'a str> + use<'g, 'a> {
    let inputs = graph.inputs.iter().map(|input| input.name);
    let initializers = graph.initializers.iter().map(|initializer| initializer.name);
    inputs.chain(initializers).chain(graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()))
}

/// A node that lies on a cycle, if one does.
fn find_cycle(dependencies: &[Vec<usize>]) -> Option<usize> {
    let mut open: Vec<usize> = dependencies.iter().map(Vec::len).collect();
    let mut users = vec![Vec::new(); dependencies.len()];
    for (node, makers) in dependencies.iter().enumerate() {
        for &maker in makers {
            users[maker].push(node);
        }
    }
    let mut ready: Vec<usize> = (0..open.len()).filter(|&node| open[node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &user in &users[node] {
            open[user] -= 1;
            if open[user] == 0 {
                ready.push(user);
            }
        }
    }
    // What is left waits for a cycle; walking towards what it waits for ends on one.
    let mut node = open.iter().position(|&waits| waits > 0)?;
    for _ in 0..open.len() {
        node = *dependencies[node].iter().find(|&&maker| open[maker] > 0)?;
    }
    Some(node)
}
