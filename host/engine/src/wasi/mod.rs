//! The host's side of what guests import beyond plain WASI.

pub(crate) mod ephemeral_nn;
pub(crate) mod http;
pub(crate) mod logging;
pub(crate) mod nn;
