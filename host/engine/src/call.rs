//! One call: what its caller asks for, and how long it may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::Limits;

/// How one call is to be made.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// The caller's own patience; the function's deadline holds beside it.
    pub deadline: Option<Duration>,
    /// What whoever made the call knows it by; on each line that the guest
    /// writes.
    pub request_id: Option<Arc<str>>,
    /// The W3C trace context of this call, as the header `traceparent` has it:
    /// HTTP requests of the guest carry it, unless the guest sets its own.
    pub traceparent: Option<Arc<str>>,
}

/// When a call must end, and how long it was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) given: Duration,
}

/// A call that has begun.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    pub(crate) request_id: Option<Arc<str>>,
    pub(crate) traceparent: Option<Arc<str>>,
}

impl Call {
    /// Begins a call now.
    pub(crate) fn begin(options: CallOptions, limits: &Limits) -> Self {
        let CallOptions { deadline, request_id, traceparent } = options;
        let patience = deadline.map_or(limits.deadline, |own| own.min(limits.deadline));
        Self { request_id, traceparent, ..Self::within(patience) }
    }

    /// A call that nobody outside has asked for.
    pub(crate) fn within(patience: Duration) -> Self {
        let started = Instant::now();
        let deadline = Deadline { at: started + patience, given: patience };
        Self { started, deadline, request_id: None, traceparent: None }
    }
}
