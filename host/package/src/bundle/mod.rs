//! A function in one file: a component, and behind it everything else in
//! custom sections, which every WebAssembly tool passes over.
//!
//! ```text
//! the first component       its bytes as they are; or an empty component
//! samara:manifest           the text of samara.toml
//! samara:component/<path>   a further component of a pipeline
//! samara:model/<name>       a model; its bytes begin at a multiple of 64
//! samara:file/<path>        a file of a test, or one that a model keeps weights in
//! samara:padding            zeros before a model
//! samara:index              a table of all of these with their digests, last
//! ```
//!
//! A section is a zero byte, the size of what follows as unsigned LEB128, the
//! length of its name likewise, its name, and its payload
//! (<https://webassembly.github.io/spec/core/binary/modules.html>).
//!
//! A bundle that is cut off is refused, but for one that is cut exactly behind
//! its first component: that is a component like any other.

mod error;
pub(crate) mod fuzzing;
mod read;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::{Component, Content, Image, ModelFile};
use crate::manifest::Manifest;

pub use error::{Error, ErrorKind};
pub use read::{open, read};
pub use write::write;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

const PREFIX: &str = "samara:";
const MANIFEST: &str = "samara:manifest";
const COMPONENT: &str = "samara:component/";
const MODEL: &str = "samara:model/";
const FILE: &str = "samara:file/";
const PADDING: &str = "samara:padding";
const INDEX: &str = "samara:index";

/// Where models begin, in bytes: engines read them where they lie.
const ALIGNMENT: u64 = 64;
/// What every WebAssembly module and component begins with.
const MAGIC: &[u8; 4] = b"\0asm";
/// A component without content, for functions that are their model.
const EMPTY_COMPONENT: [u8; 8] = *b"\0asm\x0d\x00\x01\x00";
const FORMAT_VERSION: u32 = 1;

/// What goes into a bundle.
#[derive(Debug, Clone, Default)]
pub struct BundleSource {
    /// The text of `samara.toml`.
    pub manifest_text: String,
    /// One for each component that the manifest names, by path.
    pub components: BTreeMap<PathBuf, Content>,
    /// One for each model that the manifest names, with its path.
    pub models: BTreeMap<String, (PathBuf, Content)>,
    /// Files of tests, and those that models keep weights in, by path.
    pub files: BTreeMap<PathBuf, Content>,
}

/// A function that was read from one file. Everything is a slice of the file.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub manifest_text: String,
    pub manifest: Manifest,
    /// In the order of the manifest, each once.
    pub components: Vec<Component>,
    /// By name; their identity is the digest of their bytes, checked.
    pub models: BTreeMap<String, ModelFile>,
    /// By path.
    pub files: BTreeMap<PathBuf, Bytes>,
}

impl From<&Image> for BundleSource {
    /// Everything that a samara image holds, without a copy.
    fn from(image: &Image) -> Self {
        let components = image.components().iter();
        let models = image.models().iter();
        let used: Vec<String> = models.clone().map(|(_, model)| model.path.display().to_string()).collect();
        let is_file = |path: &str| {
            path != crate::manifest::FILE_NAME
                && !used.iter().any(|used| used == path)
                && image.components().iter().all(|component| component.path.as_os_str() != path)
        };
        let files = image
            .files()
            .map(|(path, _)| PathBuf::from(path))
            .filter(|path| path.to_str().is_some_and(is_file));
        Self {
            manifest_text: image.manifest_text().unwrap_or_default().to_owned(),
            components: components
                .map(|component| (component.path.clone(), component.bytes.clone().into()))
                .collect(),
            models: models
                .map(|(name, model)| (name.clone(), (model.path.clone(), model.bytes.clone().into())))
                .collect(),
            files: files.filter_map(|path| Some((path.clone(), image.file(&path)?.into()))).collect(),
        }
    }
}

/// The table at the end, as JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u32,
    base: Base,
    sections: Vec<Entry>,
}

/// The component that the file begins with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    /// As the manifest names it; `None` where it is there for its form alone.
    path: Option<String>,
    length: u64,
    digest: Digest,
}

/// A section; offset and length are those of its payload, in bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    offset: u64,
    length: u64,
    digest: Digest,
    /// Of a model, in the function's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}
