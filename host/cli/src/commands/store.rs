//! `samara store`: what the store holds, whether it is whole, and what can go.

use anyhow::Result;
use samara_package::Store;
use samara_package::store::{CollectOptions, Collected, Problem, Removed};
use serde_json::{Value, json};

use crate::args::{StoreArgs, StoreCommand};
use crate::error::Outcome;
use crate::images;
use crate::output::{count_text, size_text};
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(args: &StoreArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let store = images::store_of(settings)?;
    match args.command {
        StoreCommand::Info => info(&store, printer),
        StoreCommand::Check { repair } => check(&store, repair, printer),
        StoreCommand::Gc { dry_run } => gc(&store, dry_run, printer),
    }
}

/// Removes what no name stands for.
///
/// # Errors
/// When the store cannot be read or locked.
pub(crate) fn collect(store: &Store, dry_run: bool, printer: &Printer) -> Result<Collected> {
    tell_waiting(store, printer)?;
    Ok(store.collect(&CollectOptions { dry_run, ..CollectOptions::default() })?)
}

/// Says why nothing happens for a while, where that is so.
fn tell_waiting(store: &Store, printer: &Printer) -> Result<()> {
    if store.is_busy()? {
        printer.note("waiting for another samara that adds to the store");
    }
    Ok(())
}

fn info(store: &Store, printer: &Printer) -> Result<Outcome> {
    let (usage, limits) = (store.usage()?, store.limits()?);
    if printer.is_json() {
        printer.json(&json!({
            "path": store.root(),
            "images": usage.names,
            "blobs": usage.blobs,
            "blob_bytes": usage.blob_bytes,
            "partial_bytes": usage.partial_bytes,
            "code_bytes": usage.code_bytes,
            "limits": {
                "max_size": limits.max_size, "max_blob": limits.max_blob, "history": limits.history,
            },
        }))?;
        return Ok(Outcome::Done);
    }
    let max_size = limits.max_size.map_or_else(|| "unlimited".to_owned(), size_text);
    let lines = [
        ("store", store.root().display().to_string()),
        ("images", usage.names.to_string()),
        ("content", format!("{} in {}", size_text(usage.blob_bytes), count_text(usage.blobs, "blob"))),
        ("unfinished", size_text(usage.partial_bytes)),
        ("code", size_text(usage.code_bytes)),
        (
            "limits",
            format!(
                "max-size {max_size}, max-blob {}, history {}",
                size_text(limits.max_blob),
                limits.history
            ),
        ),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("{name:<10}  {value}\n")).collect();
    printer.data(&text)?;
    printer.hint(format_args!("set limits in `{}`", store.root().join("store.toml").display()));
    Ok(Outcome::Done)
}

fn check(store: &Store, repair: bool, printer: &Printer) -> Result<Outcome> {
    tell_waiting(store, printer)?;
    let report = {
        let _spinner = printer.spinner("checking");
        store.check(repair)?
    };
    let outcome = match report.problems.iter().all(|problem| problem.repaired) {
        true => Outcome::Done,
        false => Outcome::Failed,
    };
    if printer.is_json() {
        printer.json(&report)?;
        return Ok(outcome);
    }
    let mut text: String = report.problems.iter().map(problem_text).collect();
    text.push_str(&format!(
        "{} in {}, {}: {}\n",
        size_text(report.bytes),
        count_text(report.blobs, "blob"),
        count_text(report.names, "image"),
        match report.problems.len() {
            0 => "all whole".to_owned(),
            count => count_text(count as u64, "problem"),
        }
    ));
    printer.data(&text)?;
    if outcome == Outcome::Failed && !repair {
        printer.hint("`samara store check --repair` removes what is damaged; `samara pull` brings it again");
    }
    Ok(outcome)
}

fn problem_text(problem: &Problem) -> String {
    let word = if problem.repaired { "mended" } else { "damaged" };
    format!("{word}  {} (`{}`)\n         {}\n", problem.text, problem.path.display(), problem.advice)
}

fn gc(store: &Store, dry_run: bool, printer: &Printer) -> Result<Outcome> {
    let collected = collect(store, dry_run, printer)?;
    if printer.is_json() {
        let removed = |removed: Removed| json!({ "files": removed.files, "bytes": removed.bytes });
        let value: Value = json!({
            "dry_run": dry_run,
            "blobs": removed(collected.blobs),
            "unfinished": removed(collected.partial),
            "code": removed(collected.code),
        });
        printer.json(&value)?;
        return Ok(Outcome::Done);
    }
    let word = if dry_run { "would free" } else { "freed" };
    printer.data(&format!(
        "{word} {} in {}\n",
        size_text(collected.bytes()),
        count_text(collected.blobs.files, "blob")
    ))?;
    Ok(Outcome::Done)
}
