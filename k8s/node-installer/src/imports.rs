//! The files that containerd reads: the main one, and those that it imports.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::config::{Config, Version};
use crate::host::Host;
use crate::part;

/// The first line of a file that is wholly ours.
pub(crate) const WHOLLY_OURS: &str =
    "# Written by samara-node-installer; `samara-node-installer uninstall` removes it";

/// A file that containerd reads.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) path: PathBuf,
    /// Its text without our part.
    pub(crate) rest: String,
    /// What the rest says.
    pub(crate) config: Config,
    /// Patterns of files that it imports.
    pub(crate) imports: Vec<PathBuf>,
    pub(crate) is_ours: bool,
}

/// Reads all files, in the order in which containerd does; none where there is
/// no main one.
///
/// # Errors
/// When one cannot be read, or is not TOML.
pub(crate) fn read_all(host: &Host, main: &Path) -> Result<Vec<Read>> {
    let mut pending = VecDeque::from([main.to_owned()]);
    let mut all: Vec<Read> = Vec::new();
    while let Some(path) = pending.pop_front() {
        if all.iter().any(|read| read.path == path) {
            continue;
        }
        let Some(text) = host.text(&path)? else { continue };
        let rest = part::without(&path, &text)?;
        // What is broken within our part is found here, and with the file's own lines.
        Config::parse(&path, &text)?;
        let config = Config::parse(&path, &rest)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let imports = config.imports();
        let main = all.first().map_or(&config, |main| &main.config);
        if !main.version(&path).is_ok_and(Version::merges)
            && let Some(import) =
                imports.iter().find(|import| !import.starts_with('/') && import.contains('*'))
        {
            bail!(
                "{}: imports `{import}`, which versions of containerd look for in different folders; write the \
                 pattern with its whole path",
                path.display()
            );
        }
        let imports: Vec<PathBuf> = imports.iter().map(|import| folder.join(import)).collect();
        for import in &imports {
            pending.extend(matches(host, &path, import)?);
        }
        let is_ours = !all.is_empty() && text.starts_with(WHOLLY_OURS);
        all.push(Read { path, rest, config, imports, is_ours });
    }
    Ok(all)
}

/// Whether a name is as a pattern with `*` and `?` says.
pub(crate) fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            fits(rest, name) || name.split_first().is_some_and(|(_, name)| fits(pattern, name))
        }
        (Some((b'?', rest)), Some((_, name))) => fits(rest, name),
        (Some((letter, rest)), Some((other, name))) => letter == other && fits(rest, name),
        _ => false,
    }
}

fn matches(host: &Host, by: &Path, import: &Path) -> Result<Vec<PathBuf>> {
    let (Some(folder), Some(pattern)) = (import.parent(), import.file_name()) else { return Ok(Vec::new()) };
    if folder.as_os_str().as_encoded_bytes().iter().any(|letter| b"*?[".contains(letter)) {
        bail!(
            "{}: imports {}, a pattern of folders, which this program does not follow; add the runtime by hand",
            by.display(),
            import.display()
        );
    }
    if !pattern.as_encoded_bytes().iter().any(|letter| b"*?".contains(letter)) {
        return Ok(vec![import.to_owned()]);
    }
    let names = host.names(folder)?.into_iter();
    let fitting = names.filter(|name| fits(pattern.as_encoded_bytes(), name.as_encoded_bytes()));
    Ok(fitting.map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name) in
            [("*.toml", "a.toml"), ("*", "a"), ("9?-*.toml", "99-samara.toml"), ("a.toml", "a.toml")]
        {
            assert!(fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("*.toml", "a.tom"), ("?", ""), ("a*b", "abc"), ("", "a")] {
            assert!(!fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
}
