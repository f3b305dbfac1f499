//! Removes what no image needs.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

#[cfg(doc)]
use super::Session;
use super::error::io;
use super::{Result, Store, files, stamps};
use crate::digest::Digest;

const CODE_EXTENSION: &str = "cwasm";

/// What is to be removed.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// Only says what would be removed.
    pub dry_run: bool,
    /// The time that ages are told from.
    pub now: SystemTime,
    /// Interrupted downloads that nobody went on with for this long are
    /// removed.
    pub partial_age: Duration,
    /// Compiled code is removed, what was unused longest first, until it has
    /// at most this many bytes. `None` leaves it alone.
    pub max_code: Option<u64>,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Content that no image needs.
    pub blobs: Removed,
    /// Leftovers of writers that ended early.
    pub partial: Removed,
    /// Compiled code.
    pub code: Removed,
}

/// Files that were removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub files: u64,
    pub bytes: u64,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            now: SystemTime::now(),
            partial_age: Duration::from_secs(24 * 3600),
            max_code: Some(4 << 30),
        }
    }
}

impl Collected {
    /// Of all kinds together.
    pub fn bytes(&self) -> u64 {
        self.blobs.bytes + self.partial.bytes + self.code.bytes
    }
}

impl Removed {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl Store {
    /// Removes content that belongs to no version of any name, nor refers to
    /// one, and leftovers. Waits until nobody has a [`Session`]: one of the
    /// same thread must have ended.
    ///
    /// # Errors
    /// When a file cannot be read or removed, or a tag or manifest is damaged:
    /// then nobody knows what it needs, and nothing is removed.
    pub fn collect(&self, options: &CollectOptions) -> Result<Collected> {
        files::create_private(&self.root)?;
        let _lock = self.lock(File::lock)?;
        let _tags = self.lock_tags()?;
        let versions = self.tags()?.into_iter().flat_map(|tagged| tagged.versions);
        let needed = self.reachable(versions.map(|version| version.digest))?;
        let mut collected = Collected::default();
        if !options.dry_run {
            // First: a note must not outlive what it names, not even if this is killed.
            self.collect_notes(&needed)?;
        }
        self.collect_blobs(&needed, options, &mut collected.blobs)?;
        self.collect_ingest(options, &mut collected.partial)?;
        self.collect_code(options, &mut collected.code)?;
        Ok(collected)
    }

    fn collect_blobs(
        &self,
        needed: &BTreeMap<Digest, bool>,
        options: &CollectOptions,
        removed: &mut Removed,
    ) -> Result<()> {
        for path in files::list(&self.blobs())? {
            let Some(digest) = files::digest_of_name(&path) else { continue };
            if !needed.contains_key(&digest) {
                remove(&path, options, removed)?;
            }
        }
        Ok(())
    }

    fn collect_ingest(&self, options: &CollectOptions, removed: &mut Removed) -> Result<()> {
        for path in files::list(&self.ingest())? {
            let is_partial = path.extension().is_some_and(|extension| extension == "part");
            // Nobody writes now, so all but downloads to go on with is left over.
            if !is_partial || is_older(&path, options) {
                remove(&path, options, removed)?;
            }
        }
        Ok(())
    }

    fn collect_code(&self, options: &CollectOptions, removed: &mut Removed) -> Result<()> {
        let Some(max_code) = options.max_code else { return Ok(()) };
        let mut code = self.code()?;
        code.sort_by_key(|(path, metadata)| (last_use(metadata), path.clone()));
        let mut total: u64 = code.iter().map(|(_, metadata)| metadata.len()).sum();
        for (path, metadata) in code {
            if total <= max_code {
                break;
            }
            remove(&path, options, removed)?;
            total -= metadata.len();
        }
        Ok(())
    }

    /// Stamps of blobs that are gone, and notes about what refers to them.
    fn collect_notes(&self, needed: &BTreeMap<Digest, bool>) -> Result<()> {
        let is_needed = |path: &Path| files::digest_of_name(path).is_some_and(|d| needed.contains_key(&d));
        for stamp in files::list(&stamps::folder(self))? {
            if !is_needed(&stamp) {
                files::remove(&stamp)?;
            }
        }
        for subject in files::list(&self.referrers_folder())? {
            if !subject.is_dir() {
                continue; // no note
            }
            let (kept, gone): (Vec<_>, Vec<_>) = match is_needed(&subject) {
                true => files::list(&subject)?.into_iter().partition(|note| is_needed(note)),
                false => (Vec::new(), files::list(&subject)?),
            };
            gone.iter().try_for_each(|note| files::remove(note))?;
            if kept.is_empty() {
                std::fs::remove_dir(&subject).map_err(|source| io("remove", &subject, source))?;
            }
        }
        Ok(())
    }

    /// The files of compiled code: one folder per compiler.
    pub(super) fn code(&self) -> Result<Vec<(PathBuf, Metadata)>> {
        let mut code = Vec::new();
        for folder in files::list(&self.root.join("code"))? {
            if !folder.is_dir() {
                continue;
            }
            for path in files::list(&folder)? {
                let is_code = path.extension().is_some_and(|extension| extension == CODE_EXTENSION);
                // Engines run at this moment, and may remove files too.
                if let Some(metadata) = path.symlink_metadata().ok().filter(|m| is_code && m.is_file()) {
                    code.push((path, metadata));
                }
            }
        }
        Ok(code)
    }
}

fn remove(path: &Path, options: &CollectOptions, removed: &mut Removed) -> Result<()> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        // Readers that stamp what they hashed come and go meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io("read", path, source)),
    };
    if !metadata.is_file() {
        return Ok(()); // nothing that the store made: `check` names it
    }
    if !options.dry_run {
        files::remove(path)?;
    }
    removed.add(metadata.len());
    Ok(())
}

/// Whether a download was interrupted too long ago; one from the future is new.
fn is_older(path: &Path, options: &CollectOptions) -> bool {
    let modified = path.symlink_metadata().and_then(|metadata| metadata.modified()).ok();
    let age = modified.and_then(|modified| options.now.duration_since(modified).ok());
    age.is_some_and(|age| age > options.partial_age)
}

fn last_use(metadata: &Metadata) -> SystemTime {
    // Where access is not noted, what counts is when the code was compiled.
    let times = [metadata.accessed(), metadata.modified()];
    times.into_iter().flatten().max().unwrap_or(SystemTime::UNIX_EPOCH)
}
