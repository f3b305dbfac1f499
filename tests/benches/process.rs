//! `samara run` of the digits example, from process start to exit, against
//! Python with ONNX Runtime doing the same.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::large::{finish, pack, samara};
use crate::stats::{Pair, show};

const ROUNDS: usize = 20;

pub(crate) fn run() -> Result<()> {
    let store = tempfile::tempdir()?;
    let picture = root().join("examples/digits/three.png");
    let input = format!("image=@{}", picture.display());
    let digits = root().join("examples/digits");
    let folder = || finish(samara(store.path())?.arg("run").arg(&digits).args(["--input", &input]));
    against_python(&folder, &picture)?;

    pack(store.path(), &digits, "digits:1")?;
    let image = || finish(samara(store.path())?.args(["run", "digits:1", "--input", &input]));
    let pair = Pair::measure(2 * ROUNDS, image, folder)?;
    println!("the digits example from the store's image against from its folder, medians of {}", 2 * ROUNDS);
    println!("| `samara run digits:1` | `samara run examples/digits` | ratio |");
    println!("|---|---|---|");
    println!("| {} | {} | {:.2}x |", show(pair.ours), show(pair.theirs), 1.0 / pair.times_faster());
    println!();
    Ok(())
}

fn against_python(ours: &dyn Fn() -> Result<()>, picture: &Path) -> Result<()> {
    let python = samara_test::python().context("the tests' Python is missing; run `cargo xtask fixtures`")?;
    let rival = root().join("tests/benches/rival_digits.py");
    let theirs = || finish(Command::new(&python).arg(&rival).arg(picture));
    let pair = Pair::measure(ROUNDS, ours, theirs)?;
    println!("the digits example, process start to exit, medians of {ROUNDS}");
    println!("| samara run | Python with ONNX Runtime | faster | budget |");
    println!("|---|---|---|---|");
    println!("| {} | {} | {:.1}x | 20x |", show(pair.ours), show(pair.theirs), pair.times_faster());
    println!();
    Ok(())
}

pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest)
}
