//! `samara.lock`: which digest each `oci://` reference of the manifest stood
//! for when it was last resolved, so that a function does not change when a
//! tag moves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;

use serde::Deserialize;

use super::{Error, Result};
use crate::digest::Digest;
use crate::manifest::IMAGE_SCHEME;
use crate::reference::Reference;

/// The file beside `samara.toml`.
pub const LOCK_FILE_NAME: &str = "samara.lock";

/// In bytes; a lock file has a line or two for each model.
const LARGEST: u64 = 1 << 20;
const HEADER: &str =
    "# Which image each `oci://` model of samara.toml is. Written by samara; keep it with the sources.\n";

/// References of models and what they stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    digests: BTreeMap<Reference, Digest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    model: Vec<Locked>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Locked {
    source: String,
    digest: Digest,
}

impl LockFile {
    /// Reads the lock file of a function's folder; empty where there is none.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK_FILE_NAME);
        let failed = |source| Error::Io { action: "read", path: path.clone(), source };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(failed(source)),
        };
        let mut text = String::new();
        file.take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
        let damaged = |reason: String| Error::Lock { path: path.clone(), reason };
        if text.len() as u64 > LARGEST {
            return Err(damaged("it is longer than 1 MiB".to_owned()));
        }
        Self::parse(&text).map_err(damaged)
    }

    /// Writes the lock file whole; an empty one is removed.
    ///
    /// # Errors
    /// When it cannot be written; the old one is then still there.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(LOCK_FILE_NAME);
        let failed = |action| move |source| Error::Io { action, path: folder.join(LOCK_FILE_NAME), source };
        if self.digests.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove")(error)),
                _ => Ok(()),
            };
        }
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)); // shared with others
        let mut file = builder.prefix(".samara.lock-").tempfile_in(folder).map_err(failed("write"))?;
        file.write_all(self.to_text().as_bytes()).map_err(failed("write"))?;
        file.as_file().sync_all().map_err(failed("write"))?;
        file.persist(&path).map_err(|error| failed("write")(error.error))?;
        Ok(())
    }

    /// Notes what a reference stands for.
    pub fn set(&mut self, reference: &Reference, digest: Digest) {
        self.digests.insert(reference.clone(), digest);
    }

    /// Forgets every reference that is not one of `used`.
    pub fn prune<'a>(&mut self, used: impl IntoIterator<Item = &'a Reference>) {
        let used: Vec<&Reference> = used.into_iter().collect();
        self.digests.retain(|reference, _| used.contains(&reference));
    }

    /// What a reference stands for: its own digest, where it has one, or what
    /// was noted.
    pub fn get(&self, reference: &Reference) -> Option<Digest> {
        reference.digest().or_else(|| self.digests.get(reference)).copied()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut lock = Self::default();
        for Locked { source, digest } in document.model {
            let reference = source
                .strip_prefix(IMAGE_SCHEME)
                .ok_or_else(|| format!("`source = {source:?}` does not begin with `{IMAGE_SCHEME}`"))?;
            let reference: Reference = reference.parse().map_err(|error| format!("{error}"))?;
            if lock.digests.insert(reference, digest).is_some() {
                return Err(format!("`{source}` is there twice"));
            }
        }
        Ok(lock)
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (reference, digest) in &self.digests {
            // References and digests hold nothing that TOML would escape.
            let written =
                write!(text, "\n[[model]]\nsource = \"{IMAGE_SCHEME}{reference}\"\ndigest = \"{digest}\"\n");
            debug_assert!(written.is_ok(), "a string takes every text");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ErrorKind;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_noted_is_read_back_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let mut lock = LockFile::load(folder.path()).unwrap();
        assert_eq!(lock.get(&reference("r.io/zoo:1")), None);
        lock.set(&reference("r.io/zoo:1"), Digest::of(b"1"));
        lock.set(&reference("localhost:5000/a"), Digest::of(b"2"));
        lock.save(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join(LOCK_FILE_NAME)).unwrap();
        let (a, zoo) =
            (text.find("oci://localhost:5000/a:latest").unwrap(), text.find("oci://r.io/zoo:1").unwrap());
        assert!(a < zoo, "{text}");
        let mut again = LockFile::load(folder.path()).unwrap();
        assert_eq!(again.get(&reference("localhost:5000/a:latest")), Some(Digest::of(b"2")));
        assert_eq!(again.get(&reference("localhost:5000/a")), Some(Digest::of(b"2")));
        assert_eq!(again.get(&reference("r.io/zoo:1")), Some(Digest::of(b"1")));
        again.prune([&reference("r.io/zoo:1")]);
        assert_eq!(again.get(&reference("localhost:5000/a")), None);
        again.prune([]);
        again.save(folder.path()).unwrap();
        assert!(!folder.path().join(LOCK_FILE_NAME).exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_reference_with_a_digest_needs_no_lock() {
        let pinned = reference("r.io/zoo").with_digest(Digest::of(b"x"));
        assert_eq!(LockFile::default().get(&pinned), Some(Digest::of(b"x")));
    }

    #[test]
    fn damaged_lock_files_are_refused() {
        let digest = Digest::of(b"x");
        let entry = format!("[[model]]\nsource = \"oci://r.io/a:1\"\ndigest = \"{digest}\"\n");
        let texts = [
            "[[model]]".to_owned(),
            "x = 1".to_owned(),
            "not toml".to_owned(),
            format!("{entry}extra = 1\n"),
            format!("{entry}{entry}"),
            entry.replace("oci://", "https://"),
            entry.replace("r.io/a", "R.io/A"),
            entry.replace("sha256:", "md5:"),
            " ".repeat(LARGEST as usize + 1),
        ];
        for text in texts {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(LOCK_FILE_NAME), &text).unwrap();
            let error = LockFile::load(folder.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Lock, "{text}");
            assert!(error.to_string().contains("hint: remove it"), "{error}");
        }
    }
}
