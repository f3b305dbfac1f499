//! The files beside a model's own that hold its weights.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

/// Where the files are that a model's own file may refer to by name.
#[derive(Debug, Clone, Default)]
pub enum Beside {
    /// Nowhere: bytes from memory may not refer to files.
    #[default]
    Nothing,
    /// In this folder, the one of the model's own file, or below it.
    Folder(PathBuf),
    /// These, by the names that the model has for them, mapped where they lie.
    Files(BTreeMap<String, Bytes>),
}

/// Why a file beside a model is not used. The words go on after "its data are in
/// the file `NAME`, ".
#[derive(Debug, thiserror::Error)]
pub enum NoDataFile {
    #[error(
        "which a model from memory may not refer to; load it from its file, or save it with its weights inside"
    )]
    FromMemory,
    #[error("which is not inside the model's directory")]
    Outside,
    #[error("a link that leads out of the model's directory")]
    Link,
    #[error("a name that engines keep for themselves")]
    Reserved,
    #[error("which is not there; it belongs beside the model")]
    Missing,
    #[error("which is not a file")]
    NotAFile,
    #[error("which cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl Beside {
    /// What is in the folder of a model's file.
    pub fn folder_of(model: &Path) -> Self {
        Beside::Folder(folder_of(model).to_owned())
    }

    /// How many bytes the file has that a model calls `name`.
    ///
    /// # Errors
    /// When the model may not refer to it, or it is not there.
    pub fn size(&self, name: &str) -> Result<u64, NoDataFile> {
        match self {
            Beside::Nothing => Err(NoDataFile::FromMemory),
            Beside::Folder(folder) => Ok(data_file(folder, name)?.metadata()?.len()),
            Beside::Files(files) => {
                check_name(name)?;
                Ok(files.get(name).ok_or(NoDataFile::Missing)?.len() as u64)
            }
        }
    }
}

/// The folder that a model's file is in.
pub fn folder_of(model: &Path) -> &Path {
    model.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file that a model in `folder` calls `name`: inside the folder, links
/// followed.
///
/// # Errors
/// When it would lie anywhere else, or is no file.
pub fn data_file(folder: &Path, name: &str) -> Result<PathBuf, NoDataFile> {
    check_name(name)?;
    let folder = folder.canonicalize()?;
    let file = folder.join(name).canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => NoDataFile::Missing,
        _ => NoDataFile::Unreadable(error),
    })?;
    if !file.starts_with(&folder) {
        return Err(NoDataFile::Link);
    }
    if !file.metadata()?.is_file() {
        return Err(NoDataFile::NotAFile);
    }
    Ok(file)
}

/// Whether a name may be one of a file beside a model.
///
/// # Errors
/// When it leads out of the model's folder, or means something else to an engine.
pub fn check_name(name: &str) -> Result<(), NoDataFile> {
    // ONNX Runtime reads an address in memory out of names that begin so.
    if name.starts_with("*/") {
        return Err(NoDataFile::Reserved);
    }
    let mut parts = Path::new(name).components();
    let is_inside = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if name.is_empty() || !is_inside { Err(NoDataFile::Outside) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_folder_and_nowhere_else() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        for (file, size) in [("w.bin", 3), ("sub/w.bin", 4), ("../secret", 5)] {
            std::fs::write(folder.join(file), vec![0; size]).unwrap();
        }
        let beside = Beside::folder_of(&folder.join("m.onnx"));
        for (name, size) in [("w.bin", 3), ("./w.bin", 3), ("sub/w.bin", 4)] {
            assert_eq!(beside.size(name).unwrap(), size, "{name}");
        }
        for name in ["", "..", "../secret", "/etc/passwd", "sub/../../secret"] {
            assert!(matches!(beside.size(name), Err(NoDataFile::Outside)), "{name}");
        }
        assert!(matches!(beside.size("missing"), Err(NoDataFile::Missing)));
        assert!(matches!(beside.size("sub"), Err(NoDataFile::NotAFile)));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
            assert!(matches!(beside.size("link"), Err(NoDataFile::Link)));
        }
    }

    #[test]
    fn names_that_an_engine_takes_for_an_address_are_refused_wherever_the_files_are() {
        let name = "*/_ORT_MEM_ADDR_/*";
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("*/_ORT_MEM_ADDR_")).unwrap();
        std::fs::write(folder.path().join(name), "x").unwrap();
        let files = BTreeMap::from([(name.to_owned(), Bytes::from_static(b"x"))]);
        for beside in [Beside::Folder(folder.path().to_owned()), Beside::Files(files)] {
            assert!(matches!(beside.size(name), Err(NoDataFile::Reserved)), "{beside:?}");
        }
    }

    #[test]
    fn files_that_came_along_are_known_by_the_names_of_the_model() {
        let files = BTreeMap::from([("w.bin".to_owned(), Bytes::from_static(b"four"))]);
        let beside = Beside::Files(files);
        assert_eq!(beside.size("w.bin").unwrap(), 4);
        assert!(matches!(beside.size("other"), Err(NoDataFile::Missing)));
        assert!(matches!(Beside::Nothing.size("w.bin"), Err(NoDataFile::FromMemory)));
    }
}
