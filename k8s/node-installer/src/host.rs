//! The node's files, by the paths that the node has for them.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Links in a row after which one is taken for a circle.
const MOST_LINKS: usize = 16;

/// A node whose root folder is mounted somewhere.
#[derive(Debug)]
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        if !root.is_dir() {
            bail!("`--host-root {}`: no such folder; mount the node's root there", root.display());
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Where a file of the node is for this process. Links are followed as the
    /// node would: absolute ones lead from its own root.
    ///
    /// # Errors
    /// When links go in a circle.
    pub(crate) fn place(&self, path: &Path) -> Result<PathBuf> {
        let mut place = self.root.clone();
        let mut left: Vec<PathBuf> = parts(path);
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == Path::new("..") {
                if place != self.root {
                    place.pop();
                }
                continue;
            }
            let next = place.join(&part);
            let Ok(target) = fs::read_link(&next) else {
                place = next;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                bail!("{}: its links lead nowhere", path.display());
            }
            if target.is_absolute() {
                place.clone_from(&self.root);
            }
            left.extend(parts(&target));
        }
        Ok(place)
    }

    /// Whether there is a file or a folder, or a link to one.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let folder = path.parent().and_then(|folder| self.place(folder).ok());
        let (Some(folder), Some(name)) = (folder, path.file_name()) else { return false };
        fs::symlink_metadata(folder.join(name)).is_ok()
    }

    /// # Errors
    /// When there is such a file, and it is not to be changed.
    pub(crate) fn check_writable(&self, path: &Path) -> Result<()> {
        if self.mode(path)?.is_some_and(|mode| mode & 0o222 == 0) {
            bail!(
                "{}: the file is read-only; let its owner write it (`chmod u+w`) or change it by hand",
                path.display()
            );
        }
        Ok(())
    }

    /// A file's bytes; `None`: there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match fs::read(self.place(path)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// A file's permissions; `None`: there is no such file.
    ///
    /// # Errors
    /// When links go in a circle.
    pub(crate) fn mode(&self, path: &Path) -> Result<Option<u32>> {
        Ok(fs::metadata(self.place(path)?).ok().map(|data| data.mode() & 0o7777))
    }

    /// A file's text; `None`: there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or is no text.
    pub(crate) fn text(&self, path: &Path) -> Result<Option<String>> {
        let Some(bytes) = self.bytes(path)? else { return Ok(None) };
        let text = String::from_utf8(bytes);
        text.map(Some).with_context(|| format!("{}: not a text in UTF-8", path.display()))
    }

    /// The names in a folder, sorted; none where there is no folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn names(&self, folder: &Path) -> Result<Vec<OsString>> {
        let entries = match fs::read_dir(self.place(folder)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
        };
        let names: Result<Vec<_>, _> = entries.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names
            .map_err(|error: std::io::Error| error)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        names.sort();
        Ok(names)
    }

    /// Puts a file in the place of what is there, all at once, and makes the
    /// folders above it. A file that is there keeps its owner, and its
    /// permissions unless `mode` says others.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8], mode: Option<u32>) -> Result<()> {
        let place = self.place(path)?;
        let old = fs::metadata(&place).ok();
        let wrong = || format!("cannot write {}", path.display());
        let folder = place.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).with_context(wrong)?;
        let mut name = OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(".samara-new");
        let new = folder.join(name);
        let written = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(bytes)?;
            let mode = mode.or(old.as_ref().map(|old| old.mode() & 0o7777)).unwrap_or(0o644);
            if let Some(old) = &old {
                chown(&new, Some(old.uid()), Some(old.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
            fs::rename(&new, &place)
        };
        written().inspect_err(|_| _ = fs::remove_file(&new)).with_context(wrong)
    }

    /// Removes a file. Says whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(&self, path: &Path) -> Result<bool> {
        match fs::remove_file(self.place(path)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
        }
    }

    /// Removes a folder if it is there and nothing is in it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove_empty(&self, folder: &Path) -> Result<()> {
        match fs::remove_dir(self.place(folder)?) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                Err(error).with_context(|| format!("cannot remove {}", folder.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.rev().map(|part| Path::new(part.as_os_str()).to_owned()).collect()
}
