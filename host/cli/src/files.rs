//! Files that a command makes for its user: there whole or not at all.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Writes a file by `fill` and gives it its name once it is whole and on the
/// disk; says how many bytes it has. What is there and no file, such as
/// `/dev/null`, is written into.
///
/// # Errors
/// When it cannot be written, or `fill` fails; what was there before then stays.
pub(crate) fn write_whole(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<u64> {
    let failed = || format!("cannot write `{}`", path.display());
    if path.is_dir() {
        bail!(
            "`{0}` is a folder\nhint: name the file to write, e.g. `-o {0}/NAME`",
            path.display().to_string().trim_end_matches('/')
        );
    }
    if path.exists() && !path.is_file() {
        let mut device = File::options().write(true).open(path).with_context(failed)?;
        fill(&mut device)?;
        return Ok(0);
    }
    // A link stays one, and what it leads to is replaced.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As of any other new file, less the user's mask.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).with_context(failed)?;
    fill(file.as_file_mut())?;
    file.as_file().sync_all().with_context(failed)?;
    let bytes = file.as_file().metadata().with_context(failed)?.len();
    file.persist(path).map_err(|error| error.error).with_context(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(path: &Path, text: &str) -> Result<u64> {
        write_whole(path, |file| Ok(file.write_all(text.as_bytes())?))
    }

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        assert_eq!(write(&path, "one").unwrap(), 3);
        assert!(
            write_whole(&path, |file| {
                file.write_all(b"half")?;
                bail!("stop")
            })
            .is_err()
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        assert!(write(folder.path(), "x").unwrap_err().to_string().contains("is a folder\nhint: "));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        let device = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        assert_eq!(write(&device, "x").unwrap(), 0);
        assert!(device.is_symlink());
    }
}
