//! How much the store may hold: `store.toml` in its folder.
//!
//! ```toml
//! max-size = "200GiB"  # of all content together; without it, what the disk holds
//! max-blob = "16GiB"   # of one piece of content, such as a model
//! history = 5          # versions that are kept of each name
//! ```
//!
//! `max-size` is held against each piece of content when it begins to arrive:
//! pieces that arrive at the same time may pass it together.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::error::{Error, io};
use super::{Result, Store, files};
use crate::manifest;

const FILE_NAME: &str = "store.toml";
/// A settings file that is longer is none.
const LONGEST_FILE: u64 = 64 << 10;
const MOST_VERSIONS: usize = 1000;

/// The limits of a store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of all content together.
    #[serde(deserialize_with = "optional_size")]
    pub max_size: Option<u64>,
    /// Bytes of one blob.
    #[serde(deserialize_with = "size")]
    pub max_blob: u64,
    /// Versions that are kept of each name, the current one among them.
    #[serde(deserialize_with = "versions")]
    pub history: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_size: None, max_blob: 16 << 30, history: 5 }
    }
}

/// What one blob may still have, and which limit says so.
#[derive(Debug, Clone)]
pub(super) struct Room {
    bytes: u64,
    limit: &'static str,
    value: u64,
    path: PathBuf,
}

impl Store {
    /// The limits in `store.toml`, or those of a store without it.
    ///
    /// # Errors
    /// When the file cannot be read, or says what is not understood.
    pub fn limits(&self) -> Result<Limits> {
        let path = self.root.join(FILE_NAME);
        let settings = |reason: String| Error::Settings { path: path.clone(), reason };
        let Some(bytes) = files::read_bounded(&path, LONGEST_FILE)? else { return Ok(Limits::default()) };
        let text = String::from_utf8(bytes).map_err(|_| settings("it is not UTF-8".to_owned()))?;
        toml::from_str(&text).map_err(|error| settings(error.to_string().trim_end().to_owned()))
    }

    pub(super) fn room(&self, limits: &Limits) -> Result<Room> {
        let path = self.root.join(FILE_NAME);
        let of_blob =
            Room { bytes: limits.max_blob, limit: "max-blob", value: limits.max_blob, path: path.clone() };
        let Some(max_size) = limits.max_size else { return Ok(of_blob) };
        let left = max_size.saturating_sub(size_of_files(&self.blobs())?);
        match left < limits.max_blob {
            true => Ok(Room { bytes: left, limit: "max-size", value: max_size, path }),
            false => Ok(of_blob),
        }
    }
}

impl Room {
    /// Whether content may have `size` bytes.
    pub(super) fn check(&self, size: u64) -> Result<()> {
        if size <= self.bytes {
            return Ok(());
        }
        let hint = match self.limit {
            "max-size" => "make room with `samara store gc`, or raise `max-size` there",
            _ => "raise `max-blob` there if you trust where the content comes from",
        };
        Err(Error::TooLarge { size, limit: self.limit, value: self.value, path: self.path.clone(), hint })
    }
}

/// Bytes of the files directly in a folder; of none, when there is no folder.
pub(super) fn size_of_files(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for path in files::list(folder)? {
        match path.symlink_metadata() {
            Ok(metadata) => total += metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {} // moved meanwhile
            Err(source) => return Err(io("read", &path, source)),
        }
    }
    Ok(total)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    manifest::parse_size(&text).map_err(serde::de::Error::custom)
}

fn optional_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

fn versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let count = usize::deserialize(deserializer)?;
    let reason = || serde::de::Error::custom("`history` counts the current version too: it is 1 to 1000");
    (1..=MOST_VERSIONS).contains(&count).then_some(count).ok_or_else(reason)
}
