//! What a compute thread does with the calls that it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use super::rows;
use crate::context::{Cancellation, RunContext};
use crate::error::{Error, Result};
use crate::resident::{Answer, ResidentModel};
use crate::tensor::Tensor;

/// A call that left its caller's thread.
pub(crate) struct Call {
    pub(crate) model: Arc<ResidentModel>,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) input_bytes: u64,
    pub(crate) context: RunContext,
    pub(crate) called: Instant,
    pub(crate) answer: oneshot::Sender<Result<Answer>>,
}

impl Call {
    fn run_alone(&self) -> Result<Answer> {
        self.model.run_here(&self.inputs, self.input_bytes, &self.context, self.called)
    }

    fn rows(&self) -> usize {
        rows::row_count(&self.inputs).unwrap_or(1)
    }
}

/// Runs calls of one model, all but axis 0 of whose inputs agree, and answers
/// them. Those whose callers left or whose deadlines passed are left out.
pub(crate) fn run(calls: Vec<Call>) {
    let (mut alive, mut late) = (Vec::with_capacity(calls.len()), Vec::new());
    for call in calls {
        match call.context.check(call.called) {
            Ok(()) => alive.push(call),
            Err(error) => late.push((call, error)),
        }
    }
    let answers = match alive.as_slice() {
        [] => Vec::new(),
        [call] => vec![call.run_alone()],
        calls => run_together(calls),
    };
    let (late, refusals): (Vec<Call>, Vec<Error>) = late.into_iter().unzip();
    let answers = answers.into_iter().chain(refusals.into_iter().map(Err));
    // The calls' shares of the model end before a caller hears of it: one that
    // lets go last really lets go.
    let senders: Vec<_> = alive.into_iter().chain(late).map(|call| call.answer).collect();
    for (sender, answer) in senders.into_iter().zip(answers) {
        // Nobody may be there to hear it.
        let _ = sender.send(answer);
    }
}

fn run_together(calls: &[Call]) -> Vec<Result<Answer>> {
    let trust = &calls[0].model.trust;
    match run_merged(calls) {
        Ok(answers) => {
            trust.merged();
            match trust.wants_check() {
                true => check(calls, &answers),
                false => answers.into_iter().map(Ok).collect(),
            }
        }
        // Which of them is to blame, only they can tell.
        Err(error) => {
            let answers: Vec<_> = calls.iter().map(Call::run_alone).collect();
            let abandoned = matches!(error, Error::Cancelled | Error::Timeout { .. });
            if !abandoned && answers.iter().all(Result::is_ok) {
                trust.failed_merged_only();
            }
            answers
        }
    }
}

/// Answers calls one by one and compares that with what they got together.
fn check(calls: &[Call], together: &[Answer]) -> Vec<Result<Answer>> {
    let alone: Vec<_> = calls.iter().map(Call::run_alone).collect();
    let trust = &calls[0].model.trust;
    let mut pairs =
        alone.iter().zip(together).filter_map(|(alone, together)| Some((alone.as_ref().ok()?, together)));
    if !pairs.all(|(alone, together)| rows::alike(&alone.outputs, &together.outputs)) {
        trust.lose();
    } else if calls.iter().any(|call| call.inputs != calls[0].inputs) && alone.iter().all(Result::is_ok) {
        // Rows that are all the same would agree even where they mix.
        trust.passed();
    }
    alone
}

/// Runs the rows of all calls at once and gives each its own.
fn run_merged(calls: &[Call]) -> Result<Vec<Answer>> {
    let model = &calls[0].model;
    let audience = Arc::new(Audience { left: calls.len().into(), cancellation: Cancellation::default() });
    let hooks: Vec<_> = calls
        .iter()
        .map(|call| {
            let audience = Arc::clone(&audience);
            call.context.cancellation.on_cancel(move || audience.leave())
        })
        .collect();
    let context = RunContext {
        deadline: last_deadline(calls),
        cancellation: audience.cancellation.clone(),
        ..RunContext::default()
    };
    let started = Instant::now();
    let inputs: Vec<&[Tensor]> = calls.iter().map(|call| call.inputs.as_slice()).collect();
    let inputs = rows::join(&inputs);
    let counts: Vec<usize> = calls.iter().map(Call::rows).collect();
    let (batch_rows, batch_calls) = (counts.iter().sum(), calls.len());
    let (outputs, computed) = model.run_session(&inputs, &context)?;
    drop(hooks);
    model.counters.ran(batch_calls, batch_rows);
    let largest = calls.iter().map(|call| call.input_bytes).max().unwrap_or(0);
    model.pace.record_merged(largest, computed);
    let Some(outputs) = rows::split(&outputs, &counts) else {
        model.trust.lose();
        return Err(model.failed(format!("{batch_rows} merged rows came out as another number")));
    };
    let answer = |(call, outputs): (&Call, Vec<Tensor>)| Answer {
        outputs,
        queued: started.saturating_duration_since(call.called),
        computed,
        backend: model.backend(),
        batch_rows,
        batch_calls,
    };
    Ok(calls.iter().zip(outputs).map(answer).collect())
}

/// When the last caller stops waiting; `None` when one never does.
fn last_deadline(calls: &[Call]) -> Option<Instant> {
    let deadlines: Option<Vec<Instant>> = calls.iter().map(|call| call.context.deadline).collect();
    deadlines?.into_iter().max()
}

/// Those who wait for a merged run, which goes on until the last of them left.
struct Audience {
    left: AtomicUsize,
    cancellation: Cancellation,
}

impl Audience {
    fn leave(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.cancellation.cancel();
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
