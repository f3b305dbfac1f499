//! What is counted and timed.

use std::sync::Arc;

use samara_engine::CallReport;

use crate::app::Server;
use crate::context::RequestContext;
use crate::error::Error;
use crate::functions::{Served, Table};

/// The meters of a whole server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {}

/// The meters of one version of a function, made once so that a request only
/// adds to them.
#[derive(Debug, Default)]
pub(crate) struct FunctionMeters {}

/// A request that is being answered; dropping it unfinished counts as cancelled.
#[derive(Debug)]
pub(crate) struct Watch {}

impl Metrics {
    /// The meters of a version, the same ones whenever it is loaded again.
    pub(crate) fn function(&self, _name: &str, _version: &str) -> Arc<FunctionMeters> {
        Arc::default()
    }

    /// Counts a load: a cold start.
    pub(crate) fn loaded(&self, _served: &Served) {}

    /// Shows the functions that are ready now.
    pub(crate) fn show(&self, _table: &Table) {}

    /// Begins to watch a request.
    pub(crate) fn begin(&self, _served: &Arc<Served>, _context: &RequestContext) -> Watch {
        Watch {}
    }
}

impl Watch {
    /// Counts what came of it.
    pub(crate) fn end(
        self,
        _server: &Server,
        _served: &Arc<Served>,
        _context: &RequestContext,
        _outcome: Result<&CallReport, &Error>,
    ) {
    }
}
