//! Holds the repository to its own plan: which crate may depend on which, which
//! crates may name an engine, and how large a file may get.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Every crate of the workspace that is shipped, and the others that it may
/// depend on.
const MAY_DEPEND_ON: [(&str, &[&str]); 9] = [
    ("samara-nn", &[]),
    ("samara-backends", &["samara-nn"]),
    ("samara-engine", &["samara-nn"]),
    ("samara-package", &[]),
    ("samara", &["samara-nn", "samara-backends", "samara-engine", "samara-package"]),
    ("samara-sdk", &["samara-sdk-macros"]),
    ("samara-sdk-macros", &[]),
    ("samara-test", &[]),
    ("xtask", &[]),
];

/// Test-only packages: they may use everything.
const UNBOUND: [&str; 2] = ["samara-tests", "samara-benches"];

/// Libraries that exactly one crate may name.
const OWNERS: [(&str, &str); 6] = [
    ("wasmtime", "samara-engine"),
    ("wasmtime-wasi", "samara-engine"),
    ("wasmtime-wasi-http", "samara-engine"),
    ("wit-component", "samara-engine"),
    ("tract-onnx", "samara-backends"),
    ("ort", "samara-backends"),
];

/// What the contract crate must not reach, however indirectly.
const FOREIGN_TO_NN: [&str; 6] = ["wasmtime", "tract-core", "ort", "hyper", "http", "serde"];

const LARGEST_FILE: usize = 800;

#[test]
fn crates_depend_in_one_direction() {
    let metadata = metadata();
    let workspace: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = MAY_DEPEND_ON.into_iter().collect();
    let planned: BTreeSet<&str> = allowed.keys().copied().chain(UNBOUND).collect();
    assert_eq!(workspace, planned, "the plan names every crate, and no other");
    for package in metadata.workspace_packages() {
        let Some(allowed) = allowed.get(package.name.as_str()) else { continue };
        for dependency in &package.dependencies {
            let is_ours = workspace.contains(dependency.name.as_str());
            if is_ours && dependency.kind == DependencyKind::Normal {
                let (from, to) = (&package.name, dependency.name.as_str());
                assert!(allowed.contains(&to), "{from} may not depend on {to}");
            }
        }
    }
}

#[test]
fn only_its_owner_names_an_engine() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            let owner = OWNERS.iter().find(|(library, _)| *library == dependency.name);
            if let Some((library, owner)) = owner {
                assert_eq!(package.name.as_str(), *owner, "only {owner} may name {library}");
            }
        }
    }
}

#[test]
fn the_contract_reaches_no_engine_and_no_protocol() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let name = |id| metadata[id].name.as_str();
    let mut waiting: Vec<_> =
        resolve.nodes.iter().filter(|node| name(&node.id) == "samara-nn").map(|node| &node.id).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let Some(node) = resolve.nodes.iter().find(|node| &node.id == id) else { continue };
        for dependency in &node.deps {
            let is_normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if is_normal && reached.insert(name(&dependency.pkg)) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    assert!(reached.contains("bytes"), "the walk found nothing");
    for foreign in FOREIGN_TO_NN {
        assert!(!reached.contains(foreign), "samara-nn reaches {foreign}");
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

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec!["--offline".into()])
        .exec()
        .unwrap()
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
