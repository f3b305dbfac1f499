//! Writes a bundle: the same source gives the same bytes.

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;

use super::read::sections;
use super::{
    ALIGNMENT, Base, BundleSource, COMPONENT, EMPTY_COMPONENT, Entry, Error, FILE, FORMAT_VERSION, INDEX,
    Index, MANIFEST, MODEL, PADDING, Result,
};
use crate::digest::{Digest, Sha256};
use crate::image::{Content, check_wasm, copy, image_path, write_error};
use crate::manifest::{self, Manifest};
use crate::spec::to_bytes;

/// Writes a function into one file.
///
/// # Errors
/// When the source does not fit its manifest, a part is too large or cannot be
/// read, or the file not written to.
pub fn write(source: &BundleSource, out: &mut dyn Write) -> Result<()> {
    let manifest =
        Manifest::parse(&source.manifest_text, Path::new(manifest::FILE_NAME)).map_err(Error::Manifest)?;
    let components = components(source, &manifest)?;
    check_models(source, &manifest)?;
    let mut writer = Writer { out, position: 0, entries: Vec::new() };
    let base = writer.base(components.first())?;
    writer.section(MANIFEST, &Content::Bytes(Bytes::from(source.manifest_text.clone())), None)?;
    for (path, content) in components.iter().skip(1) {
        writer.section(&format!("{COMPONENT}{path}"), content, None)?;
    }
    for (name, (path, content)) in &source.models {
        let path = image_path(path)?;
        writer.section(&format!("{MODEL}{name}"), content, Some(path))?;
    }
    for (path, content) in &source.files {
        writer.section(&format!("{FILE}{}", image_path(path)?), content, None)?;
    }
    writer.finish(base)
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    position: u64,
    entries: Vec<Entry>,
}

impl Writer<'_> {
    fn base(&mut self, component: Option<&(String, &Content)>) -> Result<Base> {
        let empty = Content::Bytes(Bytes::from_static(&EMPTY_COMPONENT));
        let (path, content) = match component {
            Some((path, content)) => (Some(path.clone()), *content),
            None => (None, &empty),
        };
        let (length, mut reader) = content.open()?;
        let digest = self.copy(&mut reader, length)?;
        Ok(Base { path, length, digest })
    }

    /// A section and its entry; `path` makes it a model.
    fn section(&mut self, name: &str, content: &Content, path: Option<String>) -> Result<()> {
        let (length, mut reader) = content.open()?;
        let header = header(name, length)?;
        if path.is_some() {
            self.pad(header.len() as u64)?;
        }
        self.bytes(&header)?;
        let offset = self.position;
        let digest = self.copy(&mut reader, length)?;
        self.entries.push(Entry { name: name.to_owned(), offset, length, digest, path });
        Ok(())
    }

    /// Makes the payload behind a header of `ahead` bytes begin aligned.
    fn pad(&mut self, ahead: u64) -> Result<()> {
        if (self.position + ahead).is_multiple_of(ALIGNMENT) {
            return Ok(());
        }
        let bare = header(PADDING, 0)?.len() as u64;
        let over = (self.position + bare + ahead) % ALIGNMENT;
        let zeros = (ALIGNMENT - over) % ALIGNMENT;
        // At most 63 zeros: the size of the section stays one byte long.
        self.bytes(&header(PADDING, zeros)?)?;
        self.bytes(&vec![0; zeros as usize])
    }

    fn finish(mut self, base: Base) -> Result<()> {
        let sections = std::mem::take(&mut self.entries);
        let index = to_bytes(&Index { version: FORMAT_VERSION, base, sections });
        self.bytes(&header(INDEX, index.len() as u64)?)?;
        self.bytes(&index)?;
        self.out.flush().map_err(|source| Error::Write { source })
    }

    fn copy(&mut self, from: &mut dyn Read, length: u64) -> Result<Digest> {
        let mut hashing = Hashing { out: &mut *self.out, hasher: Sha256::default() };
        let copied = copy(&mut from.take(length), &mut hashing).map_err(failed)?;
        if copied != length {
            let reason = format!("a file shrank from {length} to {copied} bytes while it was read");
            return Err(Error::Source { reason });
        }
        self.position += length;
        Ok(hashing.hasher.finish())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.position += bytes.len() as u64;
        self.out.write_all(bytes).map_err(failed)
    }
}

/// Passes bytes on and hashes them.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Everything of a custom section before its payload.
pub(super) fn header(name: &str, payload: u64) -> Result<Vec<u8>> {
    let too_large = || Error::TooLarge { what: format!("`{name}`"), size: payload };
    let name_length = u32::try_from(name.len()).map_err(|_| too_large())?;
    let mut named = leb128(name_length);
    named.extend(name.as_bytes());
    let size = payload.checked_add(named.len() as u64).ok_or_else(too_large)?;
    let mut header = vec![0];
    header.extend(leb128(u32::try_from(size).map_err(|_| too_large())?));
    header.extend(named);
    Ok(header)
}

/// The shortest unsigned LEB128 of a number.
fn leb128(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn components<'a>(source: &'a BundleSource, manifest: &Manifest) -> Result<Vec<(String, &'a Content)>> {
    let mut components: Vec<(String, &Content)> = Vec::new();
    for path in manifest.components() {
        let content = source.components.get(path).ok_or_else(|| Error::Source {
            reason: format!("the manifest's component `{}` was not given", path.display()),
        })?;
        let path = image_path(path)?;
        if components.iter().all(|(other, _)| *other != path) {
            check_component(&path, content)?;
            components.push((path, content));
        }
    }
    Ok(components)
}

/// A component must be one, and no bundle already.
fn check_component(path: &str, content: &Content) -> Result<()> {
    let bytes = match content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::File(file) => {
            let bytes = std::fs::read(file)
                .map_err(|source| crate::image::Error::Read { path: file.clone(), source })?;
            Bytes::from(bytes)
        }
    };
    check_wasm(path, &bytes)?;
    match sections(&bytes) {
        Ok(None) => Ok(()),
        _ => Err(Error::Source { reason: format!("`{path}` is a bundle itself") }),
    }
}

fn check_models(source: &BundleSource, manifest: &Manifest) -> Result<()> {
    match source.models.keys().eq(manifest.models.keys()) {
        true => Ok(()),
        false => Err(Error::Source {
            reason: "the models that were given are not those that the manifest names".to_owned(),
        }),
    }
}

fn failed(source: io::Error) -> Error {
    match write_error(source) {
        crate::image::Error::Write { source } => Error::Write { source },
        error => Error::Part(error),
    }
}
