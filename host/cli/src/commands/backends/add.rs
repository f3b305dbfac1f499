//! `samara backends add`: puts an engine's library where samara looks for it.

use std::fs::File;
use std::io::{Read, Seek, copy};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_backends::RegistryOptions;
use samara_nn::Probe;
use serde_json::json;
use zip::ZipArchive;

use crate::args::{AddBackendArgs, AddedBackend};
use crate::error::Outcome;
use crate::files::write_whole;
use crate::printer::Printer;
use crate::settings::Settings;

/// An engine's library, as its package carries it.
struct Engine {
    backend: &'static str,
    /// What messages call it.
    called: &'static str,
    /// How the names of its files begin, those of its providers included.
    prefix: &'static str,
    /// The package of PyPI.
    package: &'static str,
}

const ONNXRUNTIME: Engine = Engine {
    backend: "onnxruntime",
    called: "ONNX Runtime",
    prefix: if cfg!(windows) { "onnxruntime" } else { "libonnxruntime" },
    package: "onnxruntime",
};
const LITERT: Engine =
    Engine { backend: "litert", called: "LiteRT", prefix: "libLiteRt.", package: "ai-edge-litert" };

/// Of ONNX Runtime's providers, which are no libraries to start from.
const PROVIDERS: &str = "providers";

/// How archives begin, such as Python's wheels.
const ARCHIVE: &[u8] = b"PK\x03\x04";
/// Bytes of one library; that for CUDA has some hundred millions.
const LARGEST: u64 = 4 << 30;

pub(super) fn run(args: &AddBackendArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let engine = match args.backend {
        AddedBackend::Onnxruntime => &ONNXRUNTIME,
        AddedBackend::Litert => &LITERT,
    };
    let store = settings.store.as_ref().context(
        "no data directory is known for this user\nhint: name a folder with `--store DIR` or `SAMARA_STORE`",
    )?;
    let folder = store.libraries();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    // Beside the others, and out of their way until it has shown that it works.
    let trial =
        tempfile::tempdir_in(&folder).with_context(|| format!("cannot write to `{}`", folder.display()))?;
    let files = engine.unpack(&args.from, trial.path())?;
    let version = engine.check(&files, &args.from)?;
    let main = file_name(&files[0]).to_owned();
    engine.replace(&folder, &files)?;
    let path = folder.join(main);
    if printer.is_json() {
        printer.json(&json!({ "name": engine.backend, "version": version, "path": path }))?;
    }
    printer.step("Added", format_args!("{} {version} as `{}`", engine.backend, path.display()));
    Ok(Outcome::Done)
}

impl Engine {
    /// Brings the libraries of a wheel, or a library itself, into `folder`: the one to
    /// start from first.
    fn unpack(&self, from: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
        let unread = || format!("cannot read `{}`", from.display());
        let mut file = File::open(from).with_context(unread)?;
        let mut head = [0; ARCHIVE.len()];
        let is_archive = file.read_exact(&mut head).is_ok() && head == ARCHIVE;
        file.rewind().with_context(unread)?;
        let mut files = Vec::new();
        if is_archive {
            let mut archive = ZipArchive::new(file).with_context(unread)?;
            for index in 0..archive.len() {
                let entry = archive.by_index(index).with_context(unread)?;
                let Some(name) = entry.enclosed_name().map(|path| file_name(&path).to_owned()) else {
                    continue;
                };
                if entry.is_file() && self.is_library(&name) {
                    files.push(keep(folder, &name, entry).with_context(unread)?);
                }
            }
        } else {
            let name = file_name(from);
            if !self.is_library(name) {
                bail!("{}", self.no_library(from, "it is called otherwise"));
            }
            files.push(keep(folder, name, file).with_context(unread)?);
        }
        files.sort_by_key(|path| (file_name(path).contains(PROVIDERS), path.clone()));
        match files.first() {
            Some(first) if !file_name(first).contains(PROVIDERS) => Ok(files),
            _ => bail!("{}", self.no_library(from, "it has none")),
        }
    }

    fn no_library(&self, from: &Path, reason: &str) -> String {
        let Self { called, package, .. } = self;
        format!(
            "`{}` is no library of {called}: {reason}\nhint: the PyPI package `{package}` carries it: `pip download --no-deps {package}`, and name the wheel",
            from.display()
        )
    }

    /// As each system calls libraries, with a version or without.
    fn is_library(&self, name: &str) -> bool {
        let kinds = [".so", ".dylib", ".dll"];
        name.starts_with(self.prefix)
            && kinds.iter().any(|kind| name.ends_with(kind) || name.contains(&format!("{kind}.")))
    }

    /// Loads it, and gives its version.
    fn check(&self, files: &[PathBuf], from: &Path) -> Result<String> {
        let library = files[..1].to_vec();
        let options = RegistryOptions {
            onnxruntime_libraries: library.clone(),
            litert_libraries: library,
            ..RegistryOptions::default()
        };
        let registry = samara_backends::registry(&options);
        let backend = registry.named(self.backend).map_err(|error| anyhow::anyhow!("{error}"))?;
        match backend.probe() {
            Probe::Available { version, .. } => Ok(version),
            Probe::Unavailable { reason } => bail!("`{}` cannot be used here: {reason}", from.display()),
        }
    }

    /// Gives the libraries their place; others of the same engine go, so that these are the
    /// ones that are found.
    fn replace(&self, folder: &Path, files: &[PathBuf]) -> Result<()> {
        let changed = || format!("cannot change `{}`", folder.display());
        for entry in std::fs::read_dir(folder).with_context(changed)? {
            let path = entry.with_context(changed)?.path();
            if path.is_file() && self.is_library(file_name(&path)) {
                std::fs::remove_file(&path).with_context(changed)?;
            }
        }
        for file in files {
            std::fs::rename(file, folder.join(file_name(file))).with_context(changed)?;
        }
        Ok(())
    }
}

fn keep(folder: &Path, name: &str, from: impl Read) -> Result<PathBuf> {
    let path = folder.join(name);
    write_whole(&path, |to| {
        if copy(&mut from.take(LARGEST), to)? == LARGEST {
            bail!("`{name}` has more than 4 GiB");
        }
        Ok(())
    })?;
    Ok(path)
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn libraries_are_known_by_their_names() {
        for name in ["libonnxruntime.so", "libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"] {
            assert!(ONNXRUNTIME.is_library(name), "{name}");
        }
        for name in ["onnxruntime_pybind11_state.so", "libonnxruntime.txt", "libother.so"] {
            assert!(!ONNXRUNTIME.is_library(name), "{name}");
        }
        assert!(LITERT.is_library("libLiteRt.so"));
        assert!(!LITERT.is_library("libLiteRtWebGpuAccelerator.so"));
    }

    #[test]
    fn what_has_no_library_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |from: &Path| format!("{:#}", ONNXRUNTIME.unpack(from, folder.path()).unwrap_err());
        let text = folder.path().join("notes.txt");
        std::fs::write(&text, "words").unwrap();
        assert!(refused(&text).contains("it is called otherwise\nhint: the PyPI package"));
        let wheel = folder.path().join("other.whl");
        let mut zip = zip::ZipWriter::new(File::create(&wheel).unwrap());
        zip.start_file("other/capi/libother.so", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"x").unwrap();
        zip.finish().unwrap();
        assert!(refused(&wheel).contains("it has none"));
        std::fs::write(&wheel, ARCHIVE).unwrap();
        assert!(refused(&wheel).starts_with("cannot read `"));
        assert!(refused(&folder.path().join("none")).starts_with("cannot read `"));
    }
}
