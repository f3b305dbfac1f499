//! `samara completions`: prints a shell's completions.

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Args, CompletionsArgs};
use crate::error::Outcome;
use crate::printer::Printer;

pub(crate) fn run(args: &CompletionsArgs, printer: &Printer) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "samara", &mut script);
    printer.data(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
