//! Requests, and tensors as requests and responses carry them.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use samara_nn::{Datatype, NamedTensor, Tensor, TensorError, UnknownDatatype, format_shape};

use super::data::{DataProblem, parse_values};
use super::object::Object;
use super::wire;

/// What somebody asks of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Given back in the response.
    pub id: Option<String>,
    pub inputs: Vec<NamedTensor>,
    /// The outputs that are asked for; empty for all.
    pub outputs: Vec<String>,
}

/// What somebody asks of a function over HTTP.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpRequest {
    pub id: Option<String>,
    pub inputs: Vec<NamedTensor>,
    /// Empty for all.
    pub outputs: Vec<Wanted>,
    /// Whether outputs are to come behind the JSON where they do not say.
    pub is_binary: bool,
    /// How long the client is willing to wait.
    pub timeout: Option<Duration>,
}

/// An output that is asked for, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    /// Behind the JSON instead of in it.
    pub is_binary: Option<bool>,
    /// So many of the highest values instead of all.
    pub classes: Option<usize>,
}

/// JSON that is no request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("this is no request of the Open Inference Protocol: {0}\nhint: {HINT}")]
    Syntax(serde_json::Error),
    #[error("this is no request of the Open Inference Protocol: byte {at} of the JSON is not UTF-8")]
    NotText { at: usize },
    #[error("tensor `{tensor}`: {source}")]
    Datatype { tensor: String, source: UnknownDatatype },
    #[error("tensor `{tensor}`: {problem}")]
    Data { tensor: String, problem: DataProblem },
    #[error("tensor `{tensor}`: shape {} has a negative size", format_shape(shape))]
    Shape { tensor: String, shape: Vec<i64> },
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
        "tensor `{tensor}`: parameter `content_type` is \"base64\", which only BYTES have, not {datatype}"
    )]
    ContentType { tensor: String, datatype: Datatype },
    #[error(
        "tensor `{tensor}`: parameter `{parameter}` is for tensors that travel outside of the JSON, which only HTTP has"
    )]
    Binary { tensor: String, parameter: &'static str },
    #[error(
        "tensor `{tensor}`: parameter `binary_data_size` is {claimed}, and {left} bytes are left behind the JSON\nhint: the header `Inference-Header-Content-Length` says how many bytes the JSON has"
    )]
    BinarySize { tensor: String, claimed: i64, left: usize },
    #[error("{left} bytes behind the JSON belong to no tensor: each says its own in `binary_data_size`")]
    BinaryRest { left: usize },
    #[error("tensor `{tensor}` has both `data` and the parameter `binary_data_size`; send one of them")]
    BothForms { tensor: String },
    #[error(
        "tensor `{tensor}`: this server does not reach into a client's shared memory\nhint: send the tensor in the body, with `data` or `binary_data_size`"
    )]
    SharedMemory { tensor: String },
    #[error("tensor `{tensor}` is given twice")]
    Duplicate { tensor: String },
    #[error("output `{output}` is asked for twice")]
    SameOutput { output: String },
    #[error("output `{output}`: parameter `classification` is {found}, not a number of classes")]
    Classes { output: String, found: i64 },
    #[error("parameter `timeout` is {found}, not a number of microseconds")]
    Timeout { found: i64 },
    #[error(
        "parameter `sequence_id` is {found}, but functions keep nothing from one request to the next\nhint: leave it out, and send what a request depends on with it"
    )]
    Sequence { found: String },
}

const HINT: &str = "it looks like `{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [2], \"data\": [1, 2]}]}`";

impl Error {
    /// The input that is wrong, where it is one.
    pub fn tensor(&self) -> Option<&str> {
        match self {
            Error::Datatype { tensor, .. }
            | Error::Data { tensor, .. }
            | Error::Shape { tensor, .. }
            | Error::Count { tensor, .. }
            | Error::Nesting { tensor, .. }
            | Error::Base64 { tensor, .. }
            | Error::Tensor { tensor, .. }
            | Error::ContentType { tensor, .. } => Some(tensor),
            _ => None,
        }
    }
}

/// Parses a request.
///
/// # Errors
/// What is wrong with the JSON, or with the first tensor that is not sound.
pub fn parse_request(json: &str) -> Result<Request, Error> {
    let Object(request): Object<wire::Request<'_>> = serde_json::from_str(json).map_err(Error::Syntax)?;
    Ok(Request {
        id: request.id,
        inputs: tensors(request.inputs, None)?,
        outputs: request.outputs.unwrap_or_default().into_iter().map(|Object(output)| output.name).collect(),
    })
}

/// Parses a request of HTTP: JSON, and behind it the bytes of the tensors that
/// are not in it.
///
/// # Errors
/// As [`parse_request`], and bytes that are not as the JSON says.
pub fn parse_http_request(json: &[u8], behind: Bytes) -> Result<HttpRequest, Error> {
    let json = std::str::from_utf8(json).map_err(|error| Error::NotText { at: error.valid_up_to() })?;
    let Object(request): Object<wire::Request<'_>> = serde_json::from_str(json).map_err(Error::Syntax)?;
    let Object(parameters) = request.parameters.unwrap_or_default();
    // Clients that know sequences send 0 or an empty text for none.
    if let Some(sequence) = parameters.sequence_id.filter(|id| !matches!(id.get(), "0" | "\"\"")) {
        return Err(Error::Sequence { found: sequence.get().chars().take(64).collect() });
    }
    Ok(HttpRequest {
        id: request.id,
        inputs: tensors(request.inputs, Some(behind))?,
        outputs: wanted(request.outputs.unwrap_or_default())?,
        is_binary: parameters.binary_data_output.unwrap_or(false),
        timeout: timeout(parameters.timeout)?,
    })
}

/// Parses the output tensors of a response.
///
/// # Errors
/// As [`parse_request`].
pub fn parse_tensors(json: &str) -> Result<Vec<NamedTensor>, Error> {
    let Object(response): Object<wire::Response<'_>> = serde_json::from_str(json).map_err(Error::Syntax)?;
    tensors(response.outputs, None)
}

/// A timeout of 0 is none.
fn timeout(given: Option<i64>) -> Result<Option<Duration>, Error> {
    let Some(found) = given else { return Ok(None) };
    let microseconds = u64::try_from(found).map_err(|_| Error::Timeout { found })?;
    Ok((microseconds > 0).then(|| Duration::from_micros(microseconds)))
}

fn wanted(outputs: Vec<Object<wire::Output>>) -> Result<Vec<Wanted>, Error> {
    let mut names = Names::new(outputs.len());
    let wanted = |Object(output): Object<wire::Output>| {
        let wire::Output { name, parameters } = output;
        let Object(parameters) = parameters.unwrap_or_default();
        if !names.add(&name) {
            return Err(Error::SameOutput { output: name });
        }
        if parameters.shared_memory_region.is_some() {
            return Err(Error::SharedMemory { tensor: name });
        }
        let classes = match parameters.classification.map(|count| (count, usize::try_from(count))) {
            None | Some((0, _)) => None,
            Some((_, Ok(count))) => Some(count),
            Some((found, Err(_))) => return Err(Error::Classes { output: name, found }),
        };
        Ok(Wanted { name, is_binary: parameters.binary_data, classes })
    };
    outputs.into_iter().map(wanted).collect()
}

/// The tensors of a request, some of whose bytes lie behind it where there can
/// be any.
fn tensors(raw: Vec<Object<wire::Tensor<'_>>>, mut behind: Option<Bytes>) -> Result<Vec<NamedTensor>, Error> {
    let mut names = Names::new(raw.len());
    let mut tensors = Vec::with_capacity(raw.len());
    for Object(raw) in raw {
        if !names.add(&raw.name) {
            return Err(Error::Duplicate { tensor: raw.name });
        }
        let tensor = tensor(&raw, behind.as_mut())?;
        tensors.push((raw.name, tensor));
    }
    match behind {
        Some(rest) if !rest.is_empty() => Err(Error::BinaryRest { left: rest.len() }),
        _ => Ok(tensors),
    }
}

/// Names that were seen.
enum Names {
    /// Few are compared faster than hashed.
    Few(Vec<String>),
    Many(HashSet<String>),
}

impl Names {
    fn new(count: usize) -> Self {
        const FEW: usize = 8;
        match count {
            0 | 1 => Names::Few(Vec::new()),
            2..=FEW => Names::Few(Vec::with_capacity(count)),
            _ => Names::Many(HashSet::new()),
        }
    }

    /// Whether it is a new one.
    fn add(&mut self, name: &str) -> bool {
        match self {
            Names::Few(names) if names.iter().any(|other| other == name) => false,
            // One alone is never compared.
            Names::Few(names) if names.capacity() == 0 => true,
            Names::Few(names) => {
                names.push(name.to_owned());
                true
            }
            Names::Many(names) => names.insert(name.to_owned()),
        }
    }
}

fn tensor(raw: &wire::Tensor<'_>, behind: Option<&mut Bytes>) -> Result<Tensor, Error> {
    let name = || raw.name.clone();
    let datatype: Datatype =
        raw.datatype.parse().map_err(|source| Error::Datatype { tensor: name(), source })?;
    let shape = shape(raw)?;
    let parameters = raw.parameters.as_ref().map(|Object(parameters)| parameters);
    if parameters.is_some_and(|parameters| parameters.shared_memory_region.is_some()) {
        return Err(match behind {
            Some(_) => Error::SharedMemory { tensor: name() },
            None => Error::Binary { tensor: name(), parameter: "shared_memory_region" },
        });
    }
    if let Some(size) = parameters.and_then(|parameters| parameters.binary_data_size) {
        return binary(raw, datatype, shape, size, behind);
    }
    let Some(data) = raw.data else {
        let problem = DataProblem::Syntax("it has no `data`".to_owned());
        return Err(Error::Data { tensor: name(), problem });
    };
    let in_base64 = is_base64(raw, datatype)?;
    let values =
        parse_values(data.get(), datatype).map_err(|problem| Error::Data { tensor: name(), problem })?;
    check_shape(raw, &shape, &values.shape, values.tensor.len())?;
    let flat = if in_base64 { decode(raw, &values.tensor)? } else { values.tensor };
    flat.reshaped(shape).map_err(|source| Error::Tensor { tensor: name(), source })
}

fn shape(raw: &wire::Tensor<'_>) -> Result<Vec<usize>, Error> {
    let sizes: Result<Vec<usize>, _> = raw.shape.iter().map(|&size| usize::try_from(size)).collect();
    sizes.map_err(|_| Error::Shape { tensor: raw.name.clone(), shape: raw.shape.clone() })
}

/// A tensor whose bytes come next behind the JSON. They are not copied.
fn binary(
    raw: &wire::Tensor<'_>,
    datatype: Datatype,
    shape: Vec<usize>,
    claimed: i64,
    behind: Option<&mut Bytes>,
) -> Result<Tensor, Error> {
    let name = || raw.name.clone();
    let Some(behind) = behind else {
        return Err(Error::Binary { tensor: name(), parameter: "binary_data_size" });
    };
    if raw.data.is_some() {
        return Err(Error::BothForms { tensor: name() });
    }
    let left = behind.len();
    let size = usize::try_from(claimed).ok().filter(|&size| size <= left);
    let size = size.ok_or_else(|| Error::BinarySize { tensor: name(), claimed, left })?;
    Tensor::new(datatype, shape, behind.split_to(size))
        .map_err(|source| Error::Tensor { tensor: name(), source })
}

/// Whether the elements are in base64. Other content types are hints for
/// clients' libraries and change nothing.
fn is_base64(raw: &wire::Tensor<'_>, datatype: Datatype) -> Result<bool, Error> {
    let content_type =
        raw.parameters.as_ref().and_then(|Object(parameters)| parameters.content_type.as_deref());
    match content_type {
        Some("base64") if datatype == Datatype::Bytes => Ok(true),
        Some("base64") => Err(Error::ContentType { tensor: raw.name.clone(), datatype }),
        _ => Ok(false),
    }
}

/// Data may be flat, or nested as the shape says.
fn check_shape(
    raw: &wire::Tensor<'_>,
    shape: &[usize],
    nesting: &[usize],
    found: usize,
) -> Result<(), Error> {
    let tensor = || raw.name.clone();
    let expected = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let Some(expected) = expected else {
        let source = TensorError::Overflow { shape: shape.to_vec() };
        return Err(Error::Tensor { tensor: tensor(), source });
    };
    if expected != found {
        return Err(Error::Count { tensor: tensor(), shape: shape.to_vec(), expected, found });
    }
    if nesting.len() > 1 && nesting != shape {
        return Err(Error::Nesting { tensor: tensor(), shape: shape.to_vec(), found: nesting.to_vec() });
    }
    Ok(())
}

fn decode(raw: &wire::Tensor<'_>, tensor: &Tensor) -> Result<Tensor, Error> {
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
#[path = "request_tests.rs"]
mod tests;
