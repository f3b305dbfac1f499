//! One inference, whatever protocol asked for it: admission, deadline, call,
//! choice of outputs, and what is remembered of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_engine::CallReport;
use samara_nn::NamedTensor;
use samara_protocol::Inference;

use crate::app::Server;
use crate::context::RequestContext;
use crate::error::Result;
use crate::functions::{Permit, Served};
use crate::watch::Watch;

/// What a function answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) served: Arc<Served>,
    /// In the order that was asked for.
    pub(crate) outputs: Vec<NamedTensor>,
    pub(crate) report: CallReport,
}

impl Server {
    /// Answers one request for tensors. Dropping the future stops it.
    ///
    /// # Errors
    /// What kept it from an answer.
    pub(crate) async fn infer(
        &self,
        served: &Arc<Served>,
        context: &RequestContext,
        inference: Inference,
    ) -> Result<Answer> {
        // Before anything runs for outputs that there are not.
        inference.outputs.iter().try_for_each(|name| served.output(name).map(drop))?;
        let mut watch = Watch::begin(self, served, context);
        let answered = self.answer(served, context, inference, &mut watch).await;
        watch.end(answered.as_ref().map(|answer| &answer.report));
        answered
    }

    async fn answer(
        &self,
        served: &Arc<Served>,
        context: &RequestContext,
        inference: Inference,
        watch: &mut Watch,
    ) -> Result<Answer> {
        let Inference { inputs, outputs, timeout } = inference;
        served.signature()?;
        let deadline = self.deadline(context, timeout);
        let _turn = self.turn(served, context, deadline).await?;
        watch.set_rows(served.rows(&inputs));
        let options = watch.admitted(deadline);
        let outcome = served.function.infer(inputs, options).await?;
        Ok(Answer {
            served: Arc::clone(served),
            outputs: choose(outcome.outputs, &outputs),
            report: outcome.report,
        })
    }

    /// Refuses a request that could not even wait for its turn, before anything
    /// is spent on reading it.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::OutOfMemory`].
    pub(crate) fn check_room(&self, served: &Arc<Served>, context: &RequestContext) -> Result<()> {
        let checked = served.gate.check().and_then(|()| self.check_memory(self.functions.running()));
        checked.inspect_err(|error| Watch::begin(self, served, context).end(Err(error)))
    }

    /// Waits until the request may run, no longer than until `deadline`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Timeout`], [`Error::OutOfMemory`].
    pub(crate) async fn turn(
        &self,
        served: &Served,
        context: &RequestContext,
        deadline: Option<Instant>,
    ) -> Result<Permit> {
        let permit = served.gate.enter(context.received, deadline).await?;
        self.check_memory(self.functions.running().saturating_sub(1))?;
        Ok(permit)
    }

    fn check_memory(&self, others: usize) -> Result<()> {
        self.memory.as_ref().map_or(Ok(()), |watch| watch.check(others))
    }

    /// When the client stops waiting, if it said so.
    pub(crate) fn deadline(&self, context: &RequestContext, timeout: Option<Duration>) -> Option<Instant> {
        let asked = [context.patience, timeout].into_iter().flatten().min()?;
        Some(context.received + asked.min(self.config().limits.deadline))
    }
}

/// The outputs that the request asks for, in its order; each is one that the
/// function declares, and so one that it gave.
fn choose(outputs: Vec<NamedTensor>, wanted: &[String]) -> Vec<NamedTensor> {
    if wanted.is_empty() {
        return outputs;
    }
    let find = |name: &String| outputs.iter().find(|(output, _)| output == name).cloned();
    wanted.iter().filter_map(find).collect()
}
