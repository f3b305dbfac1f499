//! Finds what is damaged in the store, and removes it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

#[cfg(doc)]
use super::Session;
use super::error::{Error, io};
use super::tags::{self, Tagged};
use super::{Result, Store, files, stamps};
use crate::digest::Digest;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Blobs that were hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Names that were followed.
    pub names: u64,
    pub problems: Vec<Problem>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub kind: ProblemKind,
    pub path: PathBuf,
    /// What is wrong, as a sentence without its end.
    pub text: String,
    /// What to do, or what was done.
    pub advice: String,
    pub repaired: bool,
}

/// The class of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// Content that is not what its digest says.
    CorruptBlob,
    /// A version of a name that lacks content.
    IncompleteImage,
    /// A name of which no version is whole.
    LostName,
    /// A file of a name that cannot be read.
    DamagedTag,
    /// A signature or bill of materials that lacks content.
    IncompleteReferrer,
    /// A file that the store did not make.
    Stray,
    /// `store.toml` is wrong.
    Settings,
}

/// A check that goes on.
struct Check<'a> {
    store: &'a Store,
    repair: bool,
    corrupt: BTreeSet<Digest>,
    report: CheckReport,
}

impl Store {
    /// Hashes all content and follows all names. With `repair`, removes what
    /// is damaged: content comes again with the next pull; a name goes back to
    /// its newest whole version. That waits until nobody has a [`Session`]:
    /// one of the same thread must have ended.
    ///
    /// # Errors
    /// When a file cannot be read or removed. What is damaged is no error, but
    /// in the report.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        files::create_private(&self.root)?;
        let _lock = self.lock(if repair { File::lock } else { File::lock_shared })?;
        let mut check =
            Check { store: self, repair, corrupt: BTreeSet::new(), report: CheckReport::default() };
        check.settings()?;
        check.blobs()?;
        check.names()?;
        check.referrers()?;
        check.stamps()?;
        Ok(check.report)
    }
}

impl Check<'_> {
    fn settings(&mut self) -> Result<()> {
        match self.store.limits() {
            Ok(_) => Ok(()),
            Err(error @ Error::Io { .. }) => Err(error),
            Err(error) => {
                let path = self.store.root.join("store.toml");
                self.note(ProblemKind::Settings, &path, error.to_string(), "correct the file", "", false);
                Ok(())
            }
        }
    }

    fn blobs(&mut self) -> Result<()> {
        for path in files::list(&self.store.blobs())? {
            match files::digest_of_name(&path) {
                Some(digest) if is_plain(&path) => self.blob(&path, &digest)?,
                _ => self.stray(&path)?,
            }
        }
        Ok(())
    }

    fn blob(&mut self, path: &Path, digest: &Digest) -> Result<()> {
        let file = File::open(path).map_err(|source| io("read", path, source))?;
        self.report.blobs += 1;
        self.report.bytes += file.metadata().map_or(0, |metadata| metadata.len());
        let text = match stamps::hash_and_stamp(self.store, digest, &file) {
            Ok(found) if found == *digest => return Ok(()),
            Ok(found) => format!("content that should be {digest} is {found}"),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.corrupt.insert(*digest);
        if self.repair {
            files::remove(path)?;
        }
        let advice = "repair the store, then pull or pack what needs it again";
        self.note(
            ProblemKind::CorruptBlob,
            path,
            text,
            advice,
            "removed; a pull brings it again",
            self.repair,
        );
        Ok(())
    }

    fn names(&mut self) -> Result<()> {
        let _lock = self.store.lock_tags()?;
        for path in files::list(&self.store.tags_folder())? {
            let is_tag = path.extension().is_some_and(|extension| extension == "json") && is_plain(&path);
            if !is_tag {
                self.stray(&path)?;
                continue;
            }
            match tags::read(&path) {
                Ok(None) => {}
                Ok(Some(tagged)) => self.name(&path, tagged)?,
                Err(Error::Damaged { reason, .. }) => {
                    if self.repair {
                        files::remove(&path)?;
                    }
                    let text = format!("the file of a name is damaged: {reason}");
                    let advice = "repair the store, then tag or pull the image again";
                    self.note(ProblemKind::DamagedTag, &path, text, advice, "removed", self.repair);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn name(&mut self, path: &Path, tagged: Tagged) -> Result<()> {
        self.report.names += 1;
        let mut kept = Tagged { versions: Vec::new(), current: 0, ..tagged.clone() };
        let mut current = None;
        for (index, version) in tagged.versions.iter().enumerate() {
            let defects = self.store.defects(&version.digest, &|digest| self.corrupt.contains(digest));
            let Some(defect) = defects.first() else {
                if index == tagged.current {
                    current = Some(kept.versions.len());
                }
                kept.versions.push(*version);
                continue;
            };
            let text =
                format!("`{}`, version {}, is incomplete: {}", tagged.name, version.digest, defect.reason);
            let advice = "pull or pack it again, or repair the store, which drops this version";
            self.note(ProblemKind::IncompleteImage, path, text, advice, "dropped this version", self.repair);
        }
        if kept.versions.len() == tagged.versions.len() {
            return Ok(());
        }
        if kept.versions.is_empty() {
            if self.repair {
                files::remove(path)?;
            }
            let text = format!("`{}` has no whole version", tagged.name);
            self.note(
                ProblemKind::LostName,
                path,
                text,
                "pull or pack it again",
                "forgot the name",
                self.repair,
            );
            return Ok(());
        }
        kept.current = current.unwrap_or(kept.versions.len() - 1);
        if self.repair { self.store.write_tag(&kept) } else { Ok(()) }
    }

    fn referrers(&mut self) -> Result<()> {
        for folder in files::list(&self.store.referrers_folder())? {
            if files::digest_of_name(&folder).is_none() || !folder.is_dir() {
                self.stray(&folder)?;
                continue;
            }
            for note in files::list(&folder)? {
                let Some(digest) = files::digest_of_name(&note) else {
                    self.stray(&note)?;
                    continue;
                };
                let defects = self.store.defects(&digest, &|digest| self.corrupt.contains(digest));
                let Some(defect) = defects.first() else { continue };
                if self.repair {
                    files::remove(&note)?;
                }
                let text = format!("what refers to an image is incomplete: {}", defect.reason);
                let advice = "pull the image or sign it again, or repair the store";
                let kind = ProblemKind::IncompleteReferrer;
                self.note(kind, &note, text, advice, "removed the note of it", self.repair);
            }
        }
        Ok(())
    }

    /// A stamp without its blob says nothing and is left to the collection.
    fn stamps(&mut self) -> Result<()> {
        for path in files::list(&stamps::folder(self.store))? {
            if files::digest_of_name(&path).is_none() || !is_plain(&path) {
                self.stray(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a file that the store did not make. A folder may hold what
    /// somebody wants, and is left.
    fn stray(&mut self, path: &Path) -> Result<()> {
        let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let removed = self.repair && !is_folder;
        if removed {
            files::remove(path)?;
        }
        let text = "nothing that the store made".to_owned();
        let advice =
            if is_folder { "move the folder elsewhere" } else { "move it elsewhere, or repair the store" };
        self.note(ProblemKind::Stray, path, text, advice, "removed", removed);
        Ok(())
    }

    fn note(
        &mut self,
        kind: ProblemKind,
        path: &Path,
        text: String,
        advice: &str,
        done: &str,
        repaired: bool,
    ) {
        let advice = if repaired { done } else { advice }.to_owned();
        self.report.problems.push(Problem { kind, path: path.to_owned(), text, advice, repaired });
    }
}

impl CheckReport {
    /// Whether all that was found wrong, if anything, is repaired.
    pub fn is_whole(&self) -> bool {
        self.problems.iter().all(|problem| problem.repaired)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {} ({})", self.path.display(), self.text, self.advice)
    }
}

fn is_plain(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}
