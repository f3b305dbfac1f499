//! The operators of the domain `ai.onnx.ml`, which models of scikit-learn and of
//! its like are made of: their attributes, checked before any engine sees them.
//! An engine that trusts a tree whose nodes run in a circle never ends.

mod encoders;
mod linear;
mod scaling;
mod svm;
mod trees;

use super::attributes::Attributes;
pub(crate) use super::attributes::{Fault, Values};
use super::{Dim, Node};
pub(crate) use encoders::{LabelEncoder, OneHotEncoder};
pub(crate) use linear::{LinearClassifier, LinearRegressor};
pub(crate) use scaling::{Binarizer, FeatureVectorizer, Imputer, Normalizer, Scaler};
pub(crate) use svm::{SvmClassifier, SvmRegressor};
pub(crate) use trees::{TreeClassifier, TreeRegressor};
// What they are made of, for the engine that is given it.
#[cfg(feature = "tract")]
pub(crate) use {
    encoders::Classes,
    scaling::{Imputed, Norm},
    svm::{Kernel, Machine, Svc},
    trees::{Aggregate, Child, Forest, Mode},
};

/// The name of the domain.
pub(crate) const DOMAIN: &str = "ai.onnx.ml";

/// The newest version of the domain that is known.
pub(crate) const NEWEST: i64 = 5;

/// What an operator has learned.
#[derive(Debug)]
pub(crate) enum Learned {
    Binarizer(Binarizer),
    FeatureVectorizer(FeatureVectorizer),
    Imputer(Imputer),
    LabelEncoder(LabelEncoder),
    LinearClassifier(LinearClassifier),
    LinearRegressor(LinearRegressor),
    Normalizer(Normalizer),
    OneHotEncoder(OneHotEncoder),
    Scaler(Scaler),
    SvmClassifier(SvmClassifier),
    SvmRegressor(SvmRegressor),
    TreeClassifier(TreeClassifier),
    TreeRegressor(TreeRegressor),
}

/// The operators that are read here.
pub(crate) const OPERATORS: [&str; 14] = [
    "Binarizer",
    "FeatureVectorizer",
    "Imputer",
    "LabelEncoder",
    "LinearClassifier",
    "LinearRegressor",
    "Normalizer",
    "OneHotEncoder",
    "SVMClassifier",
    "SVMRegressor",
    "Scaler",
    "TreeEnsemble",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
];

/// The names of classes: numbers or text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Labels {
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// What becomes of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl Learned {
    /// What a node of the domain has learned, `None` for other nodes. `version` is
    /// the domain's.
    ///
    /// # Errors
    /// When its attributes are unsound.
    pub(crate) fn read(node: &Node<'_>, version: i64) -> Result<Option<Self>, Fault> {
        if node.domain != DOMAIN || !OPERATORS.contains(&node.operator) {
            return Ok(None);
        }
        let attributes = Attributes::read(node)?;
        let of = &attributes;
        Ok(Some(match node.operator {
            "Binarizer" => Learned::Binarizer(Binarizer::read(of)?),
            "FeatureVectorizer" => {
                Learned::FeatureVectorizer(FeatureVectorizer::read(of, node.inputs.len())?)
            }
            "Imputer" => Learned::Imputer(Imputer::read(of)?),
            "LabelEncoder" => Learned::LabelEncoder(LabelEncoder::read(of, version)?),
            "LinearClassifier" => Learned::LinearClassifier(LinearClassifier::read(of)?),
            "LinearRegressor" => Learned::LinearRegressor(LinearRegressor::read(of)?),
            "Normalizer" => Learned::Normalizer(Normalizer::read(of)?),
            "OneHotEncoder" => Learned::OneHotEncoder(OneHotEncoder::read(of)?),
            "Scaler" => Learned::Scaler(Scaler::read(of)?),
            "SVMClassifier" => Learned::SvmClassifier(SvmClassifier::read(of)?),
            "SVMRegressor" => Learned::SvmRegressor(SvmRegressor::read(of)?),
            "TreeEnsembleClassifier" => Learned::TreeClassifier(TreeClassifier::read(of)?),
            "TreeEnsembleRegressor" => Learned::TreeRegressor(TreeRegressor::read(of)?),
            _ => Learned::TreeRegressor(TreeRegressor::read_ensemble(of)?),
        }))
    }

    /// Whether rows of so many features are what it has learned from.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn check_width(&self, width: usize) -> Result<(), String> {
        let exactly = |learned: usize| match learned == width {
            true => Ok(()),
            false => Err(format!("it has learned from {learned} features, and its input has {width}")),
        };
        let each_or = |learned: usize| if learned == 1 { Ok(()) } else { exactly(learned) };
        match self {
            Learned::Binarizer(_) | Learned::FeatureVectorizer(_) | Learned::LabelEncoder(_) => Ok(()),
            Learned::Normalizer(_) | Learned::OneHotEncoder(_) => Ok(()),
            Learned::Imputer(imputer) => each_or(imputer.values.len()),
            Learned::Scaler(scaler) => each_or(scaler.scale.len()),
            Learned::LinearClassifier(linear) => exactly(linear.width),
            Learned::LinearRegressor(linear) => exactly(linear.width),
            Learned::SvmClassifier(svm) => exactly(svm.width()),
            Learned::SvmRegressor(svm) => exactly(svm.width()),
            Learned::TreeClassifier(trees) => trees.forest.check_width(width),
            Learned::TreeRegressor(trees) => trees.forest.check_width(width),
        }
    }

    /// The same for what a file declares of a tensor; open sizes are fine.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn check_declared(&self, shape: &[Dim<'_>]) -> Result<(), String> {
        match shape {
            [Dim::Fixed(width)] | [_, Dim::Fixed(width)] => {
                self.check_width(usize::try_from(*width).unwrap_or(usize::MAX))
            }
            _ => Ok(()),
        }
    }

    /// How many numbers it gives for each row, where it gives nothing else.
    pub(crate) fn columns(&self) -> Option<usize> {
        match self {
            Learned::LinearRegressor(linear) => Some(linear.intercepts.len()),
            Learned::TreeRegressor(trees) => Some(trees.targets),
            _ => None,
        }
    }
}

impl Labels {
    pub(crate) fn len(&self) -> usize {
        match self {
            Labels::Ints(labels) => labels.len(),
            Labels::Texts(labels) => labels.len(),
        }
    }

    /// Out of two attributes, of which text counts where both are there.
    fn read(attributes: &Attributes<'_>, ints: &str, texts: &str) -> Result<Self, Fault> {
        let words = attributes.texts(texts)?;
        if !words.is_empty() {
            return Ok(Labels::Texts(words.into_iter().map(str::to_owned).collect()));
        }
        match attributes.ints(ints) {
            [] => Err(attributes.fault(format!("it has neither `{ints}` nor `{texts}`"))),
            labels => Ok(Labels::Ints(labels.to_vec())),
        }
    }
}

impl Transform {
    fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        const NAME: &str = "post_transform";
        Ok(match attributes.text(NAME)?.unwrap_or("NONE") {
            "NONE" => Transform::None,
            "SOFTMAX" => Transform::Softmax,
            "LOGISTIC" => Transform::Logistic,
            "SOFTMAX_ZERO" => Transform::SoftmaxZero,
            "PROBIT" => Transform::Probit,
            other => return Err(attributes.wrong(NAME, format!("is {}", super::quote(other)))),
        })
    }
}
