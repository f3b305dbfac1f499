//! Runs the points of a sweep side by side.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use samara_compose::sweep::{Row, Trials, best, objective_of};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::printer::Printer;

/// What became of the points.
pub(super) struct Driven {
    pub(super) trials: Arc<Trials>,
    /// By their indices, whatever order they ended in.
    pub(super) rows: Vec<Row>,
    pub(super) interrupted: bool,
}

/// Runs every point that no row of `kept` has a result for, `jobs` at a time, until
/// all have ended or the user interrupts.
///
/// # Errors
/// When interrupts cannot be heard.
pub(super) fn drive(
    runtime: &Runtime,
    trials: Trials,
    jobs: usize,
    kept: Vec<Row>,
    printer: &Printer,
) -> Result<Driven> {
    let trials = Arc::new(trials);
    let kept = kept.into_iter().filter(Row::is_good).map(|row| (row.index, row));
    let mut done: BTreeMap<usize, Row> = kept.collect();
    let bar = Bar::new(trials.sweep().points.len(), printer);
    let interrupted = runtime.block_on(run_all(&trials, jobs, &mut done, &bar))?;
    Ok(Driven { trials, rows: done.into_values().collect(), interrupted })
}

/// Says whether it was interrupted.
async fn run_all(
    trials: &Arc<Trials>,
    jobs: usize,
    done: &mut BTreeMap<usize, Row>,
    bar: &Bar,
) -> Result<bool> {
    let waiting: Vec<usize> =
        (0..trials.sweep().points.len()).filter(|index| !done.contains_key(index)).collect();
    let mut waiting = waiting.into_iter();
    let (mut running, mut indices) = (JoinSet::new(), HashMap::new());
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        while running.len() < jobs {
            let Some(index) = waiting.next() else { break };
            let trials = Arc::clone(trials);
            let task = running.spawn(async move { trials.run(index).await });
            indices.insert(task.id(), index);
        }
        bar.show(done, trials);
        tokio::select! {
            biased;
            heard = &mut interrupt => {
                heard.context("cannot hear interrupts")?;
                return Ok(true);
            }
            ended = running.join_next_with_id() => {
                let row = match ended {
                    None => return Ok(false),
                    Some(Ok((_, row))) => row?,
                    // A fault of the host in one run is no reason to lose the others.
                    Some(Err(fault)) => {
                        let index = indices.get(&fault.id()).copied().unwrap_or_default();
                        Row::failed(trials.sweep(), index, &format!("the host itself failed: {fault}"))?
                    }
                };
                done.insert(row.index, row);
            }
        }
    }
}

/// How far it is, on a terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(count: usize, printer: &Printer) -> Self {
        let shown = std::io::stderr().is_terminal() && !printer.is_quiet();
        let bar = shown.then(|| ProgressBar::new(count as u64));
        if let (Some(bar), Ok(style)) =
            (&bar, ProgressStyle::with_template("{pos:>5}/{len} {bar:30} {elapsed:.dim} {msg}"))
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn show(&self, done: &BTreeMap<usize, Row>, trials: &Trials) {
        let Some(bar) = &self.0 else { return };
        bar.set_position(done.len() as u64);
        let Some(objective) = &trials.sweep().objective else { return };
        let best = best(done.values(), objective).and_then(|row| objective_of(row, objective));
        if let Some(best) = best {
            bar.set_message(format!("best {} {best}", objective.name));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
