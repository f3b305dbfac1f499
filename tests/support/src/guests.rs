//! The guest programs of the tests: components, and modules of WASI preview 1.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of the function `tests/guests/examples/NAME.rs`.
///
/// # Panics
/// When the guests do not build or have no such function.
pub fn guest(name: &str) -> PathBuf {
    existing(built().join("wasm32-wasip2/release/examples").join(format!("{name}.wasm")))
}

/// The component of the command `tests/guests/src/bin/NAME.rs`.
///
/// # Panics
/// When the guests do not build or have no such command.
pub fn command(name: &str) -> PathBuf {
    existing(built().join("wasm32-wasip2/release").join(format!("{name}.wasm")))
}

/// The module of the program `tests/programs/src/bin/NAME.rs`.
///
/// # Panics
/// When the programs do not build or have no such one.
pub fn module(name: &str) -> PathBuf {
    existing(built().join("wasm32-wasip1/release").join(format!("{name}.wasm")))
}

/// The component that models are put into, `guest-sdk/standalone`.
///
/// # Panics
/// When it does not build.
pub fn standalone_runner() -> PathBuf {
    existing(built().join("wasm32-wasip2/release/samara_standalone.wasm"))
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "there is no guest at {}", path.display());
    path
}

/// Where the built guests are. They are built once per process, unless
/// `SAMARA_GUESTS_READY` says that this was done before.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target().join("guests");
        if std::env::var_os("SAMARA_GUESTS_READY").is_none() {
            build("tests/guests", "wasm32-wasip2", &["--examples", "--bins"], &target);
            build("tests/programs", "wasm32-wasip1", &["--bins"], &target);
            build("guest-sdk/standalone", "wasm32-wasip2", &["--lib"], &target);
        }
        target
    })
}

/// Where cargo builds the host, and the repository's chores put what tests need.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Builds in the folder of a workspace: cargo's settings there are part of what is built.
fn build(folder: &str, wasm: &str, what: &[&str], target: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--target", wasm])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(root().join(folder))
        // What cargo set for the test that runs is not meant for the guests.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .status();
    match status {
        Ok(status) => assert!(status.success(), "the guests of {folder} do not build: {status}"),
        Err(error) => panic!("cargo does not start: {error}"),
    }
}
