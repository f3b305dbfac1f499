//! Reads tar archives where they lie, strictly: a layer holds folders and
//! ordinary files, and anything else is refused by name. Understood are POSIX
//! ustar and pax and GNU's long names, as other tools write them.

use super::tar_write::{BLOCK, checksum};
use crate::text::tame;

/// Paths are no longer than Linux takes them, and no deeper than sensible.
const LONGEST_PATH: usize = 4096;
const DEEPEST_PATH: usize = 64;
/// Of pax records and GNU long names, in bytes.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// A folder or file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// With `/`, without `.` parts and ends; empty for the root folder.
    pub(super) path: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    /// The bytes `start .. start + size` of the archive.
    File {
        start: usize,
        size: usize,
    },
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The name as it stands there; empty where the archive itself is broken.
    pub(super) entry: String,
    pub(super) reason: String,
}

/// The entries of an archive, in its order. Ends after the first refusal.
pub(super) struct Entries<'a> {
    archive: &'a [u8],
    position: usize,
    ended: bool,
}

/// What the headers before an entry say about it.
#[derive(Default)]
struct Extension {
    path: Option<String>,
    size: Option<u64>,
}

struct Header<'a> {
    block: &'a [u8; BLOCK],
    /// As the block says; a pax record may know better.
    size: u64,
}

type Result<T> = std::result::Result<T, Refused>;

impl<'a> Entries<'a> {
    pub(super) fn of(archive: &'a [u8]) -> Self {
        Self { archive, position: 0, ended: false }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut extension = Extension::default();
        let mut extended = false;
        while let Some(header) = self.header()? {
            match header.kind() {
                b'x' => extension.pax(self.extension_data(&header)?)?,
                b'g' => refuse_global_names(self.extension_data(&header)?)?,
                b'L' => extension.path = Some(long_name(self.extension_data(&header)?)?),
                // A link follows, and is refused by its own name.
                b'K' => drop(self.extension_data(&header)?),
                _ => return self.entry(&header, &extension).map(Some),
            }
            extended = true;
        }
        if extended { Err(broken("ends where a file should follow")) } else { Ok(None) }
    }

    /// The next header, or `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header<'a>>> {
        let rest = self.archive.get(self.position..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let block = rest.first_chunk::<BLOCK>().ok_or_else(|| broken("is cut off inside a header"))?;
        if block.iter().all(|&byte| byte == 0) {
            let hidden = rest.iter().any(|&byte| byte != 0);
            return if hidden { Err(broken("has data behind its end")) } else { Ok(None) };
        }
        if number(&block[148..156]) != Some(checksum(block)) {
            return Err(broken("is no tar: a header's checksum is wrong"));
        }
        if !matches!(&block[257..263], b"ustar\0" | b"ustar ") {
            return Err(broken("is a tar of an unknown kind: a header is not marked `ustar`"));
        }
        let size = number(&block[124..136]).ok_or_else(|| broken("has a header without a size"))?;
        self.position += BLOCK;
        Ok(Some(Header { block, size }))
    }

    /// The bytes of an entry, whose place is then behind the reader.
    fn data(&mut self, size: u64) -> Option<(usize, usize)> {
        let start = self.position;
        let size = usize::try_from(size).ok()?;
        let padded = size.checked_next_multiple_of(BLOCK)?;
        let end = start.checked_add(padded).filter(|end| *end <= self.archive.len())?;
        self.position = end;
        Some((start, size))
    }

    fn extension_data(&mut self, header: &Header<'_>) -> Result<&'a [u8]> {
        if header.size > LARGEST_EXTENSION {
            return Err(broken("has a name or record of more than 1 MiB"));
        }
        let (start, size) = self.data(header.size).ok_or_else(|| broken("is cut off inside a record"))?;
        Ok(&self.archive[start..start + size])
    }

    fn entry(&mut self, header: &Header<'_>, extension: &Extension) -> Result<Entry> {
        let raw = extension.path.clone().map_or_else(|| header.path(), Ok)?;
        let refuse = |reason: String| Refused { entry: tame(&raw), reason };
        let is_folder = match header.kind() {
            b'0' | 0 => false,
            b'5' => true,
            other => return Err(refuse(format!("is {}; a layer holds folders and files", named(other)))),
        };
        let path = normal_path(&raw, is_folder).map_err(refuse)?;
        let size = extension.size.unwrap_or(header.size);
        if is_folder {
            return match size {
                0 => Ok(Entry { path, kind: Kind::Folder }),
                _ => Err(refuse("is a folder with content".to_owned())),
            };
        }
        let left = self.archive.len() - self.position.min(self.archive.len());
        let (start, size) = self
            .data(size)
            .ok_or_else(|| refuse(format!("should have {size} bytes, but the layer has only {left} more")))?;
        Ok(Entry { path, kind: Kind::File { start, size } })
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_entry().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Header<'_> {
    fn kind(&self) -> u8 {
        self.block[156]
    }

    /// The name that the block itself holds.
    fn path(&self) -> Result<String> {
        let name = text(until_nul(&self.block[..100]))?;
        let prefix = match &self.block[257..263] {
            b"ustar\0" => text(until_nul(&self.block[345..500]))?,
            _ => "", // GNU keeps times there
        };
        Ok(if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") })
    }
}

impl Extension {
    /// Takes what matters from pax records, `LENGTH key=value\n` each.
    fn pax(&mut self, mut records: &[u8]) -> Result<()> {
        let malformed = || broken("has a malformed pax record");
        while !records.is_empty() {
            let space = records.iter().take(8).position(|&byte| byte == b' ').ok_or_else(malformed)?;
            let length: usize = text(&records[..space])?.parse().map_err(|_| malformed())?;
            let record = records.get(space + 1..length).ok_or_else(malformed)?;
            let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(malformed)?;
            self.note(text(&record[..equals])?, &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn note(&mut self, key: &str, value: &[u8]) -> Result<()> {
        match key {
            "path" => self.path = Some(text(value)?.to_owned()),
            "size" => {
                let size = text(value)?.parse().map_err(|_| broken("has a pax size that is no number"))?;
                self.size = Some(size);
            }
            _ if key.starts_with("GNU.sparse.") => {
                let entry = self.path.as_deref().map(tame).unwrap_or_default();
                return Err(Refused {
                    entry,
                    reason: "is a sparse file, which no layer may hold".to_owned(),
                });
            }
            _ => {} // times, owners and attributes mean nothing here
        }
        Ok(())
    }
}

/// Records for all files may say what they like, but not where files are.
fn refuse_global_names(records: &[u8]) -> Result<()> {
    let mut global = Extension::default();
    global.pax(records)?;
    match (global.path, global.size) {
        (None, None) => Ok(()),
        _ => Err(broken("names all its files in one pax record")),
    }
}

/// A path without `.` parts, which no reader could take to lie elsewhere.
pub(crate) fn normal_path(raw: &str, is_folder: bool) -> std::result::Result<String, String> {
    let refuse = |reason: &str| Err(reason.to_owned());
    if raw.len() > LONGEST_PATH {
        return refuse("has a path longer than 4096 bytes");
    }
    if raw.starts_with('/') {
        return refuse("has an absolute path");
    }
    if raw.contains('\\') || raw.contains(char::is_control) {
        return refuse("has a backslash or a control character in its path");
    }
    let trimmed = if is_folder { raw.trim_end_matches('/') } else { raw };
    if trimmed.ends_with('/') {
        return refuse("is a file with the name of a folder");
    }
    let parts: Vec<&str> = trimmed.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return refuse("leaves the layer with `..`");
    }
    if parts.iter().any(|part| part.starts_with(".wh.")) {
        return refuse("removes a file of another layer, which no image of a function does");
    }
    if parts.len() > DEEPEST_PATH {
        return refuse("lies more than 64 folders deep");
    }
    if parts.is_empty() && !is_folder {
        return refuse("is a file without a name");
    }
    Ok(parts.join("/"))
}

/// Octal digits between spaces and NULs, or GNU's base-256.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if field.first() == Some(&0x80) {
        return field[1..]
            .iter()
            .try_fold(0u64, |value, &byte| value.checked_mul(256)?.checked_add(u64::from(byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}

fn long_name(data: &[u8]) -> Result<String> {
    text(until_nul(data)).map(str::to_owned)
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    &field[..end]
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Refused {
        entry: tame(&String::from_utf8_lossy(bytes)),
        reason: "has a name that is not UTF-8".to_owned(),
    })
}

fn named(kind: u8) -> String {
    match kind {
        b'1' => "a hard link".to_owned(),
        b'2' => "a symbolic link".to_owned(),
        b'3' | b'4' => "a device".to_owned(),
        b'6' => "a pipe".to_owned(),
        b'S' => "a sparse file".to_owned(),
        other => format!("of the unknown kind {other:#04x}"),
    }
}

fn broken(reason: &str) -> Refused {
    Refused { entry: String::new(), reason: reason.to_owned() }
}
