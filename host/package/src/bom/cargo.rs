//! The packages that a component is compiled from, by what cargo says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Error, Package};
use crate::digest::Digest;

/// How cargo calls crates.io.
const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// The output of `cargo metadata --format-version 1`, as far as it is read
/// here: <https://doc.rust-lang.org/cargo/commands/cargo-metadata.html>.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<CargoPackage>,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct CargoPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `None` is a normal one; others are `dev` and `build`.
    kind: Option<String>,
}

/// `Cargo.lock`, as far as it is read here.
#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// The normal dependencies of the package whose `Cargo.toml` is `manifest`,
/// and theirs, as `cargo tree --edges normal` lists them; the package itself
/// is not among them.
///
/// `metadata` is what `cargo metadata --format-version 1 --filter-platform
/// wasm32-wasip2` prints, `lock` the text of its `Cargo.lock`, from which the
/// checksums are.
///
/// # Errors
/// When one of the texts is damaged, or the package is not in them.
pub fn cargo_packages(metadata: &str, manifest: &Path, lock: Option<&str>) -> Result<Vec<Package>, Error> {
    let refuse = |reason: String| Error::Cargo { reason };
    let metadata: Metadata = serde_json::from_str(metadata).map_err(|error| refuse(error.to_string()))?;
    let checksums = lock.map(checksums).transpose()?.unwrap_or_default();
    let resolve = metadata
        .resolve
        .as_ref()
        .ok_or_else(|| refuse("it has no `resolve`; leave `--no-deps` away".to_owned()))?;
    let root = root(&metadata, manifest)
        .ok_or_else(|| refuse(format!("it does not know `{}`", manifest.display())))?;
    let closure = closure(resolve, root);
    let packages = metadata.packages.iter().filter(|package| closure.contains(package.id.as_str()));
    let mut packages: Vec<Package> = packages.map(|package| describe(package, &checksums)).collect();
    packages.sort();
    Ok(packages)
}

/// The package of a manifest, by its identifier.
fn root<'a>(metadata: &'a Metadata, manifest: &Path) -> Option<&'a str> {
    let place = manifest.canonicalize().ok();
    let same = |path: &Path| path == manifest || place.is_some() && path.canonicalize().ok() == place;
    metadata.packages.iter().find(|package| same(&package.manifest_path)).map(|package| package.id.as_str())
}

/// What is reached from `root` by normal dependencies.
fn closure<'a>(resolve: &'a Resolve, root: &'a str) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<&str, &Node> = resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let (mut reached, mut open) = (BTreeSet::from([root]), vec![root]);
    while let Some(node) = open.pop().and_then(|id| nodes.get(id)) {
        for dependency in &node.deps {
            let is_normal = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if is_normal && nodes.contains_key(dependency.pkg.as_str()) && reached.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    reached.remove(root);
    reached
}

type Checksums = BTreeMap<(String, String, Option<String>), Digest>;

fn checksums(lock: &str) -> Result<Checksums, Error> {
    let lock: Lock = toml::from_str(lock)
        .map_err(|error| Error::Cargo { reason: format!("`Cargo.lock`: {}", error.message()) })?;
    let package = |package: Locked| {
        let digest = Digest::from_hex(&package.checksum?)?;
        Some(((package.name, package.version, package.source), digest))
    };
    Ok(lock.package.into_iter().filter_map(package).collect())
}

fn describe(package: &CargoPackage, checksums: &Checksums) -> Package {
    let key = (package.name.clone(), package.version.clone(), package.source.clone());
    Package {
        name: package.name.clone(),
        version: package.version.clone(),
        purl: purl(package),
        sha256: checksums.get(&key).copied(),
        licence: package.license.as_deref().map(licence),
    }
}

/// An SPDX expression, also of cargo's older way to write "or": a slash.
fn licence(text: &str) -> String {
    text.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// The package URL: <https://github.com/package-url/purl-spec>.
fn purl(package: &CargoPackage) -> String {
    let purl = format!("pkg:cargo/{}@{}", encoded(&package.name), encoded(&package.version));
    match package.source.as_deref() {
        None => purl,
        Some(source) if CRATES_IO.contains(&source) => purl,
        Some(source) if source.starts_with("git+") => format!("{purl}?vcs_url={}", encoded(source)),
        Some(source) => {
            let url = source.split_once('+').map_or(source, |(_, url)| url);
            format!("{purl}?repository_url={}", encoded(url))
        }
    }
}

/// A text with what means something in a URL as `%` and two digits.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
