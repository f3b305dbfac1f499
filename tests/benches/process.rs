//! `samara run` of the digits example, from process start to exit, against
//! Python with ONNX Runtime doing the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::stats::{Pair, show};

const ROUNDS: usize = 20;

pub(crate) fn run() -> Result<()> {
    let samara = sibling("samara")?;
    let store = tempfile::tempdir()?;
    let picture = root().join("examples/digits/three.png");
    let python = samara_test::python().context("the tests' Python is missing; run `cargo xtask fixtures`")?;
    let ours = || {
        finish(Command::new(&samara).arg("--store").arg(store.path()).args([
            "run",
            "examples/digits",
            "--input",
            &format!("image=@{}", picture.display()),
        ]))
    };
    let theirs = || finish(Command::new(&python).arg("tests/benches/rival_digits.py").arg(&picture));
    let pair = Pair::measure(ROUNDS, ours, theirs)?;
    println!("the digits example, process start to exit, medians of {ROUNDS}");
    println!("| samara run | Python with ONNX Runtime | faster | budget |");
    println!("|---|---|---|---|");
    println!("| {} | {} | {:.1}x | 20x |", show(pair.ours), show(pair.theirs), pair.times_faster());
    println!();
    Ok(())
}

fn finish(command: &mut Command) -> Result<()> {
    let output = command.current_dir(root()).stdin(Stdio::null()).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {errors}");
    Ok(())
}

/// A program that was built beside this one.
fn sibling(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is missing; run `cargo xtask bench`", path.display());
    Ok(path)
}

pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest)
}
