//! Samara's timings. Each is measured beside something else in the same run and
//! printed with the ratio between them: absolute times are of this machine and
//! this moment only.
//!
//! `cargo xtask bench [batching] [calls] [languages] [loads] [process] [memory] [models] [pull]
//! [standalone] [text] [trees] [weights] [serving] [serving-large] [serving-stress]
//! [containers]` builds what is needed and runs the named ones, or all.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints a table")]

mod batching;
mod calls;
mod containers;
mod function;
mod languages;
mod large;
mod loads;
mod memory;
mod models;
mod process;
mod pull;
mod rival;
mod serving;
mod standalone;
mod stats;
mod stress;
mod text;
mod trees;
mod weights;

use anyhow::{Result, bail};

type Bench = (&'static str, fn() -> Result<()>);

const BENCHES: [Bench; 16] = [
    ("batching", batching::run),
    ("calls", calls::run),
    ("languages", languages::run),
    ("loads", loads::run),
    ("models", models::run),
    ("process", process::run),
    ("memory", memory::run),
    ("pull", pull::run),
    ("standalone", standalone::run),
    ("text", text::run),
    ("trees", trees::run),
    ("weights", weights::run),
    ("serving", serving::run),
    ("serving-large", serving::run_large),
    ("serving-stress", stress::run),
    ("containers", containers::run),
];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match wanted.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some((weights::CHILD, arguments)) => return weights::child(arguments),
        Some((models::CHILD, arguments)) => return models::child(arguments),
        Some((serving::CEILING, arguments)) => return serving::ceiling(arguments),
        _ => {}
    }
    if let Some(unknown) = wanted.iter().find(|name| BENCHES.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        bail!("no benchmark is called `{unknown}`; there are {}", known.join(", "));
    }
    if cfg!(debug_assertions) {
        eprintln!("warning: this build is not optimised; use `cargo xtask bench`");
    }
    for (name, run) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run()?;
        }
    }
    Ok(())
}
