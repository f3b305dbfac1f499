//! The programs that run inside the sandbox: those of the tests, and the
//! examples.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::fixtures;
use crate::shell::{cargo, program, root, run, step, succeeds, target};

const TARGET: &str = "wasm32-wasip2";

/// What programs of WASI preview 1 are built for.
const PROGRAM_TARGET: &str = "wasm32-wasip1";

/// Adds the target that functions are built for to the toolchain where it is
/// missing.
pub(crate) fn ensure_target() -> Result<()> {
    ensure(TARGET)
}

fn ensure(target: &str) -> Result<()> {
    let installed = program("rustup").args(["target", "list", "--installed"]).output();
    match installed {
        Ok(listed) if listed.status.success() => {
            if String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.trim() == target) {
                return Ok(());
            }
            step(&format!("adding the target {target} to the Rust toolchain"));
            run(program("rustup").args(["target", "add", target]))
        }
        // A toolchain that rustup does not manage has the target, or building says that it has not.
        _ if succeeds(program("rustc").args(["--print", "target-libdir", "--target", target])) => Ok(()),
        _ => bail!("there is no rustup to add the target {target} with; install Rust from https://rustup.rs"),
    }
}

/// Builds the guests of the tests and of every example.
pub(crate) fn build_all() -> Result<()> {
    ensure(TARGET)?;
    ensure(PROGRAM_TARGET)?;
    step("building the guests of the tests");
    build("tests/guests", TARGET, &["--examples", "--bins"])?;
    build("tests/programs", PROGRAM_TARGET, &["--bins"])?;
    step("building the runner of models that are compiled into components");
    build("guest-sdk/standalone", TARGET, &["--lib"])?;
    fixtures::encoder()?;
    for example in examples()? {
        build_example(&example)?;
    }
    Ok(())
}

/// Builds `what` a workspace of guests has of it, in its folder: cargo's settings there
/// are part of what is built.
fn build(folder: &str, target: &str, what: &[&str]) -> Result<()> {
    run(guest_cargo()
        .args(["build", "--release", "--target", target])
        .args(what)
        .arg("--target-dir")
        .arg(crate::shell::target().join("guests"))
        .current_dir(root().join(folder)))
}

/// Builds one example, as its manifest's build command would.
pub(crate) fn build_example(name: &str) -> Result<()> {
    step(&format!("building examples/{name}"));
    let folder = root().join("examples").join(name);
    run(guest_cargo()
        .args(["build", "--release", "--target", TARGET, "--target-dir", "target"])
        .current_dir(folder))
}

fn examples() -> Result<Vec<String>> {
    let folder = root().join("examples");
    let entries = folder.read_dir().with_context(|| folder.display().to_string())?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// A cargo for guests. They are workspaces of their own; one folder for what
/// is built on the way saves building their common dependencies many times.
fn guest_cargo() -> Command {
    let mut command = cargo();
    // What a running cargo sets for its children is not meant for the guests.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
        command.env_remove(variable);
    }
    command.env("CARGO_BUILD_BUILD_DIR", build_folder(&target()));
    command
}

fn build_folder(target: &Path) -> std::path::PathBuf {
    target.join("guests-build")
}
