//! Requests for inference, from a body and its headers. Pure: no server, no
//! socket.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use samara_nn::{ANY_SIZE, Datatype, Signature, Tensor, TensorSpec, format_shape};

use crate::error::{Error, Result};
use crate::json::{self, HttpRequest, parse_http_request};

/// The header that says how many bytes of a body are JSON; the rest are
/// tensors.
pub const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What a body holds.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    Request(HttpRequest),
    /// Nothing but the bytes of the only input.
    Raw(Bytes),
}

/// How many bytes of the body are JSON, where the client says so.
///
/// # Errors
/// [`Error::Malformed`] for what is no number.
pub fn json_length(headers: &HeaderMap) -> Result<Option<usize>> {
    let Some(value) = headers.get(JSON_LENGTH) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| {
        let value = String::from_utf8_lossy(value.as_bytes());
        Error::Malformed(format!(
            "the header `Inference-Header-Content-Length` is {value:?}, not a number of bytes"
        ))
    })
}

/// Reads a body of which so many bytes are JSON, or all.
///
/// # Errors
/// Where it is no request; the tensors are not held against a signature yet.
pub fn request(json_length: Option<usize>, body: Bytes) -> Result<Decoded, Wrong> {
    let request = match json_length {
        None => parse_http_request(&body, Bytes::new()),
        Some(0) => return Ok(Decoded::Raw(body)),
        Some(length) if length > body.len() => return Err(Wrong::Length { length, body: body.len() }),
        Some(length) => parse_http_request(&body[..length], body.slice(length..)),
    };
    Ok(Decoded::Request(request?))
}

/// Why a body is no request.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    #[error("the header `Inference-Header-Content-Length` is {length}, but the body has {body} bytes")]
    Length { length: usize, body: usize },
    #[error(transparent)]
    Json(#[from] json::Error),
}

impl Wrong {
    /// The error for a client, with what the function takes.
    pub fn of(self, signature: &Signature) -> Error {
        match self {
            Wrong::Length { .. } => Error::Malformed(self.to_string()),
            Wrong::Json(error) => match error.tensor().and_then(|name| signature.input(name)) {
                Some(spec) => Error::Malformed(format!("{error}; the function takes `{spec}`")),
                None => Error::Json(error),
            },
        }
    }
}

/// The request that a body without JSON stands for: all outputs for the only
/// input, behind the JSON.
///
/// # Errors
/// [`Error::Malformed`] where the size of the body leaves the input's shape
/// open.
pub fn raw(signature: &Signature, body: Bytes) -> Result<HttpRequest> {
    let [spec] = signature.inputs.as_slice() else {
        let known: Vec<String> = signature.inputs.iter().map(ToString::to_string).collect();
        return Err(Error::Malformed(format!(
            "a body without JSON is for functions of one input; this one takes `{}`",
            known.join("`, `")
        )));
    };
    let wrong = |error: samara_nn::TensorError| {
        Error::Malformed(format!("tensor `{}`: {error}; the function takes `{spec}`", spec.name))
    };
    let shape = raw_shape(spec, body.len())?;
    let tensor = match spec.datatype {
        Datatype::Bytes => Tensor::from_elements(shape, [&body]),
        datatype => Tensor::new(datatype, shape, body),
    };
    let inputs = vec![(spec.name.clone(), tensor.map_err(wrong)?)];
    Ok(HttpRequest { inputs, is_binary: true, ..HttpRequest::default() })
}

/// The shape of an input that so many bytes fill: one row where rows are
/// counted, and one more axis that may have any size.
fn raw_shape(spec: &TensorSpec, bytes: usize) -> Result<Vec<usize>> {
    let refuse = |reason: &str| {
        Err(Error::Malformed(format!(
            "a body of {bytes} bytes without JSON does not say the shape of `{spec}`: {reason}"
        )))
    };
    let open = spec.shape.iter().filter(|&&size| size == ANY_SIZE).count();
    let mut sizes = spec.shape.clone();
    if open > 1 && sizes[0] == ANY_SIZE {
        sizes[0] = 1;
    }
    let mut fixed = sizes.iter().filter(|&&size| size != ANY_SIZE);
    let fixed = fixed.try_fold(spec.datatype.size().unwrap_or(1), |all, &size| {
        usize::try_from(size).ok().and_then(|size| all.checked_mul(size))
    });
    let Some(fixed) = fixed else {
        return refuse("it has more elements than memory can address");
    };
    let open = sizes.iter().filter(|&&size| size == ANY_SIZE).count();
    let any = match spec.datatype {
        Datatype::Bytes if fixed == 1 => 1,
        Datatype::Bytes => return refuse("it is one element, and the input has more"),
        _ if open > 1 => return refuse("more than one axis may have any size"),
        _ if open == 0 && fixed != bytes => {
            return refuse(&format!("a tensor of shape {} takes {fixed} bytes", format_shape(&sizes)));
        }
        _ if open == 1 && (fixed == 0 || !bytes.is_multiple_of(fixed)) => {
            return refuse(&format!("it is not a multiple of {fixed} bytes"));
        }
        _ if open == 1 => bytes / fixed,
        _ => 1,
    };
    Ok(sizes.iter().map(|&size| usize::try_from(size).unwrap_or(any)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(spec: &TensorSpec, bytes: usize) -> Result<Vec<usize>, String> {
        raw_shape(spec, bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn the_size_of_a_raw_body_gives_its_shape() {
        let spec = |datatype, shape: &[i64]| TensorSpec::new("x", datatype, shape);
        assert_eq!(shape(&spec(Datatype::Fp32, &[-1, 4]), 32).unwrap(), [2, 4]);
        assert_eq!(shape(&spec(Datatype::Fp32, &[-1, -1, 2]), 24).unwrap(), [1, 3, 2]);
        assert_eq!(shape(&spec(Datatype::Uint8, &[2, 2]), 4).unwrap(), [2, 2]);
        assert_eq!(shape(&spec(Datatype::Fp64, &[]), 8).unwrap(), [0usize; 0]);
        assert_eq!(shape(&spec(Datatype::Bytes, &[1]), 77).unwrap(), [1]);
        assert_eq!(shape(&spec(Datatype::Bytes, &[-1, 1]), 77).unwrap(), [1, 1]);
        for (spec, bytes, words) in [
            (spec(Datatype::Fp32, &[-1, 4]), 31, "not a multiple of 16 bytes"),
            (spec(Datatype::Fp32, &[2, 2]), 15, "takes 16 bytes"),
            (spec(Datatype::Fp32, &[1, -1, -1]), 16, "more than one axis"),
            (spec(Datatype::Fp32, &[-1, 0]), 16, "not a multiple of 0 bytes"),
            (spec(Datatype::Fp32, &[i64::MAX, 8]), 16, "more elements than memory"),
            (spec(Datatype::Bytes, &[2]), 4, "it is one element"),
        ] {
            let error = shape(&spec, bytes).unwrap_err();
            assert!(error.contains(words) && error.contains("`x "), "{error}");
        }
    }

    #[test]
    fn tensors_behind_the_json_are_slices_of_the_body() {
        let json = r#"{"inputs":[{"name":"a","datatype":"UINT8","shape":[3],"parameters":{"binary_data_size":3}},
            {"name":"b","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}"#;
        let body = Bytes::from([json.as_bytes(), &[1, 2, 3, 1, 0, 0, 0, b'z']].concat());
        let Ok(Decoded::Request(request)) = request(Some(json.len()), body.clone()) else {
            panic!("no request")
        };
        assert_eq!(request.inputs[0].1.data().as_ptr(), body[json.len()..].as_ptr());
        assert_eq!(request.inputs[1].1.byte_strings().unwrap(), [b"z"]);
    }
}
