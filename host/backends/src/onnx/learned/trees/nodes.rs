//! The nodes of trees, out of lists that say of each what it is.

use super::super::{Attributes, Fault, Values};
use super::named::{Named, Weights};
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

pub(super) const MODES: [(&str, Mode); 7] = [
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

pub(super) fn pick(values: &Values, places: &[usize]) -> Values {
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
pub(super) fn optional<'a>(
    attributes: &'a Attributes<'_>,
    name: &str,
    count: usize,
) -> Result<&'a [i64], Fault> {
    let list = attributes.ints(name);
    if !list.is_empty() {
        attributes.has_length(name, list.len(), count)?;
    }
    Ok(list)
}

pub(super) fn features(attributes: &Attributes<'_>, count: usize) -> Result<Vec<u32>, Fault> {
    const NAME: &str = "nodes_featureids";
    let features = attributes.ints(NAME);
    attributes.has_length(NAME, features.len(), count)?;
    let features = features.iter().map(|&feature| {
        let known = i32::try_from(feature).ok().and_then(|feature| u32::try_from(feature).ok());
        known.ok_or_else(|| attributes.wrong(NAME, format!("holds {feature}, which is no feature")))
    });
    features.collect()
}

pub(super) fn read_targets(
    attributes: &Attributes<'_>,
    name: &str,
    targets: usize,
) -> Result<Vec<u32>, Fault> {
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
