//! Reads an archive, from its first byte to its last, into the store.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Component;
use std::rc::Rc;

use super::{BLOBS, Error, IMAGE_NAME, INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION, LayoutVersion, REF_NAME};
use super::{Result, SUBJECT};
use crate::digest::{Digest, Sha256};
use crate::reference::Reference;
use crate::spec::{Descriptor, ImageConfig, ImageIndex};
use crate::store::{Document, Session, Store};
use crate::text::tame;

/// The architecture of images that hold WebAssembly.
const ARCHITECTURE: &str = "wasm";
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The longest `index.json` and `oci-layout`, in bytes.
const LONGEST_DOCUMENT: u64 = 4 << 20;
/// What stands between the contents of two entries: headers and long names.
const LONGEST_HEADERS: u64 = 1 << 20;
const MOST_ENTRIES: usize = 100_000;
/// Images, signatures and bills of materials that one archive lists.
const MOST_LISTED: usize = 4096;
/// The tar archive's blocks begin and end with this.
const BLOCK: u64 = 512;

/// An image of an archive: the name it was saved under, if that is a whole
/// one, and its manifest.
pub type Loaded = (Option<Reference>, Digest);

/// What an archive says beside its blobs.
#[derive(Default)]
struct Documents {
    version: Option<Vec<u8>>,
    index: Option<Vec<u8>>,
    /// Docker's own index, which old archives have instead.
    is_docker: bool,
}

/// Brings the images of an archive into the store and says which they are. It
/// tags none: whoever calls decides whether they may be used. The archive is a
/// tar, which may be compressed by gzip.
///
/// # Errors
/// When the archive cannot be read, is no image layout, or lacks something
/// that an image of it needs.
pub fn load(session: &Session, reader: impl Read) -> Result<Vec<Loaded>> {
    let mut reader = BufReader::with_capacity(256 << 10, reader);
    let start = reader.fill_buf().map_err(|source| Error::Read { source })?;
    let documents = match start.starts_with(&GZIP) {
        true => read_tar(session, flate2::bufread::MultiGzDecoder::new(reader))?,
        false => read_tar(session, reader)?,
    };
    let index = documents.index()?;
    if index.manifests.len() > MOST_LISTED {
        let reason = format!("its `{INDEX_FILE}` lists more than {MOST_LISTED} manifests");
        return Err(Error::NotALayout { reason });
    }
    let mut loaded = Vec::new();
    for entry in &index.manifests {
        loaded.extend(image(session, entry)?);
    }
    // Only now: what refers to an image may stand before it.
    index.manifests.iter().try_for_each(|entry| note_subject(session, entry))?;
    Ok(loaded)
}

fn read_tar(session: &Session, reader: impl Read) -> Result<Documents> {
    let allowance = Rc::new(Cell::new(LONGEST_HEADERS));
    let mut archive = tar::Archive::new(Bounded { reader, allowance: allowance.clone() });
    let mut documents = Documents::default();
    let mut entries = archive.entries().map_err(read_error)?;
    let mut count = 0_usize;
    loop {
        allowance.set(LONGEST_HEADERS);
        let Some(entry) = entries.next() else { return Ok(documents) };
        let mut entry = match entry {
            Err(source) if count == 0 && source.kind() == std::io::ErrorKind::Other => {
                return Err(Error::NotALayout {
                    reason: format!("it is no tar: {}", tame(&source.to_string())),
                });
            }
            entry => entry.map_err(read_error)?,
        };
        count += 1;
        if count > MOST_ENTRIES {
            return Err(Error::NotALayout { reason: format!("it has more than {MOST_ENTRIES} entries") });
        }
        allowance.set(entry.size().saturating_add(BLOCK));
        read_entry(session, &mut entry, &mut documents)?;
    }
}

fn read_entry<R: Read>(
    session: &Session,
    entry: &mut tar::Entry<'_, R>,
    documents: &mut Documents,
) -> Result<()> {
    let Some(path) = checked_path(entry)? else { return Ok(()) };
    match path.strip_prefix(BLOBS).map(Digest::from_hex) {
        Some(Some(digest)) => read_blob(session, &digest, entry),
        _ => match path.as_str() {
            LAYOUT_FILE => read_document(&path, entry).map(|bytes| documents.version = Some(bytes)),
            INDEX_FILE => read_document(&path, entry).map(|bytes| documents.index = Some(bytes)),
            _ => {
                documents.is_docker |= path == "manifest.json";
                let size = entry.size();
                check_length(&path, size, std::io::copy(entry, &mut std::io::sink()).map_err(read_error)?)
            }
        },
    }
}

/// The path of a file, `None` for what is none and does no harm.
fn checked_path<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Option<String>> {
    use tar::EntryType;
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let refuse = |what| Err(Error::Refused { entry: tame(&path), what });
    let mut parts = Vec::new();
    for part in std::path::Path::new(&path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => return refuse("a path that leads out of its folder"),
            Component::RootDir | Component::Prefix(_) => return refuse("an absolute path"),
        }
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => Ok(Some(parts.join("/"))),
        EntryType::Directory | EntryType::XGlobalHeader => Ok(None),
        EntryType::Symlink | EntryType::Link => refuse("a link"),
        EntryType::Char | EntryType::Block | EntryType::Fifo => refuse("a device"),
        _ => refuse("no file"),
    }
}

fn read_blob<R: Read>(session: &Session, digest: &Digest, entry: &mut tar::Entry<'_, R>) -> Result<()> {
    let path = format!("{BLOBS}{}", digest.hex());
    let size = entry.size();
    let found = if session.has(digest, size).unwrap_or(false) {
        let mut hasher = Hashing(Sha256::default());
        check_length(&path, size, std::io::copy(entry, &mut hasher).map_err(read_error)?)?;
        hasher.0.finish()
    } else {
        let mut writer = session.writer()?;
        writer.check_room(size)?; // before the disk is full of it
        check_length(&path, size, writer.copy_from(entry).map_err(copy_error)?)?;
        match writer.commit(Some(digest)) {
            Err(crate::store::Error::WrongDigest { found, .. }) => found,
            result => result?,
        }
    };
    match found == *digest {
        true => Ok(()),
        false => Err(Error::Damaged { reason: format!("content that should be {digest} is {found}") }),
    }
}

/// Content that is in the store already is still that of an archive which may
/// have been altered.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn copy_error(error: crate::store::Error) -> Error {
    match error {
        crate::store::Error::Read { source } => read_error(source),
        error => Error::Store(error),
    }
}

fn read_document<R: Read>(path: &str, entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>> {
    let size = entry.size();
    if size > LONGEST_DOCUMENT {
        return Err(Error::NotALayout {
            reason: format!("its `{path}` is longer than {LONGEST_DOCUMENT} bytes"),
        });
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(read_error)?;
    check_length(path, size, bytes.len() as u64)?;
    Ok(bytes)
}

fn check_length(path: &str, expected: u64, found: u64) -> Result<()> {
    match expected == found {
        true => Ok(()),
        false => {
            Err(Error::Damaged { reason: format!("`{path}` should have {expected} bytes, but has {found}") })
        }
    }
}

impl Documents {
    fn index(self) -> Result<ImageIndex> {
        let refuse = |reason: String| Error::NotALayout { reason };
        let (Some(version), Some(index)) = (self.version, self.index) else {
            let reason = match self.is_docker {
                true => "it is of Docker's old form; use Docker 25 or later, or `skopeo copy`",
                false => "it lacks `oci-layout` or `index.json`",
            };
            return Err(refuse(reason.to_owned()));
        };
        let version: LayoutVersion = serde_json::from_slice(&version)
            .map_err(|error| refuse(format!("its `{LAYOUT_FILE}` is wrong: {}", tame(&error.to_string()))))?;
        if version.image_layout_version != LAYOUT_VERSION {
            let found = tame(&version.image_layout_version);
            return Err(refuse(format!("its layout has version `{found}`, not {LAYOUT_VERSION}")));
        }
        serde_json::from_slice(&index)
            .map_err(|error| refuse(format!("its `{INDEX_FILE}` is wrong: {}", tame(&error.to_string()))))
    }
}

/// The image of an entry, `None` for what refers to one.
fn image(session: &Session, entry: &Descriptor) -> Result<Option<Loaded>> {
    let store = session.store();
    let (name, digest) = (name(entry), chosen(store, entry)?);
    if let Some(defect) = store.defects(&digest, &|_| false).first() {
        return Err(Error::Damaged { reason: defect.reason.clone() });
    }
    if digest != entry.digest {
        session.add_referrer(&digest, &entry.digest)?; // with the signatures of the index
    }
    let is_referrer = subject(store, entry)?.is_some();
    Ok((name.is_some() || !is_referrer).then_some((name, digest)))
}

/// The image of an entry that is an index: the one for WebAssembly, or the
/// only one.
fn chosen(store: &Store, entry: &Descriptor) -> Result<Digest> {
    let present = |digest: &Digest| match store.contains(digest) {
        true => Ok(store.document(digest)?),
        false => Err(Error::Damaged { reason: format!("{digest} is missing") }),
    };
    let Document::Index(index) = present(&entry.digest)? else { return Ok(entry.digest) };
    let there: Vec<_> =
        index.manifests.iter().map(|image| image.digest).filter(|d| store.contains(d)).collect();
    let mut images = Vec::new();
    for digest in &there {
        if let Document::Manifest(manifest) = present(digest)? {
            let config = store.blob(&manifest.config.digest);
            let config = config.ok().filter(|blob| blob.bytes.len() as u64 <= LONGEST_DOCUMENT);
            let config = config.and_then(|blob| serde_json::from_slice::<ImageConfig>(&blob.bytes).ok());
            images.push((*digest, config.is_some_and(|config| config.architecture == ARCHITECTURE)));
        }
    }
    let wasm: Vec<_> = images.iter().filter(|(_, is_wasm)| *is_wasm).collect();
    match (wasm.as_slice(), images.as_slice()) {
        ([(digest, _)], _) | ([], [(digest, _)]) => Ok(*digest),
        _ => Err(Error::NotALayout {
            reason: format!(
                "{} lists {} images, {} of them for WebAssembly, where one is expected",
                entry.digest,
                images.len(),
                wasm.len()
            ),
        }),
    }
}

fn name(entry: &Descriptor) -> Option<Reference> {
    let whole = entry.annotations.get(IMAGE_NAME);
    // A tag alone is no name.
    let short = || entry.annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    whole.or_else(short).and_then(|name| name.parse().ok())
}

/// What an entry refers to, by itself or as its annotation says.
fn subject(store: &Store, entry: &Descriptor) -> Result<Option<Digest>> {
    if let Some(subject) = entry.annotations.get(SUBJECT) {
        let wrong = |error: crate::InvalidDigest| Error::Damaged { reason: format!("`{SUBJECT}`: {error}") };
        return subject.parse().map(Some).map_err(wrong);
    }
    match store.document(&entry.digest)? {
        Document::Manifest(manifest) => Ok(manifest.subject.map(|subject| subject.digest)),
        Document::Index(_) => Ok(None),
    }
}

fn note_subject(session: &Session, entry: &Descriptor) -> Result<()> {
    match subject(session.store(), entry)?.filter(|subject| session.store().contains(subject)) {
        Some(subject) => Ok(session.add_referrer(&subject, &entry.digest)?),
        None => Ok(()),
    }
}

/// Gives only as many bytes as are allowed at the time, so that no header can
/// fill the memory with names.
struct Bounded<R> {
    reader: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let allowance = self.allowance.get();
        if allowance == 0 && !buffer.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "its headers are too long"));
        }
        let wanted = buffer.len().min(usize::try_from(allowance).unwrap_or(usize::MAX));
        let count = self.reader.read(&mut buffer[..wanted])?;
        self.allowance.set(allowance - count as u64);
        Ok(count)
    }
}

fn read_error(source: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match source.kind() {
        // What tar and gzip say about bytes that are none of theirs.
        InvalidData | InvalidInput | Other | UnexpectedEof => {
            Error::Damaged { reason: tame(&source.to_string()) }
        }
        _ => Error::Read { source },
    }
}
