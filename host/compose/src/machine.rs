//! What the machine has: cores, and where a library may lie on it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A smaller model computes for less time than a second thread takes to start.
const SMALL_MODEL: usize = 1 << 20;

/// Threads for one run of a model of this many bytes.
pub fn threads_for(bytes: usize) -> usize {
    match bytes < SMALL_MODEL {
        true => 1,
        false => threads(),
    }
}

/// The cores that this process may use, a container's share counted.
pub fn threads() -> usize {
    // Asking the system reads a dozen files on Linux.
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Where the library of ONNX Runtime may be, in the order of preference: beside
/// the program, then in each of `folders`, with a version behind its name or
/// without.
pub fn onnxruntime_libraries(folders: &[PathBuf]) -> Vec<PathBuf> {
    libraries(
        &format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX),
        folders,
    )
}

/// The same for the library of LiteRT.
pub fn litert_libraries(folders: &[PathBuf]) -> Vec<PathBuf> {
    // Its name begins with `lib` on Windows too.
    libraries(&format!("libLiteRt{}", std::env::consts::DLL_SUFFIX), folders)
}

fn libraries(name: &str, folders: &[PathBuf]) -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(name)));
    let stored = folders
        .iter()
        .flat_map(|folder| std::iter::once(folder.join(name)).chain(versioned_libraries(folder, name)));
    beside.into_iter().chain(stored).collect()
}

/// Libraries that carry a version behind their name, as `libonnxruntime.so.1`
/// does, the newest name first.
fn versioned_libraries(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let matching =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{name}.")));
    let mut libraries: Vec<PathBuf> = matching.map(|entry| entry.path()).collect();
    libraries.sort_by(|a, b| b.cmp(a));
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_looked_for_by_name_and_then_by_version() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        for version in ["1", "2"] {
            std::fs::write(folder.path().join(format!("{name}.{version}")), "").unwrap();
        }
        let found = onnxruntime_libraries(&[folder.path().to_owned()]);
        let names: Vec<_> = found[1..].iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(
            names,
            [name.clone(), format!("{name}.2"), format!("{name}.1")].map(std::ffi::OsString::from)
        );
    }
}
