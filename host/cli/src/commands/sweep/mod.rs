//! `samara sweep`: a function over many values of its parameters, a row each.

mod collect;
mod drive;
mod report;

use std::path::Path;

use anyhow::{Context, Result};
use samara_compose::sweep::{INDEX_VARIABLE, Row, Trials, index_of_pod, point};
use samara_engine::{FunctionSource, GuestOutput};
use samara_nn::{NamedTensor, Signature};
use samara_package::Sweep;

use self::report::{Report, Table};
use crate::args::{IndexArg, SweepArgs};
use crate::compose::{Loaded, Use};
use crate::error::{Outcome, Usage};
use crate::grants;
use crate::images::Images;
use crate::input;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::what::What;

/// As of a program that the interrupt ended.
const INTERRUPTED: i32 = 128 + 2;

pub(crate) fn run(args: &SweepArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let sweep = Sweep::load(&args.file)?;
    if let Some(index) = args.index {
        let index = match index {
            IndexArg::Of(index) => index,
            IndexArg::Auto => index_of_pod(std::env::var(INDEX_VARIABLE).ok().as_deref())?,
        };
        return run_one(args, sweep, index, settings, printer);
    }
    // A wrong name is told before hours of work.
    let table = args.out.as_deref().map(Table::at).transpose()?;
    if !args.collect.is_empty() {
        let rows = collect::rows(&args.collect, &sweep)?;
        return conclude(
            &Report { sweep: &sweep, rows: &rows, interrupted: false },
            table,
            settings,
            printer,
        );
    }
    let kept = match &table {
        Some(table) if args.resume => table.read_back(&sweep)?,
        _ => Vec::new(),
    };
    let jobs = args.jobs.map_or_else(samara_compose::threads, usize::from).min(sweep.points.len());
    let output = if printer.is_verbose() { GuestOutput::Stderr } else { GuestOutput::Discard };
    let (loaded, trials) = load(args, sweep, jobs, output, settings, printer)?;
    let driven = drive::drive(loaded.runtime(), trials, jobs, kept, printer)?;
    let report = Report { sweep: driven.trials.sweep(), rows: &driven.rows, interrupted: driven.interrupted };
    let outcome = conclude(&report, table, settings, printer);
    // What still runs after an interrupt is not waited for.
    loaded.leave();
    outcome
}

/// Runs one row, whose words are heard as it runs.
fn run_one(
    args: &SweepArgs,
    sweep: Sweep,
    index: usize,
    settings: &Settings,
    printer: &Printer,
) -> Result<Outcome> {
    point(&sweep, index)?;
    let (loaded, trials) = load(args, sweep, 1, GuestOutput::Stderr, settings, printer)?;
    let row = loaded.runtime().block_on(trials.run(index))?;
    printer.data(&format!("{}\n", row.line()))?;
    let outcome = outcome_of(&[row]);
    loaded.leave();
    Ok(outcome)
}

/// Loads the function once, for so many rows side by side.
fn load(
    args: &SweepArgs,
    sweep: Sweep,
    jobs: usize,
    output: GuestOutput,
    settings: &Settings,
    printer: &Printer,
) -> Result<(Loaded, Trials)> {
    let images = Images::new(settings, &args.registry, printer);
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let what = find(&sweep, folder, &images)?;
    if let What::Project(project) = &what {
        project.ensure_built(printer)?;
    }
    let source = what.source(&[], &args.place, &args.grants, &images)?;
    if let Some(manifest) = what.manifest() {
        grants::tell_missing(&manifest.capabilities, what.folder(), &source.grants, &source.name, printer);
    }
    let mut source = FunctionSource { output, ..source };
    // The sweep knows better than the manifest how long its points take.
    source.limits.deadline = sweep.timeout.unwrap_or(source.limits.deadline);
    let loaded = Loaded::load(&what, source, Use::Callers(jobs), settings, printer)?;
    let given = match loaded.function.signature() {
        Some(signature) => given(args, &sweep, folder, signature)?,
        None if args.inputs.is_empty() => Vec::new(),
        None => {
            let (name, kind) = (loaded.function.name(), loaded.function.kind().name());
            return Err(Usage(format!("`{name}` is {kind}, which takes no `--input`")).into());
        }
    };
    let trials = Trials::new(loaded.function.clone(), sweep, given)
        .with_context(|| format!("cannot use the sweep `{}`", args.file.display()))?;
    Ok((loaded, trials))
}

/// What the sweep names: a path from its folder, else what a command line could.
fn find(sweep: &Sweep, folder: &Path, images: &Images<'_>) -> Result<What> {
    let beside = folder.join(&sweep.function);
    match beside.exists() {
        true => What::find(&beside.display().to_string(), images),
        false => What::find(&sweep.function, images),
    }
}

/// The inputs that are the same in every row: those of the flags, then those of
/// the file.
fn given(args: &SweepArgs, sweep: &Sweep, folder: &Path, signature: &Signature) -> Result<Vec<NamedTensor>> {
    let mut given = Vec::new();
    if !args.inputs.is_empty() {
        given.extend(input::read(&args.inputs, signature)?.into_iter().flat_map(|request| request.inputs));
    }
    if let Some(inputs) = &sweep.inputs {
        let path = folder.join(inputs);
        let request = input::from_file(&path, signature)
            .with_context(|| format!("cannot use the inputs `{}`", path.display()))?;
        let new = |(name, _): &NamedTensor| !given.iter().any(|(known, _): &NamedTensor| known == name);
        let more: Vec<NamedTensor> = request.inputs.into_iter().filter(new).collect();
        given.extend(more);
    }
    Ok(given)
}

/// Writes the rows, says which is the best, and how it all ended.
fn conclude(
    report: &Report<'_>,
    table: Option<Table>,
    settings: &Settings,
    printer: &Printer,
) -> Result<Outcome> {
    if let Some(table) = table {
        table.write(report)?;
    }
    printer.data(&report.text(settings.format)?)?;
    report.tell(printer);
    Ok(match report.interrupted {
        true => Outcome::Exit(INTERRUPTED),
        false => outcome_of(report.rows),
    })
}

fn outcome_of(rows: &[Row]) -> Outcome {
    if rows.iter().all(Row::is_good) { Outcome::Done } else { Outcome::Failed }
}
