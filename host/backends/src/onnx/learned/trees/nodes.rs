//! The nodes of trees, out of lists that say of each what it is.

use std::collections::HashMap;

use super::super::super::quote;
use super::super::{Attributes, Fault, Values};
use super::roots::{check_roots, check_ways};

/// Trees. Lists that are as long as one another are about the same things.
#[derive(Debug)]
pub(crate) struct Forest {
    pub(crate) roots: Vec<Child>,
    /// Of each node: what it compares.
    pub(crate) features: Vec<u32>,
    pub(crate) modes: Vec<Mode>,
    /// With what, or which of the sets.
    pub(crate) splits: Values,
    /// Where what is true goes, and what is not.
    pub(crate) ways: Vec<[Child; 2]>,
    /// Whether what is not a number counts as true.
    pub(crate) missing_is_true: Vec<bool>,
    pub(crate) sets: Vec<Vec<f64>>,
    /// Where the weights of each leaf begin, and where those of the last end.
    pub(crate) leaves: Vec<usize>,
    pub(crate) targets: Vec<u32>,
    pub(crate) weights: Values,
}

/// Where a way leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    Node(u32),
    Leaf(u32),
}

/// How a node compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    Member,
}

impl Forest {
    /// The highest feature that a node compares.
    pub(crate) fn last_feature(&self) -> Option<usize> {
        self.features.iter().max().map(|&feature| feature as usize)
    }

    /// # Errors
    /// In words, when rows of so many features are too short.
    pub(crate) fn check_width(&self, width: usize) -> Result<(), String> {
        match self.last_feature() {
            Some(last) if last >= width => {
                Err(format!("a node compares feature {last}, and its input has {width} features"))
            }
            _ => Ok(()),
        }
    }

    /// Out of the attributes of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.
    pub(super) fn read(attributes: &Attributes<'_>, leaf: &str, targets: usize) -> Result<Self, Fault> {
        let nodes = Named::read(attributes)?;
        let weights = Weights::read(attributes, leaf, targets, &nodes)?;
        let mut places = Vec::with_capacity(nodes.modes.len());
        let (mut branches, mut leaves) = (0, 0);
        for mode in &nodes.modes {
            places.push(match mode {
                Some(_) => Child::Node(next(&mut branches)),
                None => Child::Leaf(next(&mut leaves)),
            });
        }
        let is_branch = |&index: &usize| nodes.modes[index].is_some();
        let inner: Vec<usize> = (0..nodes.modes.len()).filter(is_branch).collect();
        let mut ways = Vec::with_capacity(inner.len());
        for &index in &inner {
            let tree = nodes.trees[index];
            let child = |name: &str, ids: &[i64]| match nodes.find(tree, ids[index]) {
                Some(child) => Ok(places[child]),
                None => Err(attributes.wrong(
                    name,
                    format!(
                        "leads from node {} of tree {tree} to {}, which is not there",
                        nodes.ids[index], ids[index]
                    ),
                )),
            };
            ways.push([
                child("nodes_truenodeids", attributes.ints("nodes_truenodeids"))?,
                child("nodes_falsenodeids", attributes.ints("nodes_falsenodeids"))?,
            ]);
        }
        let forest = Self {
            roots: nodes.roots(attributes)?.into_iter().map(|index| places[index]).collect(),
            features: inner.iter().map(|&index| nodes.features[index]).collect(),
            modes: inner.iter().filter_map(|&index| nodes.modes[index]).collect(),
            splits: pick(&nodes.values, &inner),
            ways,
            missing_is_true: inner.iter().map(|&index| nodes.missing.get(index) == Some(&1)).collect(),
            sets: Vec::new(),
            leaves: weights.leaves,
            targets: weights.targets,
            weights: weights.values,
        };
        attributes.all_numbers("nodes_values", &forest.splits)?;
        check_roots(attributes, &forest)?;
        check_ways(attributes, &forest)?;
        Ok(forest)
    }

    /// Out of the attributes of `TreeEnsemble`.
    pub(super) fn read_ensemble(attributes: &Attributes<'_>, targets: usize) -> Result<Self, Fault> {
        let splits = numbers(attributes, "nodes_splits")?;
        let weights = numbers(attributes, "leaf_weights")?;
        attributes.all_numbers("leaf_weights", &weights)?;
        let (nodes, leaves) = (splits.len(), weights.len());
        if std::mem::discriminant(&splits) != std::mem::discriminant(&weights) {
            return Err(attributes.wrong("leaf_weights", "is of another type than `nodes_splits`"));
        }
        let codes = match attributes.tensor("nodes_modes")? {
            Some(Values::Ints(codes)) => codes,
            _ => return Err(attributes.wrong("nodes_modes", "is no tensor of UINT8")),
        };
        attributes.has_length("nodes_modes", codes.len(), nodes)?;
        let modes = codes.iter().map(|&code| {
            let mode = usize::try_from(code).ok().and_then(|code| MODES.get(code));
            mode.map(|(_, mode)| *mode)
                .ok_or_else(|| attributes.wrong("nodes_modes", format!("holds {code}")))
        });
        let modes = modes.collect::<Result<Vec<Mode>, Fault>>()?;
        let sets = read_sets(attributes, &modes)?;
        let splits = with_sets(splits, &modes);
        attributes.all_numbers("nodes_splits", &splits)?;
        let missing = optional(attributes, "nodes_missing_value_tracks_true", nodes)?;
        let mut ways = Vec::with_capacity(nodes);
        let lists = [("nodes_truenodeids", "nodes_trueleafs"), ("nodes_falsenodeids", "nodes_falseleafs")];
        for (ids, flags) in lists {
            attributes.has_length(ids, attributes.ints(ids).len(), nodes)?;
            attributes.has_length(flags, attributes.ints(flags).len(), nodes)?;
        }
        for node in 0..nodes {
            let child = |(ids, flags): (&str, &str)| {
                let (id, is_leaf) = (attributes.ints(ids)[node], attributes.ints(flags)[node] != 0);
                let most = if is_leaf { leaves } else { nodes };
                let index = u32::try_from(id).ok().filter(|&id| (id as usize) < most);
                let kind = if is_leaf { "leaf" } else { "node" };
                let index = index.ok_or_else(|| {
                    attributes
                        .wrong(ids, format!("leads from node {node} to {kind} {id}, which is not there"))
                })?;
                Ok(if is_leaf { Child::Leaf(index) } else { Child::Node(index) })
            };
            ways.push([child(lists[0])?, child(lists[1])?]);
        }
        let roots = attributes.ints("tree_roots").iter().map(|&root| {
            let index = u32::try_from(root).ok().filter(|&root| (root as usize) < nodes);
            index.map(Child::Node).ok_or_else(|| {
                attributes.wrong("tree_roots", format!("names node {root}, which is not there"))
            })
        });
        let features = features(attributes, nodes)?;
        let leaf_targets = read_targets(attributes, "leaf_targetids", targets)?;
        attributes.has_length("leaf_targetids", leaf_targets.len(), leaves)?;
        let forest = Self {
            roots: roots.collect::<Result<_, _>>()?,
            features,
            modes,
            splits,
            ways,
            missing_is_true: (0..nodes).map(|node| missing.get(node) == Some(&1)).collect(),
            sets,
            leaves: (0..=leaves).collect(),
            targets: leaf_targets,
            weights,
        };
        check_roots(attributes, &forest)?;
        check_ways(attributes, &forest)?;
        Ok(forest)
    }
}

/// Nodes as the older operators list them: branches and leaves alike, each with
/// the number of its tree and its own in that.
struct Named<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    modes: Vec<Option<Mode>>,
    features: Vec<u32>,
    values: Values,
    missing: &'a [i64],
    places: HashMap<(i64, i64), usize>,
}

impl<'a> Named<'a> {
    fn read(attributes: &'a Attributes<'_>) -> Result<Self, Fault> {
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

    fn find(&self, tree: i64, id: i64) -> Option<usize> {
        self.places.get(&(tree, id)).copied()
    }

    /// The first node of each tree.
    fn roots(&self, attributes: &Attributes<'_>) -> Result<Vec<usize>, Fault> {
        let mut seen = std::collections::HashSet::new();
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
struct Weights {
    leaves: Vec<usize>,
    targets: Vec<u32>,
    values: Values,
}

impl Weights {
    fn read(
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

const MODES: [(&str, Mode); 7] = [
    ("BRANCH_LEQ", Mode::LessOrEqual),
    ("BRANCH_LT", Mode::Less),
    ("BRANCH_GTE", Mode::GreaterOrEqual),
    ("BRANCH_GT", Mode::Greater),
    ("BRANCH_EQ", Mode::Equal),
    ("BRANCH_NEQ", Mode::NotEqual),
    ("BRANCH_MEMBER", Mode::Member),
];

fn next(counter: &mut u32) -> u32 {
    *counter += 1;
    *counter - 1
}

fn pick(values: &Values, places: &[usize]) -> Values {
    match values {
        Values::Floats(values) => Values::Floats(places.iter().map(|&place| values[place]).collect()),
        Values::Doubles(values) => Values::Doubles(places.iter().map(|&place| values[place]).collect()),
        Values::Ints(_) | Values::Shorts(_) | Values::Texts(_) => Values::Floats(Vec::new()),
    }
}

fn numbers(attributes: &Attributes<'_>, name: &str) -> Result<Values, Fault> {
    match attributes.tensor(name)? {
        Some(values @ (Values::Floats(_) | Values::Doubles(_))) => Ok(values),
        _ => Err(attributes.wrong(name, "is no tensor of FLOAT or DOUBLE")),
    }
}

/// A list that is empty, or has an element for each node.
fn optional<'a>(attributes: &'a Attributes<'_>, name: &str, count: usize) -> Result<&'a [i64], Fault> {
    let list = attributes.ints(name);
    if !list.is_empty() {
        attributes.has_length(name, list.len(), count)?;
    }
    Ok(list)
}

fn features(attributes: &Attributes<'_>, count: usize) -> Result<Vec<u32>, Fault> {
    const NAME: &str = "nodes_featureids";
    let features = attributes.ints(NAME);
    attributes.has_length(NAME, features.len(), count)?;
    let features = features.iter().map(|&feature| {
        let known = i32::try_from(feature).ok().and_then(|feature| u32::try_from(feature).ok());
        known.ok_or_else(|| attributes.wrong(NAME, format!("holds {feature}, which is no feature")))
    });
    features.collect()
}

fn read_targets(attributes: &Attributes<'_>, name: &str, targets: usize) -> Result<Vec<u32>, Fault> {
    let ids = attributes.ints(name).iter().map(|&id| {
        let known = u32::try_from(id).ok().filter(|&id| (id as usize) < targets);
        known.ok_or_else(|| attributes.wrong(name, format!("holds {id}, and there are {targets}")))
    });
    ids.collect()
}

/// The members of each set, which are divided by what is not a number.
fn read_sets(attributes: &Attributes<'_>, modes: &[Mode]) -> Result<Vec<Vec<f64>>, Fault> {
    const NAME: &str = "membership_values";
    let count = modes.iter().filter(|&&mode| mode == Mode::Member).count();
    if count == 0 {
        return Ok(Vec::new());
    }
    let values = numbers(attributes, NAME)?;
    let values: Vec<f64> = (0..values.len()).map(|index| values.number(index)).collect();
    let mut sets: Vec<Vec<f64>> = values.split(|value| value.is_nan()).map(<[f64]>::to_vec).collect();
    if values.last().is_some_and(|value| value.is_nan()) {
        sets.pop();
    }
    attributes.has_length(NAME, sets.len(), count)?;
    if sets.iter().any(Vec::is_empty) {
        return Err(attributes.wrong(NAME, "has a set without members"));
    }
    if count > MOST_SETS {
        return Err(attributes.wrong(NAME, format!("has {count} sets, and {MOST_SETS} are possible")));
    }
    sets.iter_mut().for_each(|set| set.sort_by(f64::total_cmp));
    Ok(sets)
}

/// A float holds the numbers of so many sets.
const MOST_SETS: usize = 1 << 24;

/// Splits in which a node that asks for membership has the number of its set.
fn with_sets(splits: Values, modes: &[Mode]) -> Values {
    let mut set = 0.0;
    let mut number = |split: f64, mode: &Mode| {
        if *mode != Mode::Member {
            return split;
        }
        set += 1.0;
        set - 1.0
    };
    match splits {
        Values::Floats(splits) => {
            let pairs = splits.into_iter().zip(modes);
            Values::Floats(pairs.map(|(split, mode)| number(split.into(), mode) as f32).collect())
        }
        Values::Doubles(splits) => {
            Values::Doubles(splits.into_iter().zip(modes).map(|(split, mode)| number(split, mode)).collect())
        }
        other => other,
    }
}
