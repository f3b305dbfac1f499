//! What a function says of itself, and what it says when it refuses, turned
//! into the host's types. All of it comes from the guest and is bounded here.

use std::collections::BTreeSet;

use samara_nn::{ANY_SIZE, Datatype, Signature, TensorSpec};

use crate::error::{Error, ErrorKind};
use crate::models::Models;
use crate::wasi::nn::contract;

const MOST_TENSORS: usize = 1024;
const MOST_AXES: usize = 32;
const LONGEST_NAME: usize = 256;
const LONGEST_MESSAGE: usize = 4096;

/// Checks a described signature.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn signature(described: contract::Signature) -> Result<Signature, String> {
    Ok(Signature { inputs: specs("input", described.inputs)?, outputs: specs("output", described.outputs)? })
}

fn specs(role: &str, described: Vec<contract::TensorSpec>) -> Result<Vec<TensorSpec>, String> {
    if described.len() > MOST_TENSORS {
        return Err(format!("it has {} {role}s; {MOST_TENSORS} are the most", described.len()));
    }
    let mut names = BTreeSet::new();
    described
        .into_iter()
        .map(|spec| {
            let name = &spec.name;
            if name.is_empty() || name.len() > LONGEST_NAME {
                return Err(format!(
                    "an {role} has a name of {} bytes; 1 to {LONGEST_NAME} are allowed",
                    name.len()
                ));
            }
            if !names.insert(name.clone()) {
                return Err(format!("two {role}s are called `{name}`"));
            }
            if spec.shape.len() > MOST_AXES {
                return Err(format!(
                    "{role} `{name}` has {} axes; {MOST_AXES} are the most",
                    spec.shape.len()
                ));
            }
            if let Some(size) = spec.shape.iter().find(|&&size| size < ANY_SIZE) {
                return Err(format!("{role} `{name}` has an axis of size {size}; use -1 for any size"));
            }
            Ok(TensorSpec {
                datatype: datatype(spec.datatype),
                shape: spec.shape,
                media_type: spec.media_type,
                labels: Vec::new(),
                quantisation: None,
                name: spec.name,
            })
        })
        .collect()
}

/// Gives outputs that are called as those of a model of the function the labels of
/// those. Where models differ in them, nobody knows which are meant.
pub(crate) fn take_labels(signature: &mut Signature, models: &Models) {
    for output in &mut signature.outputs {
        let made = models.by_name.values().filter_map(|model| model.signature().output(&output.name));
        let mut made = made.filter(|made| !made.labels.is_empty());
        if let Some(first) = made.next()
            && made.all(|other| other.labels == first.labels)
        {
            output.take_labels(first);
        }
    }
}

/// Turns a function's refusal into an error.
pub(crate) fn refusal(function: &str, error: contract::Error) -> Error {
    use contract::ErrorKind as Guest;
    let kind = match error.kind {
        Guest::InvalidInput => ErrorKind::InvalidInput,
        Guest::NotFound => ErrorKind::NotFound,
        Guest::Unsupported => ErrorKind::Unsupported,
        Guest::Timeout => ErrorKind::Timeout,
        Guest::TooLarge => ErrorKind::TooLarge,
        Guest::Internal => ErrorKind::FunctionFailed,
    };
    let mut message = error.message;
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message.push('…');
    }
    Error::Answered { function: function.to_owned(), kind, message }
}

fn datatype(described: contract::Datatype) -> Datatype {
    use contract::Datatype as Guest;
    match described {
        Guest::Bool => Datatype::Bool,
        Guest::Uint8 => Datatype::Uint8,
        Guest::Uint16 => Datatype::Uint16,
        Guest::Uint32 => Datatype::Uint32,
        Guest::Uint64 => Datatype::Uint64,
        Guest::Int8 => Datatype::Int8,
        Guest::Int16 => Datatype::Int16,
        Guest::Int32 => Datatype::Int32,
        Guest::Int64 => Datatype::Int64,
        Guest::Fp16 => Datatype::Fp16,
        Guest::Bf16 => Datatype::Bf16,
        Guest::Fp32 => Datatype::Fp32,
        Guest::Fp64 => Datatype::Fp64,
        Guest::Bytes => Datatype::Bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: Vec<i64>) -> contract::TensorSpec {
        contract::TensorSpec {
            name: name.into(),
            datatype: contract::Datatype::Fp32,
            shape,
            media_type: None,
        }
    }

    fn complaint(inputs: Vec<contract::TensorSpec>) -> String {
        signature(contract::Signature { inputs, outputs: vec![] }).unwrap_err()
    }

    #[test]
    fn senseless_descriptions_are_refused() {
        assert!(complaint(vec![spec("", vec![])]).contains("a name of 0 bytes"));
        assert!(complaint(vec![spec("x", vec![]), spec("x", vec![])]).contains("two inputs are called `x`"));
        assert!(complaint(vec![spec("x", vec![-2])]).contains("size -2"));
        assert!(complaint(vec![spec("x", vec![1; 33])]).contains("33 axes"));
    }

    #[test]
    fn a_flood_of_words_is_cut() {
        let flood = contract::Error { kind: contract::ErrorKind::Internal, message: "é".repeat(1 << 20) };
        assert!(refusal("f", flood).to_string().len() < 2 * LONGEST_MESSAGE);
    }
}
