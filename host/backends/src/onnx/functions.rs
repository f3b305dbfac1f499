//! Functions that a model defines of nodes: engines write each call out, so that
//! what calls itself has no end, and a few lines can make any number of nodes.

use super::{Function, Graph, Node, Outline, for_each_node, is_default_domain, quote};

/// Functions call functions this deep; exporters stay below five.
const DEEPEST: usize = 32;

/// The most nodes that a model may be with all calls written out.
const MOST_NODES: u64 = 1 << 20;

/// Why functions cannot be written out.
pub(super) enum Fault {
    Invalid(String),
    Unsupported(String),
}

/// Checks which function calls which.
///
/// # Errors
/// In words.
pub(super) fn check(outline: &Outline<'_>) -> Result<(), Fault> {
    let functions = &outline.functions;
    for (index, function) in functions.iter().enumerate() {
        if is_default_domain(function.domain) {
            let named =
                "is defined in ONNX's own domain, where it could be taken for an operator; rename its domain";
            return Err(Fault::Unsupported(format!("function {} {named}", quote(function.name))));
        }
        if functions[..index].iter().any(|earlier| earlier.key() == function.key()) {
            return Err(Fault::Invalid(format!("{function} is there twice")));
        }
    }
    let mut calls = Calls { functions, sizes: vec![None; functions.len()], open: Vec::new() };
    (0..functions.len()).try_for_each(|index| calls.size(index).map(drop))?;
    let nodes = calls.of_graph(&outline.graph)?;
    match nodes > MOST_NODES {
        true => Err(too_many("the model")),
        false => Ok(()),
    }
}

struct Calls<'f, 'a> {
    functions: &'f [Function<'a>],
    /// How many nodes each is with all calls written out, once that is known.
    sizes: Vec<Option<u64>>,
    /// The functions that call each other down to the one that is looked at.
    open: Vec<usize>,
}

impl<'f, 'a> Calls<'f, 'a> {
    fn size(&mut self, index: usize) -> Result<u64, Fault> {
        if let Some(size) = self.sizes[index] {
            return Ok(size);
        }
        let function = &self.functions[index];
        if self.open.len() >= DEEPEST {
            return Err(Fault::Unsupported(format!(
                "{function} is called through more than {DEEPEST} others"
            )));
        }
        self.open.push(index);
        let size = self.of_graph(&function.body)?;
        self.open.pop();
        if size > MOST_NODES {
            return Err(too_many(&function.to_string()));
        }
        self.sizes[index] = Some(size);
        Ok(size)
    }

    fn of_graph(&mut self, graph: &Graph<'a>) -> Result<u64, Fault> {
        let mut nodes = Vec::new();
        for_each_node(graph, &mut |node| nodes.push((self.called(node), node.to_string())));
        let mut size = 0u64;
        for (called, node) in nodes {
            size = size.saturating_add(1);
            let Some(called) = called else { continue };
            if self.open.contains(&called) {
                let function = &self.functions[called];
                return Err(Fault::Invalid(format!("{function} calls itself, through {node}")));
            }
            size = size.saturating_add(self.size(called)?);
        }
        Ok(size)
    }

    fn called(&self, node: &Node<'_>) -> Option<usize> {
        self.functions.iter().position(|function| function.is_called_by(node))
    }
}

fn too_many(what: &str) -> Fault {
    Fault::Unsupported(format!("{what} is more than {MOST_NODES} nodes with all calls written out"))
}

impl<'a> Function<'a> {
    pub(crate) fn is_called_by(&self, node: &Node<'_>) -> bool {
        (node.domain, node.operator, node.overload) == self.key()
    }

    fn key(&self) -> (&'a str, &'a str, &'a str) {
        (self.domain, self.name, self.overload)
    }
}

impl std::fmt::Display for Function<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "function {} of domain {}", quote(self.name), quote(self.domain))
    }
}
