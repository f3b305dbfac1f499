//! A request for tensors, whatever form it came in.

use std::time::Duration;

use samara_nn::NamedTensor;

/// What a codec read from a request.
#[derive(Debug, Default)]
pub struct Inference {
    pub inputs: Vec<NamedTensor>,
    /// The outputs that are asked for, in this order; empty for all.
    pub outputs: Vec<String>,
    /// The request's own deadline, beside what its headers say.
    pub timeout: Option<Duration>,
}
