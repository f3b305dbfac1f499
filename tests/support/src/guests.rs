//! The guest programs of the tests, as components.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of the function `tests/guests/examples/NAME.rs`.
///
/// # Panics
/// When the guests do not build or have no such function.
pub fn guest(name: &str) -> PathBuf {
    existing(release().join("examples").join(format!("{name}.wasm")))
}

/// The component of the command `tests/guests/src/bin/NAME.rs`.
///
/// # Panics
/// When the guests do not build or have no such command.
pub fn command(name: &str) -> PathBuf {
    existing(release().join(format!("{name}.wasm")))
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "there is no guest at {}", path.display());
    path
}

/// Where the built guests are. They are built once per process, unless
/// `SAMARA_GUESTS_READY` says that this was done before.
fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let target = target().join("guests");
        if std::env::var_os("SAMARA_GUESTS_READY").is_none() {
            build(root(), &target);
        }
        target.join("wasm32-wasip2/release")
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

fn build(root: &Path, target: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2", "--examples", "--bins"])
        .arg("--manifest-path")
        .arg(root.join("tests/guests/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        // What cargo set for the test that runs is not meant for the guests.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .status();
    match status {
        Ok(status) => assert!(status.success(), "the guests in tests/guests do not build: {status}"),
        Err(error) => panic!("cargo does not start: {error}"),
    }
}
