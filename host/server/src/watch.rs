//! Watches one request from its admission to its end, and tells all who want
//! to know: metrics, traces, logs.

use std::sync::Arc;
use std::time::Instant;

use samara_engine::CallReport;

use crate::app::Server;
use crate::context::RequestContext;
use crate::error::{Error, ErrorKind};
use crate::functions::Served;
use crate::metrics::{Ended, Metrics};

/// A request that is being answered. One that is dropped before its end was
/// given up by its client.
#[derive(Debug)]
pub(crate) struct Watch {
    metrics: Arc<Metrics>,
    served: Arc<Served>,
    context: RequestContext,
    /// When its call started.
    admitted: Option<Instant>,
    is_over: bool,
}

impl Watch {
    /// Begins to watch a request.
    pub(crate) fn begin(server: &Server, served: &Arc<Served>, context: &RequestContext) -> Self {
        Self {
            metrics: Arc::clone(&server.metrics),
            served: Arc::clone(served),
            context: context.clone(),
            admitted: None,
            is_over: false,
        }
    }

    /// The request has its turn; its call starts now.
    pub(crate) fn admitted(&mut self) -> Instant {
        *self.admitted.insert(Instant::now())
    }

    /// Tells what came of it.
    pub(crate) fn end(mut self, outcome: Result<&CallReport, &Error>) {
        self.is_over = true;
        self.tell(outcome.map_err(Error::kind));
    }

    fn tell(&self, outcome: Result<&CallReport, ErrorKind>) {
        let now = Instant::now();
        let since = |moment: Instant| moment.saturating_duration_since(self.context.received);
        let ended = Ended {
            protocol: self.context.protocol,
            total: since(now),
            admission: self.admitted.map(since),
            at_ms: self.metrics.at_ms(now),
        };
        match outcome {
            Ok(report) => self.served.meters.answered(ended, report),
            Err(kind) => self.served.meters.failed(ended, kind),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(Err(ErrorKind::Cancelled));
        }
    }
}
