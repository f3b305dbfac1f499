//! The JSON of the Open Inference Protocol: requests in, responses out.
//!
//! Two things go beyond the protocol's text, both in ways that are in use:
//! a BYTES tensor with the parameter `"content_type": "base64"` carries its
//! elements in base64, which is how bytes that are no UTF-8 text travel, and
//! floats that JSON cannot write are the strings `"NaN"`, `"Infinity"` and
//! `"-Infinity"`.

mod data;
mod element;
mod fast;
mod object;
mod request;
mod response;
mod wire;

pub use data::{DataProblem, Values, parse_values};
pub use object::Object;
pub use request::{Error, HttpRequest, Request, Wanted, parse_http_request, parse_request, parse_tensors};
pub use response::{Inputs, Output, Parameters, Response};
