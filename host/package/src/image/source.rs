//! What an image is made of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::Result;
use super::error::{ReadFailed, input, read};
use super::tar_read::normal_path;
use crate::digest::Digest;

/// Everything that [`pack`](super::pack) puts into an image. Paths are those
/// of the function's folder, as its manifest names them.
#[derive(Debug, Clone, Default)]
pub struct Source {
    pub form: Form,
    /// The text of `samara.toml`.
    pub manifest_text: String,
    /// One for each component that the manifest names; the order is the
    /// manifest's.
    pub components: BTreeMap<PathBuf, Content>,
    /// One for each model that the manifest names.
    pub models: BTreeMap<String, ModelSource>,
    /// What else the image carries, e.g. the files of tests. [`Form::Wasm`] has
    /// no place for them.
    pub files: BTreeMap<PathBuf, Content>,
    pub about: About,
    /// What the only component imports and exports; [`Form::Wasm`] says so.
    pub interface: Interface,
}

/// How a function becomes layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Components as `application/wasm` layers, everything else in tar layers:
    /// containerd 1.7 and later.
    #[default]
    Mixed,
    /// Everything in tar layers: containerd 1.6 too.
    Tar,
    /// One component and nothing else: a Wasm artifact of the CNCF.
    Wasm,
}

/// Bytes, in memory or in a file.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

/// A model on its way into an image.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// In the image.
    pub path: PathBuf,
    pub content: ModelContent,
    /// Files that it keeps weights in, by the names that it has for them: where
    /// they are beside `path`. Each becomes a layer of its own.
    pub data: BTreeMap<String, ModelContent>,
}

/// Where a model's bytes are.
#[derive(Debug, Clone)]
pub enum ModelContent {
    Plain(Content),
    /// An uncompressed tar of the store that holds the model's file alone. It
    /// becomes the layer as it is, unless the file's path is taken.
    Layer(Digest),
}

/// What the image says of itself, in the words of the OCI's annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// `None`: the function's name.
    pub title: Option<String>,
    /// `None`: the function's version.
    pub version: Option<String>,
    /// Where the sources are, a URL.
    pub source: Option<String>,
    /// SPDX licence expression.
    pub licenses: Option<String>,
    /// RFC 3339. With a time, equal sources no longer give equal images.
    pub created: Option<String>,
}

/// The names of what a component imports and exports, e.g.
/// `wasi:cli/environment@0.2.6`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// The world that it is made for.
    pub target: Option<String>,
}

impl Content {
    /// Whether it is plain that two are the same bytes.
    pub fn is_same(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::File(a), Content::File(b)) => a == b,
            (Content::Bytes(a), Content::Bytes(b)) => a == b,
            _ => false,
        }
    }

    /// The number of bytes, and a reader of them.
    pub(crate) fn open(&self) -> Result<(u64, Box<dyn Read + '_>)> {
        match self {
            Content::Bytes(bytes) => Ok((bytes.len() as u64, Box::new(bytes.as_ref()))),
            Content::File(path) => {
                let file = File::open(path).map_err(|source| read(path, source))?;
                let metadata = file.metadata().map_err(|source| read(path, source))?;
                if !metadata.is_file() {
                    return Err(input(format!("`{}` is no file", path.display())));
                }
                Ok((metadata.len(), Box::new(NamedFile { path, file })))
            }
        }
    }
}

/// A file whose errors say its name.
struct NamedFile<'a> {
    path: &'a Path,
    file: File,
}

impl Read for NamedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer).map_err(|source| match source.kind() {
            std::io::ErrorKind::Interrupted => source,
            _ => std::io::Error::other(ReadFailed { path: self.path.to_owned(), source }),
        })
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Content::Bytes(bytes)
    }
}

impl From<PathBuf> for Content {
    fn from(path: PathBuf) -> Self {
        Content::File(path)
    }
}

/// The path of the file that a model at `model` calls `name`.
///
/// # Errors
/// Why it has none, to go on after its name.
pub(super) fn beside(model: &str, name: &str) -> Result<String, String> {
    let folder = model.rsplit_once('/').map_or("", |(folder, _)| folder);
    // Joined, an absolute name would no longer be one.
    let name = normal_path(name, false)?;
    normal_path(format!("{folder}/{name}").trim_start_matches('/'), false)
}

/// The path of a file in an image.
pub(crate) fn image_path(path: &Path) -> Result<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    let text = parts.ok_or_else(|| input(format!("`{}` is not UTF-8", path.display())))?.join("/");
    normal_path(&text, false).map_err(|reason| input(format!("`{text}` {reason}")))
}
