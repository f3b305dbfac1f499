//! What the node has for its containers, whose own roots lack all of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::calls::lock;

/// Where [`FOLDER_VARIABLE`] does not say otherwise.
const FOLDER: &str = "/var/lib/samara";
/// Set where containerd is started.
const FOLDER_VARIABLE: &str = "SAMARA_NODE_FOLDER";

/// Code that is compiled, by version of this program.
pub(crate) fn code() -> PathBuf {
    folder().join("code")
}

/// Images' signatures, and images that somebody brought on a disk.
pub(crate) fn store() -> PathBuf {
    folder().join("store")
}

fn folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE).map_or_else(|| FOLDER.into(), PathBuf::from)
}

/// A folder of the node that was opened before this program was a container, and
/// that a container uses until it runs what the node does not trust.
pub(crate) struct Handed(Mutex<Option<File>>);

impl Handed {
    pub(crate) const fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    /// # Errors
    /// When there is no such folder.
    pub(crate) fn open(&self, folder: &Path) -> io::Result<()> {
        // Nothing can be read or written by it; it is a place to start from.
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(folder)?;
        *lock(&self.0) = Some(file);
        Ok(())
    }

    /// Where a container finds the folder, until [`close`](Self::close).
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let folder = lock(&self.0);
        folder.as_ref().map(|folder| PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())))
    }

    pub(crate) fn close(&self) {
        *lock(&self.0) = None;
    }
}
