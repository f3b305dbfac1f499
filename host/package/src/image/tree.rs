//! The files of an image: those of its tar layers together.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::tar_read::{Entries, Kind, Refused};
use super::{Error, Limits, Result};
use crate::digest::Digest;

/// Files by path. No file stands in for another one or for a folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileTree {
    nodes: BTreeMap<String, Node>,
    /// Of files that are in no archive.
    bare: BTreeSet<Digest>,
}

#[derive(Debug, Clone)]
enum Node {
    Folder,
    File(TreeFile),
}

/// A file where it lies.
#[derive(Debug, Clone)]
pub(crate) struct TreeFile {
    /// A slice of the layer.
    pub(crate) bytes: Bytes,
    /// Of the layer, uncompressed.
    pub(crate) layer: Digest,
}

impl FileTree {
    /// Adds the files of an uncompressed layer.
    pub(crate) fn add(&mut self, layer: Digest, archive: &Bytes, limits: &Limits) -> Result<()> {
        for entry in Entries::of(archive) {
            let entry = entry.map_err(|refused| refusal(layer, refused))?;
            let refuse =
                |reason: &str| Error::Entry { layer, entry: entry.path.clone(), reason: reason.to_owned() };
            self.add_folders(&entry.path).map_err(refuse)?;
            match entry.kind {
                Kind::Folder => self.add_folder(&entry.path).map_err(refuse)?,
                Kind::File { start, size } => {
                    let file = TreeFile { bytes: archive.slice(start..start + size), layer };
                    if self.nodes.insert(entry.path.clone(), Node::File(file)).is_some() {
                        return Err(refuse("is there twice"));
                    }
                }
            }
            if self.nodes.len() > limits.files {
                return Err(Error::TooLarge { layer, limit: limits.unpacked, files: limits.files });
            }
        }
        Ok(())
    }

    /// Adds a file that is a blob or a section by itself.
    pub(crate) fn add_bare(&mut self, path: &str, bytes: Bytes, digest: Digest) -> Result<()> {
        let refuse =
            |reason: &str| Error::Entry { layer: digest, entry: path.to_owned(), reason: reason.to_owned() };
        self.add_folders(path).map_err(refuse)?;
        if self.nodes.insert(path.to_owned(), Node::File(TreeFile { bytes, layer: digest })).is_some() {
            return Err(refuse("is there twice"));
        }
        self.bare.insert(digest);
        Ok(())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&TreeFile> {
        match self.nodes.get(path) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Every file, sorted by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &TreeFile)> {
        self.nodes.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path.as_str(), file)),
            Node::Folder => None,
        })
    }

    /// What tells equal files from others: digests that were checked.
    pub(crate) fn identity(&self, path: &str, file: &TreeFile) -> String {
        match self.bare.contains(&file.layer) {
            true => file.layer.to_string(),
            false => format!("{}#{path}", file.layer),
        }
    }

    /// Whether a layer is an archive of one file.
    pub(crate) fn is_alone(&self, layer: &Digest) -> bool {
        !self.bare.contains(layer) && self.files().filter(|(_, file)| file.layer == *layer).count() == 1
    }

    fn add_folders(&mut self, path: &str) -> Result<(), &'static str> {
        path.match_indices('/').try_for_each(|(slash, _)| self.add_folder(&path[..slash]))
    }

    fn add_folder(&mut self, path: &str) -> Result<(), &'static str> {
        match self.nodes.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err("needs a folder where there is a file"),
            None if path.is_empty() => Ok(()), // the root
            None => {
                self.nodes.insert(path.to_owned(), Node::Folder);
                Ok(())
            }
        }
    }
}

fn refusal(layer: Digest, refused: Refused) -> Error {
    match refused.entry.is_empty() {
        true => Error::Layer { layer, reason: format!("the archive {}", refused.reason) },
        false => Error::Entry { layer, entry: refused.entry, reason: refused.reason },
    }
}
