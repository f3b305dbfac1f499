//! Finding an engine's library among the places where it may be, and having one of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A library that is looked for.
pub(crate) struct Sought {
    /// Its name without what systems put around it, e.g. `onnxruntime`.
    pub stem: &'static str,
    /// What messages call it.
    pub called: &'static str,
    /// Where to have it from.
    pub advice: &'static str,
}

impl Sought {
    /// The first of `candidates` that is there: a file, or a directory that holds the
    /// library.
    ///
    /// # Errors
    /// In words, with the places and what to do.
    pub(crate) fn locate(&self, candidates: &[PathBuf]) -> Result<PathBuf, String> {
        let Self { called, advice, .. } = self;
        if candidates.is_empty() {
            return Err(format!("no place to look for {called} is configured; {advice}"));
        }
        let found = candidates.iter().find_map(|candidate| {
            if candidate.is_dir() {
                self.in_directory(candidate)
            } else {
                candidate.is_file().then(|| candidate.clone())
            }
        });
        found.ok_or_else(|| {
            let places: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
            format!("{called} is not at {}; {advice}", places.join(", "))
        })
    }

    /// The library in a directory, the newest where it is there with several versions in
    /// its name.
    fn in_directory(&self, directory: &Path) -> Option<PathBuf> {
        let entries = std::fs::read_dir(directory).ok()?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        files
            .filter(|path| path.file_name().is_some_and(|name| self.is_library(name)) && path.is_file())
            .max_by_key(|path| version_in_name(path))
    }

    fn is_library(&self, name: &OsStr) -> bool {
        let (name, stem) = (name.to_string_lossy(), self.stem);
        match std::env::consts::OS {
            "windows" => name == format!("{stem}.dll"),
            "macos" => {
                name == format!("lib{stem}.dylib") || is_numbered(&name, &format!("lib{stem}."), ".dylib")
            }
            _ => name == format!("lib{stem}.so") || is_numbered(&name, &format!("lib{stem}.so."), ""),
        }
    }
}

/// A library that a process can have one of, and what it holds of it.
pub(crate) struct OfProcess<T>(Mutex<Option<(PathBuf, T)>>);

impl<T: Clone> OfProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What the process has of the library at `path`, which `load` brings in if nothing is
    /// there yet.
    ///
    /// # Errors
    /// In words: another one is there, or `load`'s.
    pub(crate) fn get(
        &self,
        path: &Path,
        load: impl FnOnce(&Path) -> Result<T, String>,
    ) -> Result<T, String> {
        let path = match path.canonicalize() {
            // In a folder that is open and has no name here.
            Err(_) if path.is_file() => path.to_owned(),
            found => found.map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?,
        };
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((there, loaded)) = &*slot {
            if *there == path {
                return Ok(loaded.clone());
            }
            let (there, path) = (there.display(), path.display());
            return Err(format!("this process has loaded `{there}` already and cannot load `{path}` too"));
        }
        let loaded = load(&path)?;
        *slot = Some((path, loaded.clone()));
        Ok(loaded)
    }
}

fn is_numbered(name: &str, prefix: &str, suffix: &str) -> bool {
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
    number.is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
}

fn version_in_name(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_newest_library_of_a_directory_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let names =
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"];
        for name in names {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let sought = Sought { stem: "onnxruntime", called: "it", advice: "buy it" };
        let found = sought.locate(&["/nowhere".into(), directory.path().to_owned()]).unwrap();
        assert_eq!(found.file_name().unwrap(), "libonnxruntime.so.1.32.0");
        let missing = sought.locate(&["/nowhere".into()]).unwrap_err();
        assert_eq!(missing, "it is not at `/nowhere`; buy it");
    }
}
