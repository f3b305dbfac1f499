//! Ensembles of decision trees: every node is where its parent says, every way
//! ends at a leaf, and every leaf has something to say.

mod named;
mod nodes;
mod roots;

use super::super::quote;
use super::{Attributes, Fault, Labels, Transform, Values};
pub(crate) use nodes::{Child, Forest, Mode};

/// The class for which the leaves that a row reaches say most.
#[derive(Debug)]
pub(crate) struct TreeClassifier {
    pub(crate) forest: Forest,
    pub(crate) labels: Labels,
    /// What is added to the scores: nothing, or a number for each, or one of
    /// two classes.
    pub(crate) base: Values,
    pub(crate) transform: Transform,
    /// Whether all leaves speak of one and the same of two classes.
    pub(crate) binary: bool,
    pub(crate) all_positive: bool,
}

/// What the leaves that a row reaches say together.
#[derive(Debug)]
pub(crate) struct TreeRegressor {
    pub(crate) forest: Forest,
    pub(crate) targets: usize,
    /// What is added to the scores: nothing, or a number for each.
    pub(crate) base: Values,
    pub(crate) aggregate: Aggregate,
    pub(crate) transform: Transform,
    /// Whether what it gives has the type of what it takes; else it is FP32.
    pub(crate) keeps_type: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Average,
    Sum,
    Min,
    Max,
}

/// More targets than any model has: each run makes a number for every one.
const MOST_TARGETS: usize = 1 << 20;

impl TreeClassifier {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let labels = Labels::read(attributes, "classlabels_int64s", "classlabels_strings")?;
        if matches!(&labels, Labels::Texts(names) if names.len() == 1) {
            return Err(
                attributes.wrong("classlabels_strings", "names one class, and a row may belong to none")
            );
        }
        let base = attributes.floats_or_tensor("base_values")?;
        let fits = base.is_empty() || base.len() == labels.len() || (labels.len() == 2 && base.len() == 1);
        if !fits {
            attributes.has_length("base_values", base.len(), labels.len())?;
        }
        let forest = Forest::read(attributes, "class", labels.len())?;
        let first = forest.targets.first();
        let binary = labels.len() == 2 && forest.targets.iter().all(|target| Some(target) == first);
        let all_positive = (0..forest.weights.len()).all(|index| forest.weights.number(index) >= 0.0);
        let transform = Transform::read(attributes)?;
        Ok(Self { forest, labels, base, transform, binary, all_positive })
    }
}

impl TreeRegressor {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        const AGGREGATE: &str = "aggregate_function";
        let targets = targets(attributes)?;
        let aggregate = match attributes.text(AGGREGATE)?.unwrap_or("SUM") {
            "AVERAGE" => Aggregate::Average,
            "SUM" => Aggregate::Sum,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => return Err(attributes.wrong(AGGREGATE, format!("is {}", quote(other)))),
        };
        let base = attributes.floats_or_tensor("base_values")?;
        if !base.is_empty() {
            attributes.has_length("base_values", base.len(), targets)?;
        }
        let forest = Forest::read(attributes, "target", targets)?;
        let transform = Transform::read(attributes)?;
        Ok(Self { forest, targets, base, aggregate, transform, keeps_type: false })
    }

    /// Out of the attributes of `TreeEnsemble`, which counts where the others name.
    pub(super) fn read_ensemble(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let targets = targets(attributes)?;
        let aggregate = match attributes.int("aggregate_function").unwrap_or(1) {
            0 => Aggregate::Average,
            1 => Aggregate::Sum,
            2 => Aggregate::Min,
            3 => Aggregate::Max,
            other => return Err(attributes.wrong("aggregate_function", format!("is {other}"))),
        };
        // As ONNX Runtime counts: the specification has 1 and 2 the other way round.
        let transform = match attributes.int("post_transform").unwrap_or(0) {
            0 => Transform::None,
            1 => Transform::Logistic,
            2 => Transform::Softmax,
            3 => Transform::SoftmaxZero,
            4 => Transform::Probit,
            other => return Err(attributes.wrong("post_transform", format!("is {other}"))),
        };
        let forest = Forest::read_ensemble(attributes, targets)?;
        let base = Values::Floats(Vec::new());
        Ok(Self { forest, targets, base, aggregate, transform, keeps_type: true })
    }
}

fn targets(attributes: &Attributes<'_>) -> Result<usize, Fault> {
    let targets = attributes.int("n_targets").unwrap_or(0);
    usize::try_from(targets).ok().filter(|targets| (1..=MOST_TARGETS).contains(targets)).ok_or_else(|| {
        attributes.wrong("n_targets", format!("is {targets}; from 1 to {MOST_TARGETS} are possible"))
    })
}
