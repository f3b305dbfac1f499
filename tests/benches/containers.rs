//! Containers side by side on one containerd. `containers/run.py` starts, asks and
//! ends all of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::root;

pub(crate) fn run() -> Result<()> {
    let python = samara_test::python().context("the tests' Python is missing; run `cargo xtask fixtures`")?;
    let containerd = samara_test::trixie_path("containerd").context("the tests' containerd is missing")?;
    let ours = std::env::current_exe()?;
    let status = Command::new(python)
        .arg(root().join("tests/benches/containers/run.py"))
        .arg("--samara")
        .arg(ours.with_file_name("samara"))
        .arg("--shim")
        .arg(ours.with_file_name("containerd-shim-samara-v1"))
        .arg("--programs")
        .arg(containerd.parent().unwrap_or(Path::new("/")))
        .status()
        .context("cannot start the tests' Python")?;
    ensure!(status.success(), "containers/run.py failed: {status}");
    Ok(())
}
