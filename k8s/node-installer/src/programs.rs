//! The shim and its libraries, in a folder of their own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::config::SHIM;
use crate::host::Host;

const LIBRARIES: &str = "/opt/samara/lib";
/// Folders of ours, the innermost first.
const FOLDERS: [&str; 3] = ["/opt/samara/bin", LIBRARIES, "/opt/samara"];
const LIBRARY: &str = "libonnxruntime.so";

/// A file that is to be on the node.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    bytes: Vec<u8>,
    mode: u32,
}

impl Program {
    /// The shim; the file beside this program where none is given.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn shim(given: Option<&Path>) -> Result<Self> {
        let name = Path::new(SHIM).file_name().unwrap_or_default();
        let beside =
            std::env::current_exe().context("cannot tell where this program is")?.with_file_name(name);
        let from = given.unwrap_or(&beside);
        let bytes = read(from, "the shim", "`--shim FILE` names it")?;
        Ok(Self { path: SHIM.into(), bytes, mode: 0o755 })
    }

    /// The library of ONNX Runtime.
    ///
    /// # Errors
    /// When it is missing, or not named like one.
    pub(crate) fn onnxruntime(from: &Path) -> Result<Self> {
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(LIBRARY) {
            bail!(
                "`--onnxruntime {}`: name the library itself, `{LIBRARY}` or with its version after",
                from.display()
            );
        }
        let bytes = read(from, "the library of ONNX Runtime", "`--onnxruntime FILE` names it")?;
        Ok(Self { path: Path::new(LIBRARIES).join(&*name), bytes, mode: 0o644 })
    }

    /// Puts it there if it is not. Says where, if so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn install(&self, host: &Host) -> Result<Option<PathBuf>> {
        let is_so = host.bytes(&self.path)?.is_some_and(|now| now == self.bytes)
            && host.mode(&self.path)? == Some(self.mode);
        if is_so {
            return Ok(None);
        }
        host.write(&self.path, &self.bytes, Some(self.mode))?;
        Ok(Some(self.path.clone()))
    }
}

/// Removes all of it. Says what was there.
///
/// # Errors
/// When a file cannot be removed.
pub(crate) fn uninstall(host: &Host) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for path in [vec![PathBuf::from(SHIM)], libraries(host)?].concat() {
        if host.remove(&path)? {
            removed.push(path);
        }
    }
    for folder in FOLDERS {
        host.remove_empty(Path::new(folder))?;
    }
    Ok(removed)
}

/// The libraries of ONNX Runtime that are there.
///
/// # Errors
/// When their folder cannot be read.
pub(crate) fn libraries(host: &Host) -> Result<Vec<PathBuf>> {
    let names = host.names(Path::new(LIBRARIES))?.into_iter();
    let ours = names.filter(|name| name.to_string_lossy().starts_with(LIBRARY));
    Ok(ours.map(|name| Path::new(LIBRARIES).join(name)).collect())
}

fn read(from: &Path, what: &str, advice: &str) -> Result<Vec<u8>> {
    let bytes =
        std::fs::read(from).with_context(|| format!("cannot read {what}, {}; {advice}", from.display()))?;
    if bytes.is_empty() {
        bail!("{what}, {}, is empty; {advice}", from.display());
    }
    Ok(bytes)
}
