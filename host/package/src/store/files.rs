//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::Result;
use super::error::{Error, io};
use crate::digest::Digest;

/// Makes a folder that only its user may enter, so that a crash does not lose
/// it with all that is put there.
pub(super) fn create_private(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), create_private)?;
    match builder.create(folder) {
        // Another process was faster.
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists || !folder.is_dir() => {
            Err(io("create the folder", folder, source))
        }
        _ => parent.map_or(Ok(()), sync_folder),
    }
}

/// Opens a file that exists to be locked.
pub(super) fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| io("open", path, source))
}

/// Writes a small file whole: a crash leaves the old one or the new one.
pub(super) fn replace(path: &Path, ingest: &Path, bytes: &[u8]) -> Result<()> {
    create_private(ingest)?;
    let failed = |source| io("write", path, source);
    let mut file = tempfile::NamedTempFile::new_in(ingest).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    publish(file, path)
}

/// Gives a written file its name, so that a crash loses neither.
pub(super) fn publish(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    let failed = |source| io("write", path, source);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes sure that names in a folder survive a crash.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let sync = File::open(folder).and_then(|folder| folder.sync_all());
        sync.map_err(|source| io("sync", folder, source))?;
    }
    Ok(())
}

/// Whether an open file is still the one that a path leads to.
pub(super) fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    let there = match std::fs::metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let opened = file.metadata()?;
    #[cfg(unix)]
    let same = {
        use std::os::unix::fs::MetadataExt;
        (opened.dev(), opened.ino()) == (there.dev(), there.ino())
    };
    #[cfg(not(unix))] // where an open file cannot lose its name to another
    let same = opened.len() == there.len();
    Ok(same)
}

/// Reads a small file; `None` when there is none.
pub(super) fn read_bounded(path: &Path, longest: u64) -> Result<Option<Vec<u8>>> {
    let failed = |source| io("read", path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > longest {
        let reason = format!("it is longer than {longest} bytes");
        return Err(Error::Damaged { path: path.to_owned(), reason });
    }
    Ok(Some(bytes))
}

/// The paths in a folder, sorted; none when there is no folder.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| io("read", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let paths: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Removes a file, which may be gone already.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(io("remove", path, source)),
        _ => Ok(()),
    }
}

/// Lets nobody write to a file again.
pub(super) fn seal(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
    #[cfg(not(unix))] // where read-only files cannot be removed
    let _ = file;
    Ok(())
}

/// The digest that a file is named after.
pub(super) fn digest_of_name(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str().and_then(Digest::from_hex)
}
