//! `cargo xtask try`: from a clone to an answer.

use std::time::Instant;

use anyhow::Result;

use crate::guests;
use crate::shell::{cargo, program, run as finish, step, target};

const LINE: &str = "samara run examples/digits --input image=@examples/digits/three.png";

pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    guests::ensure_target()?;
    step("building samara; the first build takes some minutes, the next ones seconds");
    // The development profile: an optimised build takes several times as long.
    finish(cargo().args(["build", "--package", "samara"]))?;
    guests::build_example("digits")?;
    step(LINE);
    finish(program(target().join("debug/samara")).args(LINE.split(' ').skip(1)))?;
    step(&format!("done in {} s", started.elapsed().as_secs()));
    Ok(())
}
