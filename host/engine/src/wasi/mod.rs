//! The host's side of what guests import beyond plain WASI.

pub(crate) mod http;
pub(crate) mod nn;
