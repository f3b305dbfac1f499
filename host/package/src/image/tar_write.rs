//! Writes tar archives that are the same bytes on every machine: POSIX ustar
//! headers (IEEE 1003.1, "pax"), no owner, no time, one mode for files and one
//! for folders; a pax record where a path or a size does not fit.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

/// Bytes in a block; everything in a tar is a multiple of it.
pub(super) const BLOCK: usize = 512;

/// Bytes that are read and written at once.
const PIECE: usize = 256 << 10;

const FILE_MODE: u64 = 0o644;
const FOLDER_MODE: u64 = 0o755;
const NAME_FIELD: usize = 100;
/// What eleven octal digits can say.
const LARGEST_SIZE: u64 = (1 << 33) - 1;

/// A tar on its way to `out`.
pub(super) struct TarWriter<W> {
    out: W,
    folders: BTreeSet<String>,
}

impl<W: Write> TarWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, folders: BTreeSet::new() }
    }

    /// Adds a file of exactly `size` bytes, and the folders it is in where
    /// they were not added yet.
    pub(super) fn file(&mut self, path: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        self.parents(path)?;
        self.header(path, FILE_MODE, b'0', size)?;
        let copied = copy(&mut content.take(size), &mut self.out)?;
        if copied != size {
            let reason = format!("`{path}` shrank from {size} to {copied} bytes while it was read");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        self.out.write_all(padding(size))
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        for (slash, _) in path.match_indices('/') {
            let folder = &path[..=slash];
            if self.folders.insert(folder.to_owned()) {
                self.header(folder, FOLDER_MODE, b'5', 0)?;
            }
        }
        Ok(())
    }

    fn header(&mut self, path: &str, mode: u64, kind: u8, size: u64) -> io::Result<()> {
        let mut records = String::new();
        if path.len() > NAME_FIELD || !path.is_ascii() {
            records.push_str(&record("path", path));
        }
        if size > LARGEST_SIZE {
            records.push_str(&record("size", &size.to_string()));
        }
        if !records.is_empty() {
            let length = records.len() as u64;
            self.out.write_all(&block("pax", FILE_MODE, b'x', length))?;
            self.out.write_all(records.as_bytes())?;
            self.out.write_all(padding(length))?;
        }
        self.out.write_all(&block(path, mode, kind, if size > LARGEST_SIZE { 0 } else { size }))
    }
}

/// Copies in pieces that are large enough for models.
pub(crate) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut copied = 0;
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                to.write_all(&piece[..count])?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Zeros up to the next whole block.
fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let over = (size % BLOCK as u64) as usize;
    &ZEROS[..(BLOCK - over) % BLOCK]
}

/// `LENGTH key=value\n`, where LENGTH counts the whole record, itself included.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

fn block(path: &str, mode: u64, kind: u8, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (place, byte) in block.iter_mut().zip(path.bytes().take(NAME_FIELD)) {
        // A pax record holds the true name where this is not it.
        *place = if byte.is_ascii() { byte } else { b'_' };
    }
    octal(&mut block[100..108], mode);
    octal(&mut block[108..116], 0); // owner
    octal(&mut block[116..124], 0); // group
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], 0); // time
    block[148..156].fill(b' '); // counts as spaces in the sum
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], 0); // device
    octal(&mut block[337..345], 0);
    let sum = checksum(&block);
    octal(&mut block[148..155], sum);
    block
}

/// The sum of a header's bytes, its own field counted as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u64 {
    let byte = |(place, &byte): (usize, &u8)| match place {
        148..156 => u64::from(b' '),
        _ => u64::from(byte),
    };
    block.iter().enumerate().map(byte).sum()
}

/// Octal digits that fill the field but for a NUL at its end.
fn octal(field: &mut [u8], mut value: u64) {
    let digits = field.len() - 1;
    field[digits] = 0;
    for place in field[..digits].iter_mut().rev() {
        *place = b'0' + (value % 8) as u8;
        value /= 8;
    }
}
