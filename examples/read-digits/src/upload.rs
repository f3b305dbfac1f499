//! The files of a form, one after another: `multipart/form-data` (RFC 7578),
//! read as it comes, with no more than one part in memory.

use std::fmt;
use std::io::Read;

/// The largest head of a part, in bytes.
const LARGEST_HEAD: usize = 8 << 10;
/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// A file of a form.
#[derive(Debug, PartialEq)]
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Why a form cannot be read on.
#[derive(Debug, PartialEq)]
pub enum UploadError {
    CutShort,
    Head,
    TooLarge { limit: usize },
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => write!(f, "the form is cut short"),
            Self::Head => write!(f, "a part of the form does not begin as `multipart/form-data` says"),
            Self::TooLarge { limit } => write!(f, "a part of the form is larger than {limit} bytes"),
        }
    }
}

/// What is between the parts of a form, where a content type says that a body
/// is one.
pub fn boundary(content_type: Option<&str>) -> Option<String> {
    let (media_type, parameters) = content_type?.split_once(';')?;
    let is_form = media_type.trim().eq_ignore_ascii_case("multipart/form-data");
    is_form.then(|| parameter(parameters, "boundary")).flatten()
}

/// A form on its way.
pub struct Upload<R> {
    from: R,
    /// What was read and not given out.
    ahead: Vec<u8>,
    /// What every part ends with.
    delimiter: Vec<u8>,
    largest: usize,
    has_begun: bool,
}

impl<R: Read> Upload<R> {
    /// A form of parts of at most `largest` bytes.
    pub fn new(from: R, boundary: &str, largest: usize) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first one stands at the beginning of a line too.
        Self { from, ahead: b"\r\n".to_vec(), delimiter, largest, has_begun: false }
    }

    /// The next file that was chosen; `None` at the end of the form. Fields
    /// that are no files are passed over.
    ///
    /// # Errors
    /// What makes it no form, or more than is read.
    pub fn next_file(&mut self) -> Result<Option<File>, UploadError> {
        let delimiter = self.delimiter.clone();
        if !self.has_begun {
            self.until(&delimiter, LARGEST_HEAD)?;
            self.has_begun = true;
        }
        loop {
            while self.ahead.len() < 2 {
                self.read_on()?;
            }
            if self.ahead.starts_with(b"--") {
                return Ok(None);
            }
            let head = self.until(b"\r\n\r\n", LARGEST_HEAD)?;
            let head = String::from_utf8(head).map_err(|_| UploadError::Head)?;
            let bytes = self.until(&delimiter, self.largest)?;
            // A browser sends an empty one where nothing was chosen.
            if let Some(name) = file_name(&head)?.filter(|name| !name.is_empty()) {
                return Ok(Some(File { name, bytes }));
            }
        }
    }

    /// Takes everything up to the next `end`, and throws that away.
    fn until(&mut self, end: &[u8], most: usize) -> Result<Vec<u8>, UploadError> {
        let mut searched = 0;
        loop {
            let found = self.ahead[searched..].windows(end.len()).position(|window| window == end);
            if let Some(at) = found.map(|at| searched + at) {
                let rest = self.ahead.split_off(at + end.len());
                let mut taken = std::mem::replace(&mut self.ahead, rest);
                taken.truncate(at);
                return if at > most { Err(UploadError::TooLarge { limit: most }) } else { Ok(taken) };
            }
            searched = self.ahead.len().saturating_sub(end.len() - 1);
            if searched > most {
                return Err(UploadError::TooLarge { limit: most });
            }
            self.read_on()?;
        }
    }

    fn read_on(&mut self) -> Result<(), UploadError> {
        let before = self.ahead.len();
        self.ahead.resize(before + PIECE, 0);
        let read = self.from.read(&mut self.ahead[before..]).unwrap_or(0);
        self.ahead.truncate(before + read);
        if read == 0 { Err(UploadError::CutShort) } else { Ok(()) }
    }
}

/// The name of the file that a part's head is of.
fn file_name(head: &str) -> Result<Option<String>, UploadError> {
    // What stands behind the delimiter in its line comes first.
    let mut lines = head.split("\r\n");
    if lines.next().is_some_and(|padding| !padding.trim().is_empty()) {
        return Err(UploadError::Head);
    }
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let disposition = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let Some((_, parameters)) = disposition.and_then(|(_, value)| value.split_once(';')) else {
        return Err(UploadError::Head);
    };
    Ok(parameter(parameters, "filename"))
}

/// A parameter of a header: `name=value` or `name="value"`, between semicolons.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after.trim_start());
        if name.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// The value that a text begins with, and what is behind it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim_end().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "before\r\n--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--b \r\n\
        content-disposition: form-data; filename=\"a \\\"b\\\";.png\"; name=image\r\ncontent-type: image/png\r\n\r\n\
        one\r\n--\r\n--b\r\nContent-Disposition: form-data; name=image; filename=\r\n\r\n\r\n--b\r\n\
        Content-Disposition: form-data; name=image; filename=c.png\r\n\r\n\r\n--b--\r\n";

    /// Gives a byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let (now, later) = self.0.split_at(self.0.len().min(1));
            buffer[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    fn files(from: impl Read) -> Result<Vec<File>, UploadError> {
        let mut upload = Upload::new(from, "b", 8);
        std::iter::from_fn(|| upload.next_file().transpose()).collect()
    }

    #[test]
    fn files_are_found_however_they_come() {
        let expected = [("a \"b\";.png", "one\r\n--"), ("c.png", "")];
        for found in [files(FORM.as_bytes()), files(Slow(FORM.as_bytes()))] {
            let found = found.unwrap();
            assert_eq!(found.len(), expected.len());
            for (file, (name, bytes)) in found.iter().zip(expected) {
                assert_eq!((file.name.as_str(), &file.bytes[..]), (name, bytes.as_bytes()));
            }
        }
    }

    #[test]
    fn a_form_ends_where_it_says_and_nowhere_else() {
        let end = FORM.len() - "--\r\n".len();
        for length in 0..end {
            assert_eq!(files(&FORM.as_bytes()[..length]), Err(UploadError::CutShort), "{length}");
        }
        let large = FORM.replace("one", "nine bytes");
        assert_eq!(files(large.as_bytes()), Err(UploadError::TooLarge { limit: 8 }));
        assert_eq!(files(&b"--b\r\nno head\r\n\r\n\r\n--b--"[..]), Err(UploadError::Head));
        assert_eq!(
            files(&b"--bc\r\nContent-Disposition: form-data;\r\n\r\n\r\n--b--"[..]),
            Err(UploadError::Head)
        );
    }

    #[test]
    fn a_content_type_says_what_is_a_form() {
        assert_eq!(
            boundary(Some("Multipart/Form-Data; charset=x; Boundary=\"a b\"")).as_deref(),
            Some("a b")
        );
        assert_eq!(boundary(Some("multipart/form-data; boundary=--x")).as_deref(), Some("--x"));
        for other in
            [None, Some("image/png"), Some("multipart/mixed; boundary=b"), Some("multipart/form-data")]
        {
            assert_eq!(boundary(other), None, "{other:?}");
        }
    }
}
