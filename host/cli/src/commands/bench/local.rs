//! A function in this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use samara_engine::{CallOptions, CallReport, Function};
use samara_nn::NamedTensor;

use super::drive::Caller;
use super::request::{Expected, Work};
use super::tally::{Answer, Split};
use crate::args::BenchArgs;
use crate::compose::{Loaded, Use};
use crate::grants;
use crate::images::Images;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::what::What;

/// A caller of a function.
pub(super) struct LocalCaller {
    function: Function,
    inputs: Vec<NamedTensor>,
    timeout: Duration,
    expected: Option<Arc<Expected>>,
    /// Bytes of the inputs.
    sent: u64,
}

/// Loads what the user names, for so many callers side by side.
///
/// # Errors
/// Whatever makes it unfit to be called.
pub(super) fn load(
    args: &BenchArgs,
    callers: usize,
    settings: &Settings,
    printer: &Printer,
) -> Result<(What, Loaded)> {
    let images = Images::new(settings, &args.registry, printer);
    let what = What::find(args.what.as_deref().unwrap_or("."), &images)?;
    if let What::Project(project) = &what {
        project.ensure_built(printer)?;
    }
    let source = what.source(&args.models, &args.place, &args.grants, &images)?;
    if let Some(manifest) = what.manifest() {
        grants::tell_missing(&manifest.capabilities, what.folder(), &source.grants, &source.name, printer);
    }
    let loaded = Loaded::load(&what, source, Use::Callers(callers), settings, printer)?;
    if loaded.function.signature().is_none() {
        bail!(
            "`{}` is {}, and only functions can be driven in this process",
            loaded.function.name(),
            loaded.function.kind().name()
        );
    }
    Ok((what, loaded))
}

impl LocalCaller {
    pub(super) fn new(function: &Function, work: &Work, timeout: Duration) -> Self {
        Self {
            function: function.clone(),
            inputs: work.request.inputs.clone(),
            timeout,
            expected: work.expected.clone(),
            sent: size(&work.request.inputs),
        }
    }
}

impl Caller for LocalCaller {
    async fn prepare(&mut self) {}

    async fn call(&mut self) -> Answer {
        let options = CallOptions { deadline: Some(self.timeout), ..CallOptions::default() };
        let sent = self.sent;
        match self.function.infer(self.inputs.clone(), options).await {
            Ok(outcome) => {
                let expected = self.expected.as_ref();
                let is_wrong = expected.is_some_and(|it| it.difference(&outcome.outputs).is_some());
                Answer {
                    result: if is_wrong { Err("wrong_answer".into()) } else { Ok(()) },
                    sent,
                    received: size(&outcome.outputs),
                    split: Some(split(&outcome.report)),
                }
            }
            Err(error) => {
                let kind = snake_case(&format!("{:?}", error.kind()));
                Answer { result: Err(kind.into()), sent, received: 0, split: None }
            }
        }
    }
}

/// Bytes of tensors.
pub(super) fn size(tensors: &[NamedTensor]) -> u64 {
    tensors.iter().map(|(_, tensor)| tensor.data().len() as u64).sum()
}

/// What is neither waiting for a model nor computing is the function's own.
fn split(report: &CallReport) -> Split {
    let queue = report.model_runs().map(|run| run.queued).sum();
    let compute = report.model_runs().map(|run| run.computed).sum();
    let guest = report.total.saturating_sub(queue).saturating_sub(compute);
    Split { queue, compute, guest }
}

/// `InvalidInput` as `invalid_input`.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_names_for_programs() {
        assert_eq!(snake_case("InvalidInput"), "invalid_input");
        assert_eq!(snake_case("Timeout"), "timeout");
    }
}
