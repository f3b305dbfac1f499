//! Holds the repository to its own plan: which crate may depend on which, which
//! crates may name an engine, and how large a file may get.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace that is shipped, and the others that it may
/// depend on.
const MAY_DEPEND_ON: [(&str, &[&str]); 15] = [
    ("samara-nn", &[]),
    ("samara-gpu", &["samara-nn"]),
    ("samara-backends", &["samara-nn", "samara-gpu"]),
    ("samara-engine", &["samara-nn"]),
    ("samara-package", &[]),
    ("samara-protocol", &["samara-nn"]),
    ("samara-server", &["samara-nn", "samara-engine", "samara-protocol"]),
    ("samara-compose", &["samara-nn", "samara-engine", "samara-package", "samara-protocol"]),
    (
        "containerd-shim-samara",
        &[
            "samara-nn",
            "samara-backends",
            "samara-compose",
            "samara-engine",
            "samara-package",
            "samara-protocol",
            "samara-server",
        ],
    ),
    (
        "samara",
        &[
            "samara-nn",
            "samara-backends",
            "samara-compose",
            "samara-engine",
            "samara-package",
            "samara-protocol",
            "samara-server",
        ],
    ),
    ("samara-node-installer", &[]),
    ("samara-sdk", &["samara-sdk-macros"]),
    ("samara-sdk-macros", &[]),
    ("samara-test", &[]),
    ("xtask", &[]),
];

/// Test-only packages: they may use everything.
const UNBOUND: [&str; 2] = ["samara-tests", "samara-benches"];

/// Libraries that exactly one crate may name.
const OWNERS: [(&str, &str); 11] = [
    ("wasmtime", "samara-engine"),
    ("wasmtime-wasi", "samara-engine"),
    ("wasmtime-wasi-http", "samara-engine"),
    ("wit-component", "samara-engine"),
    ("tract-onnx", "samara-backends"),
    ("tract-transformers", "samara-backends"),
    // The GPU executor takes models that are read and typed already.
    ("tract-core", "samara-gpu"),
    ("wgpu", "samara-gpu"),
    ("ort", "samara-backends"),
    // Compiled to WebAssembly only, in a workspace of its own.
    ("rten", "samara-standalone"),
    ("containerd-shim-wasm", "containerd-shim-samara"),
];

/// What a crate must not reach, however indirectly: the contract neither
/// engines nor protocols, the protocol neither engines nor servers.
const FOREIGN: [(&str, &[&str]); 2] = [
    ("samara-nn", &["wasmtime", "tract-core", "ort", "wgpu", "hyper", "http", "serde"]),
    ("samara-protocol", &["wasmtime", "tract-core", "ort", "wgpu", "hyper", "tonic", "opentelemetry"]),
];

const LARGEST_FILE: usize = 800;

#[test]
fn crates_depend_in_one_direction() {
    let packages = workspace_packages();
    let workspace: BTreeSet<&str> = packages.iter().map(|package| text(&package["name"])).collect();
    let allowed: BTreeMap<&str, &[&str]> = MAY_DEPEND_ON.into_iter().collect();
    let planned: BTreeSet<&str> = allowed.keys().copied().chain(UNBOUND).collect();
    assert_eq!(workspace, planned, "the plan names every crate, and no other");
    for package in &packages {
        let Some(allowed) = allowed.get(text(&package["name"])) else { continue };
        for dependency in list(&package["dependencies"]) {
            let (from, to) = (text(&package["name"]), text(&dependency["name"]));
            // A normal dependency has no kind.
            if workspace.contains(to) && dependency["kind"].is_null() {
                assert!(allowed.contains(&to), "{from} may not depend on {to}");
            }
        }
    }
}

#[test]
fn only_its_owner_names_an_engine() {
    for package in workspace_packages() {
        for dependency in list(&package["dependencies"]) {
            let owner = OWNERS.iter().find(|(library, _)| *library == text(&dependency["name"]));
            if let Some((library, owner)) = owner {
                assert_eq!(text(&package["name"]), *owner, "only {owner} may name {library}");
            }
        }
    }
}

#[test]
fn the_contract_and_the_protocol_reach_nothing_heavy() {
    for (package, foreign) in FOREIGN {
        let tree = cargo(&["tree", "--package", package, "--edges", "normal,build", "--prefix", "none"]);
        let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(reached.contains("bytes"), "the walk found nothing: {tree}");
        for foreign in foreign {
            assert!(!reached.contains(foreign), "{package} reaches {foreign}");
        }
    }
}

#[test]
fn files_say_what_they_are_and_stay_readable() {
    for file in rust_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let place = file.display();
        assert!(text.lines().count() <= LARGEST_FILE, "{place} has more than {LARGEST_FILE} lines");
        let first = text.lines().next().unwrap_or_default();
        let is_documented = first.starts_with("//!") || first.starts_with("#![doc");
        assert!(is_documented, "{place} does not begin by saying what it is");
    }
}

/// The workspace's packages, as `cargo metadata` tells of them.
fn workspace_packages() -> Vec<Value> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    list(&metadata["packages"]).to_vec()
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).current_dir(root()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn rust_files() -> Vec<PathBuf> {
    let mut folders = vec![root().to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 50, "the walk found {} files", files.len());
    files
}
