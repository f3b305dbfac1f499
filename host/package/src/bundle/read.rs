//! Reads a bundle where it lies and checks every byte of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::error::damaged;
use super::{
    Bundle, COMPONENT, Entry, Error, FILE, FORMAT_VERSION, INDEX, Index, MAGIC, MANIFEST, MODEL, PADDING,
    PREFIX, Result,
};
use crate::digest::Digest;
use crate::image::{Component, FileTree, ModelFile, normal_path};
use crate::manifest::{self, Manifest};
use crate::mapping;
use crate::text::tame;

/// No function has more parts.
const MOST_SECTIONS: usize = 65_536;
/// Of the table, in bytes.
const LARGEST_INDEX: usize = 16 << 20;

/// Maps a file and reads the function in it; `None` where it is an ordinary
/// component, or no WebAssembly.
///
/// # Errors
/// When it cannot be mapped, or as [`read`].
pub fn open(path: &Path) -> Result<Option<Bundle>> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    read(mapping::map(&file).map_err(failed)?)
}

/// Reads a function from the bytes of one file; `None` where they are an
/// ordinary component, or no WebAssembly.
///
/// # Errors
/// When it is a bundle, but cut off, damaged or changed.
pub fn read(bytes: Bytes) -> Result<Option<Bundle>> {
    let Some(found) = sections(&bytes)? else { return Ok(None) };
    let index = index(&bytes, &found)?;
    let base_length = found.base;
    if index.base.length != base_length as u64 || Digest::of(&bytes[..base_length]) != index.base.digest {
        return Err(damaged("its first component is not what its table says"));
    }
    let mut parts = Parts::default();
    if let Some(path) = &index.base.path {
        let path = checked_path(path)?;
        let base =
            Component { path: path.clone(), bytes: bytes.slice(..base_length), digest: index.base.digest };
        parts.components.insert(path, base);
    }
    let listed = index.sections.iter();
    if listed.len() != found.parts.len() {
        return Err(damaged("its sections are not those of its table"));
    }
    for (entry, section) in listed.zip(&found.parts) {
        parts.add(entry, section, &bytes)?;
    }
    parts.assemble().map(Some)
}

/// The sections of samara in a file, by name and place of the payload.
pub(super) struct Sections {
    /// Bytes of the component before the first of them.
    base: usize,
    parts: Vec<(String, Range<usize>)>,
    index: Option<Range<usize>>,
}

/// Finds them; `None` where there are none.
pub(super) fn sections(bytes: &[u8]) -> Result<Option<Sections>> {
    if !bytes.starts_with(MAGIC) {
        return Ok(None);
    }
    let cut_off = || Error::CutOff { length: bytes.len() as u64 };
    let mut found: Option<Sections> = None;
    let mut position = MAGIC.len() + 4; // the version
    while position < bytes.len() {
        let Some(section) = Section::at(bytes, position) else {
            // What is wrong with an ordinary component is not said here.
            let is_bundle = found.is_some() || begins_ours(bytes, position);
            return if is_bundle { Err(cut_off()) } else { Ok(None) };
        };
        let name = section.name.filter(|name| name.starts_with(PREFIX));
        match (name, &mut found) {
            (None, None) => {}
            (None, Some(_)) => return Err(damaged("another tool added sections to it")),
            (Some(name), found) => {
                let found = found.get_or_insert(Sections { base: position, parts: Vec::new(), index: None });
                found.add(name, section.payload)?;
            }
        }
        position = section.end;
    }
    match found {
        Some(Sections { index: None, .. }) => Err(cut_off()),
        found => Ok(found),
    }
}

impl Sections {
    fn add(&mut self, name: &str, payload: Range<usize>) -> Result<()> {
        if self.index.is_some() {
            return Err(damaged("there are sections behind its table"));
        }
        match name {
            INDEX => self.index = Some(payload),
            PADDING => {}
            _ => self.parts.push((name.to_owned(), payload)),
        }
        match self.parts.len() > MOST_SECTIONS {
            true => Err(damaged(format!("it has more than {MOST_SECTIONS} sections"))),
            false => Ok(()),
        }
    }
}

/// A section of a WebAssembly file.
pub(super) struct Section<'a> {
    /// `None` where it is no custom section, or its name cannot be read.
    pub(super) name: Option<&'a str>,
    pub(super) payload: Range<usize>,
    pub(super) end: usize,
}

impl<'a> Section<'a> {
    /// `None` where the bytes end before the section does.
    pub(super) fn at(bytes: &'a [u8], position: usize) -> Option<Self> {
        let id = *bytes.get(position)?;
        let (size, start) = leb128(bytes, position + 1)?;
        let end = start.checked_add(size).filter(|end| *end <= bytes.len())?;
        let named = (id == 0).then(|| name(&bytes[..end], start)).flatten();
        Some(match named {
            Some((name, payload)) => Self { name: Some(name), payload: payload..end, end },
            None => Self { name: None, payload: start..end, end },
        })
    }
}

/// Whether a section that is cut off was one of ours.
fn begins_ours(bytes: &[u8], position: usize) -> bool {
    let Some((_, start)) = leb128(bytes, position + 1).filter(|_| bytes[position] == 0) else {
        return false;
    };
    leb128(bytes, start)
        .and_then(|(_, name)| bytes.get(name..))
        .is_some_and(|rest| rest.starts_with(PREFIX.as_bytes()))
}

fn name(bytes: &[u8], position: usize) -> Option<(&str, usize)> {
    let (length, start) = leb128(bytes, position)?;
    let end = start.checked_add(length)?;
    Some((std::str::from_utf8(bytes.get(start..end)?).ok()?, end))
}

/// A 32-bit number as unsigned LEB128, and the position behind it.
fn leb128(bytes: &[u8], position: usize) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for place in 0..5 {
        let byte = *bytes.get(position + place)?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((value as usize, position + place + 1));
        }
    }
    None
}

fn index(bytes: &Bytes, found: &Sections) -> Result<Index> {
    let range = found.index.clone().unwrap_or_default();
    if range.len() > LARGEST_INDEX {
        return Err(damaged("its table is larger than 16 MiB"));
    }
    let index: Index = serde_json::from_slice(&bytes[range])
        .map_err(|error| damaged(format!("its table cannot be read: {}", tame(&error.to_string()))))?;
    if index.version != FORMAT_VERSION {
        return Err(damaged(format!(
            "it is of version {}; this samara reads version {FORMAT_VERSION}\nhint: use a newer samara",
            index.version
        )));
    }
    Ok(index)
}

/// What was found, by what it is for.
#[derive(Default)]
struct Parts {
    manifest: Option<String>,
    components: BTreeMap<PathBuf, Component>,
    models: BTreeMap<String, ModelFile>,
    files: BTreeMap<PathBuf, Bytes>,
    /// The same, for models that keep weights in them.
    tree: FileTree,
}

impl Parts {
    fn add(&mut self, entry: &Entry, section: &(String, Range<usize>), file: &Bytes) -> Result<()> {
        let (name, range) = section;
        let is_listed =
            entry.name == *name && entry.offset == range.start as u64 && entry.length == range.len() as u64;
        if !is_listed {
            return Err(damaged("its sections are not those of its table"));
        }
        let bytes = file.slice(range.clone());
        if Digest::of(&bytes) != entry.digest {
            return Err(damaged(format!("the bytes of `{}` changed", tame(name))));
        }
        let is_new = if name == MANIFEST {
            let text = std::str::from_utf8(&bytes).map_err(|_| damaged("its manifest is not UTF-8"))?;
            self.manifest.replace(text.to_owned()).is_none()
        } else if let Some(path) = name.strip_prefix(COMPONENT) {
            let path = checked_path(path)?;
            let component = Component { path: path.clone(), bytes, digest: entry.digest };
            self.components.insert(path, component).is_none()
        } else if let Some(name) = name.strip_prefix(MODEL) {
            let path = checked_path(entry.path.as_deref().unwrap_or_default())?;
            let identity = entry.digest.to_string();
            let model = ModelFile { path, bytes, identity, layer: None, files: Arc::default() };
            self.models.insert(name.to_owned(), model).is_none()
        } else if let Some(path) = name.strip_prefix(FILE) {
            let path = checked_path(path)?;
            let in_text = path.to_string_lossy();
            self.tree
                .add_bare(&in_text, bytes.clone(), entry.digest)
                .map_err(|error| damaged(error.to_string()))?;
            self.files.insert(path, bytes).is_none()
        } else {
            return Err(damaged(format!("it has a section `{}` of unknown use", tame(name))));
        };
        if is_new { Ok(()) } else { Err(damaged(format!("it has `{}` twice", tame(name)))) }
    }

    fn assemble(mut self) -> Result<Bundle> {
        let manifest_text = self.manifest.ok_or_else(|| damaged("it has no manifest"))?;
        let manifest =
            Manifest::parse(&manifest_text, Path::new(manifest::FILE_NAME)).map_err(Error::Manifest)?;
        let mut components = Vec::new();
        for path in manifest.components() {
            if let Some(component) = self.components.remove(path) {
                components.push(component);
            } else if components.iter().all(|component| component.path != path) {
                return Err(damaged(format!(
                    "it has no component `{}`, which its manifest names",
                    path.display()
                )));
            }
        }
        if let Some(name) = manifest.models.keys().find(|name| !self.models.contains_key(*name)) {
            return Err(damaged(format!("it has no model `{name}`, which its manifest names")));
        }
        if !self.components.is_empty() || self.models.len() != manifest.models.len() {
            return Err(damaged("it has components or models that its manifest does not name"));
        }
        let tree = Arc::new(self.tree);
        self.models.values_mut().for_each(|model| model.files = Arc::clone(&tree));
        Ok(Bundle { manifest_text, manifest, components, models: self.models, files: self.files })
    }
}

fn checked_path(path: &str) -> Result<PathBuf> {
    normal_path(path, false)
        .map(PathBuf::from)
        .map_err(|reason| damaged(format!("`{}` {reason}", tame(path))))
}
