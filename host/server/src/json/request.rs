//! Requests, and tensors as requests and responses carry them.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use samara_nn::{Datatype, NamedTensor, Tensor, TensorError, UnknownDatatype, format_shape};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::data::{DataProblem, parse_values};

/// What somebody asks of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Given back in the response.
    pub id: Option<String>,
    pub inputs: Vec<NamedTensor>,
    /// The outputs that are asked for; empty for all.
    pub outputs: Vec<String>,
}

/// JSON that is no request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this is no request of the Open Inference Protocol: {0}\nhint: {HINT}")]
    Syntax(serde_json::Error),
    #[error("tensor `{tensor}`: {source}")]
    Datatype { tensor: String, source: UnknownDatatype },
    #[error("tensor `{tensor}`: {problem}")]
    Data { tensor: String, problem: DataProblem },
    #[error(
        "tensor `{tensor}`: shape {} holds {expected} elements, but `data` has {found}",
        format_shape(shape)
    )]
    Count { tensor: String, shape: Vec<usize>, expected: usize, found: usize },
    #[error(
        "tensor `{tensor}`: `data` is nested as {}, but `shape` is {}",
        format_shape(found),
        format_shape(shape)
    )]
    Nesting { tensor: String, shape: Vec<usize>, found: Vec<usize> },
    #[error("tensor `{tensor}`, element {index}: it is not base64: {reason}")]
    Base64 { tensor: String, index: usize, reason: String },
    #[error("tensor `{tensor}`: {source}")]
    Tensor { tensor: String, source: TensorError },
    #[error(
        "tensor `{tensor}`: parameter `content_type` is \"{found}\"; only BYTES may have one, and only \"base64\""
    )]
    ContentType { tensor: String, found: String },
    #[error(
        "tensor `{tensor}`: parameter `{parameter}` is for tensors that travel outside of the JSON, which only HTTP has"
    )]
    Binary { tensor: String, parameter: &'static str },
    #[error("tensor `{tensor}` is given twice")]
    Duplicate { tensor: String },
}

const HINT: &str = "it looks like `{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [2], \"data\": [1, 2]}]}`";

/// Parses a request.
///
/// # Errors
/// What is wrong with the JSON, or with the first tensor that is not sound.
pub fn parse_request(json: &str) -> Result<Request, Error> {
    let request: RawRequest<'_> = serde_json::from_str(json).map_err(Error::Syntax)?;
    Ok(Request {
        id: request.id,
        inputs: tensors(request.inputs)?,
        outputs: request.outputs.into_iter().map(|output| output.name).collect(),
    })
}

/// Parses the output tensors of a response.
///
/// # Errors
/// As [`parse_request`].
pub fn parse_tensors(json: &str) -> Result<Vec<NamedTensor>, Error> {
    let response: RawResponse<'_> = serde_json::from_str(json).map_err(Error::Syntax)?;
    tensors(response.outputs)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "parameters")]
    _parameters: serde::de::IgnoredAny,
    #[serde(borrow)]
    inputs: Vec<RawTensor<'a>>,
    #[serde(default)]
    outputs: Vec<RawOutput>,
}

#[derive(Deserialize)]
struct RawResponse<'a> {
    #[serde(borrow)]
    outputs: Vec<RawTensor<'a>>,
}

#[derive(Deserialize)]
struct RawOutput {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor<'a> {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    #[serde(default)]
    parameters: RawParameters,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct RawParameters {
    content_type: Option<String>,
    binary_data_size: Option<u64>,
    shared_memory_region: Option<String>,
}

fn tensors(raw: Vec<RawTensor<'_>>) -> Result<Vec<NamedTensor>, Error> {
    let mut names = HashSet::new();
    raw.into_iter()
        .map(|raw| {
            if !names.insert(raw.name.clone()) {
                return Err(Error::Duplicate { tensor: raw.name });
            }
            let tensor = tensor(&raw)?;
            Ok((raw.name, tensor))
        })
        .collect()
}

fn tensor(raw: &RawTensor<'_>) -> Result<Tensor, Error> {
    let name = || raw.name.clone();
    let datatype: Datatype =
        raw.datatype.parse().map_err(|source| Error::Datatype { tensor: name(), source })?;
    let in_base64 = check_parameters(raw, datatype)?;
    let Some(data) = raw.data else {
        let problem = DataProblem::Syntax("it has no `data`".to_owned());
        return Err(Error::Data { tensor: name(), problem });
    };
    let values =
        parse_values(data.get(), datatype).map_err(|problem| Error::Data { tensor: name(), problem })?;
    check_shape(raw, &values.shape, values.tensor.len())?;
    let flat = if in_base64 { decode(raw, &values.tensor)? } else { values.tensor };
    flat.reshaped(raw.shape.clone()).map_err(|source| Error::Tensor { tensor: name(), source })
}

/// Whether the elements are in base64.
fn check_parameters(raw: &RawTensor<'_>, datatype: Datatype) -> Result<bool, Error> {
    let parameters = &raw.parameters;
    let tensor = || raw.name.clone();
    if parameters.binary_data_size.is_some() {
        return Err(Error::Binary { tensor: tensor(), parameter: "binary_data_size" });
    }
    if parameters.shared_memory_region.is_some() {
        return Err(Error::Binary { tensor: tensor(), parameter: "shared_memory_region" });
    }
    match parameters.content_type.as_deref() {
        None => Ok(false),
        Some("base64") if datatype == Datatype::Bytes => Ok(true),
        Some(found) => Err(Error::ContentType { tensor: tensor(), found: found.to_owned() }),
    }
}

/// Data may be flat, or nested as the shape says.
fn check_shape(raw: &RawTensor<'_>, nesting: &[usize], found: usize) -> Result<(), Error> {
    let (tensor, shape) = (|| raw.name.clone(), raw.shape.clone());
    let expected = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let Some(expected) = expected else {
        return Err(Error::Tensor { tensor: tensor(), source: TensorError::Overflow { shape } });
    };
    if expected != found {
        return Err(Error::Count { tensor: tensor(), shape, expected, found });
    }
    if nesting.len() > 1 && nesting != shape {
        return Err(Error::Nesting { tensor: tensor(), shape, found: nesting.to_vec() });
    }
    Ok(())
}

fn decode(raw: &RawTensor<'_>, tensor: &Tensor) -> Result<Tensor, Error> {
    let wrong = |source| Error::Tensor { tensor: raw.name.clone(), source };
    let decode_one = |(index, text): (usize, &[u8])| {
        BASE64.decode(text).map_err(|error| Error::Base64 {
            tensor: raw.name.clone(),
            index,
            reason: error.to_string(),
        })
    };
    let texts = tensor.byte_strings().map_err(wrong)?;
    let elements: Vec<Vec<u8>> = texts.into_iter().enumerate().map(decode_one).collect::<Result<_, _>>()?;
    Tensor::from_elements([elements.len()], elements).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor_json(datatype: &str, shape: &str, data: &str) -> String {
        format!(
            r#"{{"inputs": [{{"name": "x", "datatype": "{datatype}", "shape": {shape}, "data": {data}}}]}}"#
        )
    }

    fn refusal(json: &str) -> String {
        parse_request(json).unwrap_err().to_string()
    }

    #[test]
    fn a_request_arrives() {
        let json = r#"{"id": "7", "parameters": {"a": 1}, "outputs": [{"name": "y"}],
            "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4.5]]},
                       {"name": "s", "shape": [], "datatype": "INT64", "data": [3]}]}"#;
        let request = parse_request(json).unwrap();
        assert_eq!(request.id.as_deref(), Some("7"));
        assert_eq!(request.outputs, ["y"]);
        assert_eq!(request.inputs[0].1.shape(), [2, 2]);
        assert_eq!(request.inputs[0].1.elements::<f32>().unwrap().as_ref(), [1.0, 2.0, 3.0, 4.5]);
        assert_eq!(request.inputs[1].1.shape(), [0usize; 0]);
    }

    #[test]
    fn flat_data_take_the_shape() {
        let request = parse_request(&tensor_json("UINT8", "[2, 2]", "[1, 2, 3, 4]")).unwrap();
        assert_eq!(request.inputs[0].1.shape(), [2, 2]);
    }

    #[test]
    fn shapes_and_data_must_agree() {
        assert_eq!(
            refusal(&tensor_json("FP32", "[2, 3]", "[1, 2, 3, 4, 5]")),
            "tensor `x`: shape [2,3] holds 6 elements, but `data` has 5"
        );
        assert_eq!(
            refusal(&tensor_json("FP32", "[2, 3]", "[[1, 2], [3, 4], [5, 6]]")),
            "tensor `x`: `data` is nested as [3,2], but `shape` is [2,3]"
        );
        assert!(refusal(&tensor_json("FP32", "[-1]", "[1]")).contains("invalid value: integer `-1`"));
        assert!(
            refusal(&tensor_json("FP32", "[4294967296, 4294967296]", "[1]"))
                .contains("more elements than memory can address")
        );
    }

    #[test]
    fn tensors_are_named_in_errors() {
        assert_eq!(
            refusal(&tensor_json("INT8", "[2]", "[1, 300]")),
            "tensor `x`: element 1: 300 is outside INT8, which goes from -128 to 127"
        );
        assert!(
            refusal(&tensor_json("FLOAT", "[1]", "[1]")).starts_with("tensor `x`: unknown datatype `FLOAT`;")
        );
        let twice = r#"{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1]},
                                   {"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}]}"#;
        assert_eq!(refusal(twice), "tensor `x` is given twice");
        let none = r#"{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1]}]}"#;
        assert_eq!(refusal(none), "tensor `x`: it has no `data`");
    }

    #[test]
    fn other_json_is_no_request() {
        for json in ["", "[]", "{}", r#"{"inputs": 1}"#, r#"{"instances": []}"#] {
            let message = refusal(json);
            assert!(message.starts_with("this is no request of the Open Inference Protocol: "), "{message}");
            assert!(message.contains("\nhint: it looks like `{\"inputs\""), "{message}");
        }
    }

    #[test]
    fn bytes_may_come_in_base64() {
        let json = |parameters: &str, data: &str| {
            format!(
                r#"{{"inputs": [{{"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {parameters}, "data": [{data}]}}]}}"#
            )
        };
        let request = parse_request(&json(r#"{"content_type": "base64"}"#, r#""/wA=""#)).unwrap();
        assert_eq!(request.inputs[0].1.byte_strings().unwrap(), [&[0xff, 0][..]]);
        assert!(
            refusal(&json(r#"{"content_type": "base64"}"#, r#""?""#))
                .starts_with("tensor `x`, element 0: it is not base64: ")
        );
        assert!(refusal(&json(r#"{"content_type": "np"}"#, r#""a""#)).contains("is \"np\"; only BYTES"));
        assert!(refusal(&json(r#"{"binary_data_size": 3}"#, r#""a""#)).contains("which only HTTP has"));
    }
}
