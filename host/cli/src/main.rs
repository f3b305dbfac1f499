//! `samara`: builds, runs and inspects machine-learning functions.
//!
//! This is where the rooms of the host are put together; `compose.rs` does it.
//! Every command is one file in `commands/`.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod compare;
mod compose;
mod error;
mod grants;
mod input;
mod oip;
mod output;
mod printer;
mod progress;
mod project;
mod settings;
mod store;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use printer::Printer;
use settings::Settings;

fn main() -> ExitCode {
    let args = Args::parse();
    let settings = Settings::new(&args.global);
    let printer = Printer::new(&settings);
    let result = match args.command {
        Command::New(args) => commands::new::run(&args, &printer),
        Command::Build(args) => commands::build::run(&args, &printer),
        Command::Compile(args) => commands::compile::run(&args, &settings, &printer),
        Command::Run(args) => commands::run::run(&args, &settings, &printer),
        Command::Test(args) => commands::test::run(&args, &settings, &printer),
        Command::Inspect(args) => commands::inspect::run(&args, &settings, &printer),
        Command::Backends => commands::backends::run(&settings, &printer),
        Command::Doctor => commands::doctor::run(&settings, &printer),
        Command::Completions(args) => commands::completions::run(&args, &printer),
    };
    error::finish(result, &printer)
}
