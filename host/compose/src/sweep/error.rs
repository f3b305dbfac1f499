//! What keeps a sweep from being run.

use super::INDEX_VARIABLE;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a sweep does not fit what it is to run, or what was run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{function}` is {kind}; a sweep runs commands, and functions of tensors")]
    Kind { function: String, kind: &'static str },
    #[error("the sweep has `{key}`, which is not for `{function}`: it is {kind}")]
    OtherKind { key: &'static str, function: String, kind: &'static str },
    #[error("the sweep has no point {index}; its {count} points are counted from 0")]
    NoPoint { index: usize, count: usize },
    #[error(
        "`{INDEX_VARIABLE}` is not set\nhint: Kubernetes sets it in the pods of a Job whose `completionMode` is `Indexed`"
    )]
    NoIndex,
    #[error("`{INDEX_VARIABLE}={text}` is no index")]
    WrongIndex { text: String },
    #[error("the parameter `{parameter}` is no input of `{function}`; its inputs are {}", list(inputs))]
    NoInput { parameter: String, function: String, inputs: Vec<String> },
    #[error("point {index}: `{parameter} = {value}`: {reason}")]
    Value { index: usize, parameter: String, value: String, reason: String },
    #[error(
        "the input `{input}` has no value\nhint: make it a parameter, or give it in the file that `inputs` names"
    )]
    NoValue { input: String },
    #[error("the objective `{name}` is no output of `{function}`; its outputs are {}", list(outputs))]
    NoOutput { name: String, function: String, outputs: Vec<String> },
    #[error("row {index} has other parameters than the sweep's point {index}: it is of another sweep")]
    OtherSweep { index: usize },
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
