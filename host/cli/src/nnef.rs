//! NNEF models as folders: a folder is read as the archive that could be made of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The file that makes a folder an NNEF model.
pub(crate) const GRAPH: &str = "graph.nnef";

/// What else belongs to a model, in its folder.
const QUANTISATION: &str = "graph.quant";
/// The ending of files with weights, in the folder or below it.
const WEIGHTS: &str = "dat";
/// Folders within folders.
const DEEPEST: usize = 16;

/// Whether a folder is an NNEF model.
pub(crate) fn is_model(folder: &Path) -> bool {
    folder.join(GRAPH).is_file()
}

/// The archive of a folder: equal for equal files.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn archive(folder: &Path) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for name in [GRAPH, QUANTISATION].map(PathBuf::from) {
        if folder.join(&name).is_file() {
            files.push(name);
        }
    }
    weights(folder, Path::new(""), 0, &mut files)?;
    files.sort();
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let path = folder.join(&file);
        let content = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, &file, content.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

fn weights(folder: &Path, inside: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let here = folder.join(inside);
    let unread = || format!("cannot read the folder `{}`", here.display());
    if depth > DEEPEST {
        bail!("`{}` lies more than {DEEPEST} folders deep", here.display());
    }
    for entry in std::fs::read_dir(&here).with_context(unread)? {
        let entry = entry.with_context(unread)?;
        let file = inside.join(entry.file_name());
        // Links to folders could lead round and round.
        if entry.file_type().with_context(unread)?.is_dir() {
            weights(folder, &file, depth + 1, files)?;
        } else if file.extension().is_some_and(|extension| extension == WEIGHTS) {
            files.push(file);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_folder_is_an_archive_of_its_graph_and_weights() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_model(folder.path()));
        std::fs::create_dir(folder.path().join("layer")).unwrap();
        for file in ["w.dat", "layer/b.dat", "graph.nnef", "README.md", "layer/graph.nnef"] {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        assert!(is_model(folder.path()));
        let bytes = archive(folder.path()).unwrap();
        let mut read = tar::Archive::new(bytes.as_slice());
        let files = read.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(entry.path().unwrap().to_str(), Some(text.as_str()));
            text
        });
        assert_eq!(files.collect::<Vec<_>>(), ["graph.nnef", "layer/b.dat", "w.dat"]);
        assert_eq!(archive(folder.path()).unwrap(), bytes);
    }
}
