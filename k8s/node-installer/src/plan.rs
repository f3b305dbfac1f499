//! What is to be done to a node's configuration: worked out first, then done.

use std::path::PathBuf;

use anyhow::Result;

use crate::host::Host;

/// Files as they are to be, and what to restart when one was not so.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) files: Vec<Wanted>,
    /// The service of systemd that runs containerd.
    pub(crate) service: String,
    /// What people should know.
    pub(crate) notes: Vec<String>,
}

/// A file as it is to be.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) path: PathBuf,
    pub(crate) is: Is,
}

/// What is to be at a path.
#[derive(Debug)]
pub(crate) enum Is {
    Text(String),
    Nothing,
    /// Nor its folder, unless something else is in it.
    NothingNorFolder,
}

impl Plan {
    pub(crate) fn want(&mut self, path: impl Into<PathBuf>, is: Is) {
        self.files.push(Wanted { path: path.into(), is });
    }

    /// The files that are not as they are to be.
    ///
    /// # Errors
    /// When one cannot be read, or is not to be changed.
    pub(crate) fn open(&self, host: &Host) -> Result<Vec<&Wanted>> {
        let mut open = Vec::new();
        for wanted in &self.files {
            let now = host.bytes(&wanted.path)?;
            let is_so = match &wanted.is {
                Is::Text(text) => now.is_some_and(|now| now == text.as_bytes()),
                Is::Nothing | Is::NothingNorFolder => now.is_none(),
            };
            if !is_so {
                host.check_writable(&wanted.path)?;
                open.push(wanted);
            }
        }
        Ok(open)
    }
}

impl Wanted {
    /// # Errors
    /// When the file cannot be written or removed.
    pub(crate) fn make(&self, host: &Host) -> Result<()> {
        match &self.is {
            Is::Text(text) => host.write(&self.path, text.as_bytes(), None)?,
            Is::Nothing => _ = host.remove(&self.path)?,
            Is::NothingNorFolder => {
                host.remove(&self.path)?;
                if let Some(folder) = self.path.parent() {
                    host.remove_empty(folder)?;
                }
            }
        }
        Ok(())
    }
}
