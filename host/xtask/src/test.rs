//! `cargo xtask test` and `cargo xtask bench`.

use anyhow::Result;

use crate::shell::{cargo, run as finish, step, succeeds, target};
use crate::{fixtures, guests};

/// Makes what the tests need and runs them all; `arguments` go to the runner.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    guests::build_all()?;
    fixtures::make()?;
    step("building samara and its shim");
    finish(cargo().args(["build", "--package", "samara", "--package", "containerd-shim-samara"]))?;
    step("testing where the macro's errors point");
    finish(cargo().args([
        "test",
        "--quiet",
        "--package",
        "samara-sdk-macros",
        "--lib",
        "--features",
        "span-tests",
    ]))?;
    step("running the tests");
    // nextest runs the tests of all crates side by side; cargo alone does too, a crate at a time.
    let runner: &[&str] = match succeeds(cargo().args(["nextest", "--version"])) {
        true => &["nextest", "run", "--workspace"],
        false => &["test", "--workspace", "--lib", "--bins", "--tests"],
    };
    finish(cargo().args(runner).args(arguments).env("SAMARA_GUESTS_READY", "1"))?;
    step("running the examples in the documentation");
    finish(cargo().args(["test", "--workspace", "--doc", "--quiet"]))
}

/// Runs the models of a new user on the engines, and prints how they agree.
pub(crate) fn ten_models() -> Result<()> {
    let folder = target().join("fixtures/ten-models-full");
    fixtures::ten_models(&folder)?;
    finish(cargo().args(["build", "--workspace", "--bins"]))?;
    let test = ["test", "--workspace", "--test", "product", "ten_models", "--", "--nocapture"];
    finish(cargo().args(test).env("SAMARA_TEN_MODELS", folder).env("SAMARA_GUESTS_READY", "1"))
}

/// Runs the benchmarks against their rivals, all built for release.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    guests::build_all()?;
    fixtures::make()?;
    step("building for release");
    let mut packages = vec!["samara", "samara-benches"];
    if arguments.is_empty() || arguments.iter().any(|name| name == "containers") {
        packages.push("containerd-shim-samara");
    }
    let packages = packages.into_iter().flat_map(|package| ["--package", package]);
    finish(cargo().args(["build", "--release"]).args(packages))?;
    step("running the benchmarks");
    finish(cargo().args(["run", "--release", "--package", "samara-benches", "--"]).args(arguments))
}
