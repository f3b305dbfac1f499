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
mod files;
mod grants;
mod images;
mod input;
mod interface;
mod logs;
mod nnef;
mod output;
mod packed;
mod printer;
mod progress;
mod project;
mod runner;
mod sbom;
mod settings;
mod store;
mod what;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, Format};
use error::Usage;
use printer::Printer;
use settings::Settings;

fn main() -> ExitCode {
    let args = Args::parse();
    let settings = Settings::new(&args.global);
    let printer = Printer::new(&settings);
    if settings.format == Format::Csv && !matches!(args.command, Command::Sweep(_)) {
        let usage = "only `samara sweep` prints rows, so only it has `--output csv`".to_owned();
        return error::finish(Err(Usage(usage).into()), &printer);
    }
    let result = match args.command {
        Command::New(args) => commands::new::run(&args, &printer),
        Command::Build(args) => commands::build::run(&args, &settings, &printer),
        Command::Compile(args) => commands::compile::run(&args, &settings, &printer),
        Command::Run(args) => commands::run::run(&args, &settings, &printer),
        Command::Serve(args) => commands::serve::run(&args, &settings, &printer),
        Command::Test(args) => commands::test::run(&args, &settings, &printer),
        Command::Sweep(args) => commands::sweep::run(&args, &settings, &printer),
        Command::Bench(args) => commands::bench::run(&args, &settings, &printer),
        Command::Inspect(args) => commands::inspect::run(&args, &settings, &printer),
        Command::Pack(args) => commands::pack::run(&args, &settings, &printer),
        Command::Push(args) => commands::push::run(&args, &settings, &printer),
        Command::K8s(args) => commands::k8s::run(&args, &settings, &printer),
        Command::Pull(args) => commands::pull::run(&args, &settings, &printer),
        Command::Images(args) => commands::images::run(&args, &settings, &printer),
        Command::Rm(args) => commands::rm::run(&args, &settings, &printer),
        Command::Rollback(args) => commands::rollback::run(&args, &settings, &printer),
        Command::Sign(args) => commands::sign::run(&args, &settings, &printer),
        Command::Verify(args) => commands::verify::run(&args, &settings, &printer),
        Command::Save(args) => commands::save::run(&args, &settings, &printer),
        Command::Load(args) => commands::load::run(&args, &settings, &printer),
        Command::Bundle(args) => commands::bundle::run(&args, &settings, &printer),
        Command::Login(args) => commands::login::run(&args, &settings, &printer),
        Command::Logout(args) => commands::logout::run(&args, &printer),
        Command::Store(args) => commands::store::run(&args, &settings, &printer),
        Command::Backends(args) => commands::backends::run(&args, &settings, &printer),
        Command::Doctor => commands::doctor::run(&settings, &printer),
        Command::Completions(args) => commands::completions::run(&args, &printer),
    };
    error::finish(result, &printer)
}
