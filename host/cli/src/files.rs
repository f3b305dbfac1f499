//! Files that a command makes for its user: there whole or not at all.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// Writes a file by `fill` and gives it its name once it is whole and on the
/// disk; says how many bytes it has.
///
/// # Errors
/// When it cannot be written, or `fill` fails; what was there before then stays.
pub(crate) fn write_whole(path: &Path, fill: impl FnOnce(&mut NamedTempFile) -> Result<()>) -> Result<u64> {
    let failed = || format!("cannot write `{}`", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As of any other new file, less the user's mask.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).with_context(failed)?;
    fill(&mut file)?;
    file.as_file().sync_all().with_context(failed)?;
    let bytes = file.as_file().metadata().with_context(failed)?.len();
    file.persist(path).map_err(|error| error.error).with_context(failed)?;
    Ok(bytes)
}
