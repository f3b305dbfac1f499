//! Nodes and weights as the older operators list them.

use std::collections::{HashMap, HashSet};

use super::super::super::quote;
use super::super::{Attributes, Fault, Values};
use super::nodes::{MODES, Mode, features, optional, pick, read_targets};

/// Nodes as the older operators list them: branches and leaves alike, each with
/// the number of its tree and its own in that.
pub(super) struct Named<'a> {
    pub(super) trees: &'a [i64],
    pub(super) ids: &'a [i64],
    pub(super) modes: Vec<Option<Mode>>,
    pub(super) features: Vec<u32>,
    pub(super) values: Values,
    pub(super) missing: &'a [i64],
    places: HashMap<(i64, i64), usize>,
}

impl<'a> Named<'a> {
    pub(super) fn read(attributes: &'a Attributes<'_>) -> Result<Self, Fault> {
        let ids = attributes.ints("nodes_nodeids");
        let count = ids.len();
        for name in ["nodes_treeids", "nodes_truenodeids", "nodes_falsenodeids"] {
            attributes.has_length(name, attributes.ints(name).len(), count)?;
        }
        let modes = attributes.texts("nodes_modes")?;
        attributes.has_length("nodes_modes", modes.len(), count)?;
        let modes = modes.into_iter().map(|name| match MODES.iter().find(|(known, _)| *known == name) {
            Some((_, mode)) if *mode != Mode::Member => Ok(Some(*mode)),
            None if name == "LEAF" => Ok(None),
            _ => Err(attributes.wrong("nodes_modes", format!("holds {}", quote(name)))),
        });
        let modes = modes.collect::<Result<_, _>>()?;
        // The values of leaves say nothing.
        let values = match attributes.tensor("nodes_values_as_tensor")? {
            Some(values @ (Values::Floats(_) | Values::Doubles(_))) => values,
            Some(_) => {
                return Err(attributes.wrong("nodes_values_as_tensor", "holds neither FLOAT nor DOUBLE"));
            }
            None => Values::Floats(attributes.raw_floats("nodes_values").to_vec()),
        };
        attributes.has_length("nodes_values", values.len(), count)?;
        let missing = optional(attributes, "nodes_missing_value_tracks_true", count)?;
        let trees = attributes.ints("nodes_treeids");
        let mut places = HashMap::with_capacity(count);
        for (index, (&tree, &id)) in trees.iter().zip(ids).enumerate() {
            if places.insert((tree, id), index).is_some() {
                return Err(attributes.wrong("nodes_nodeids", format!("has node {id} of tree {tree} twice")));
            }
        }
        let features = features(attributes, count)?;
        Ok(Self { trees, ids, modes, features, values, missing, places })
    }

    pub(super) fn find(&self, tree: i64, id: i64) -> Option<usize> {
        self.places.get(&(tree, id)).copied()
    }

    /// The first node of each tree.
    pub(super) fn roots(&self, attributes: &Attributes<'_>) -> Result<Vec<usize>, Fault> {
        let mut seen = HashSet::new();
        let mut roots = Vec::new();
        for (index, tree) in self.trees.iter().enumerate() {
            if index > 0 && self.trees[index - 1] == *tree {
                continue;
            }
            if !seen.insert(tree) {
                return Err(
                    attributes.wrong("nodes_treeids", format!("has the nodes of tree {tree} in two places"))
                );
            }
            roots.push(index);
        }
        Ok(roots)
    }
}

/// The weights of the leaves, in the order of the leaves.
pub(super) struct Weights {
    pub(super) leaves: Vec<usize>,
    pub(super) targets: Vec<u32>,
    pub(super) values: Values,
}

impl Weights {
    pub(super) fn read(
        attributes: &Attributes<'_>,
        leaf: &str,
        targets: usize,
        nodes: &Named<'_>,
    ) -> Result<Self, Fault> {
        let name = |what: &str| format!("{leaf}_{what}");
        let ids = read_targets(attributes, &name("ids"), targets)?;
        let (node_ids, trees) = (attributes.ints(&name("nodeids")), attributes.ints(&name("treeids")));
        attributes.has_length(&name("nodeids"), node_ids.len(), ids.len())?;
        attributes.has_length(&name("treeids"), trees.len(), ids.len())?;
        let values = attributes.floats_or_tensor(&name("weights"))?;
        attributes.has_length(&name("weights"), values.len(), ids.len())?;
        let mut of_nodes = vec![Vec::new(); nodes.modes.len()];
        for (index, (&tree, &id)) in trees.iter().zip(node_ids).enumerate() {
            let node = nodes.find(tree, id).ok_or_else(|| {
                attributes
                    .wrong(&name("nodeids"), format!("names node {id} of tree {tree}, which is not there"))
            })?;
            of_nodes[node].push(index);
        }
        let (mut leaves, mut order) = (vec![0], Vec::with_capacity(ids.len()));
        for (node, weights) in of_nodes.iter().enumerate() {
            // Weights of nodes that are no leaves do not count, as in ONNX Runtime.
            if nodes.modes[node].is_some() {
                continue;
            }
            if weights.is_empty() {
                let (id, tree) = (nodes.ids[node], nodes.trees[node]);
                return Err(attributes.wrong(&name("nodeids"), format!("lacks leaf {id} of tree {tree}")));
            }
            if weights.len() > 1 && targets == 1 {
                let (id, tree) = (nodes.ids[node], nodes.trees[node]);
                let reason = format!("has leaf {id} of tree {tree} twice, and there is one number to say");
                return Err(attributes.wrong(&name("nodeids"), reason));
            }
            order.extend(weights);
            leaves.push(order.len());
        }
        let targets = order.iter().map(|&index| ids[index]).collect();
        Ok(Self { leaves, targets, values: pick(&values, &order) })
    }
}
