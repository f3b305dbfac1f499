//! The engine that models are put into by `samara compile --standalone`: built once from
//! sources that this program carries, and kept in the store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use include_dir::{Dir, DirEntry, include_dir};

use crate::commands::new::write_files;
use crate::files;
use crate::input::read_bytes;
use crate::printer::Printer;
use crate::project::{WASM_TARGET, check_wasm_target, run_tool};
use crate::settings::Settings;

static SOURCES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/standalone");

/// What cargo calls the component.
const BUILT: &str = "samara_standalone.wasm";

/// Variables that would have it built otherwise than its own settings say.
const NOT_FOR_IT: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
];

/// The runner of this version of samara: the one that is named, the store's, or one that
/// is built now.
///
/// # Errors
/// When it cannot be read or built.
pub(crate) fn find(named: Option<&Path>, settings: &Settings, printer: &Printer) -> Result<Vec<u8>> {
    if let Some(path) = named {
        return read_bytes(path);
    }
    let Some(store) = &settings.store else {
        bail!(
            "there is nowhere to keep the engine of standalone models\nhint: name a folder with `--store`, or an engine with `--runner`"
        );
    };
    let kept = store.runners().join(file_name());
    if !kept.is_file() {
        build(&kept, printer).context("cannot build the engine of standalone models")?;
    }
    read_bytes(&kept)
}

/// Other sources are another runner.
fn file_name() -> String {
    let mut sources = Vec::new();
    gather(&SOURCES, &mut sources);
    let digest = samara_engine::sha256(&sources);
    format!("runner-{}.wasm", digest.trim_start_matches("sha256:").get(..16).unwrap_or_default())
}

fn gather(folder: &Dir<'_>, sources: &mut Vec<u8>) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(dir) => gather(dir, sources),
            DirEntry::File(file) => {
                sources.extend(file.path().to_string_lossy().bytes().chain([0]));
                sources.extend((file.contents().len() as u64).to_le_bytes());
                sources.extend(file.contents());
            }
        }
    }
}

fn build(kept: &Path, printer: &Printer) -> Result<()> {
    let folder = kept.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let place = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(folder)
        .with_context(|| format!("cannot make a folder in `{}`", folder.display()))?;
    write_files(place.path(), &SOURCES, Path::new(""), &|content| content.to_vec())?;
    check_wasm_target(place.path())?;
    printer.step("Building", "the engine of standalone models, once; this takes a minute or two");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--lib",
        "--target",
        WASM_TARGET,
        "--target-dir",
        "target",
    ]);
    NOT_FOR_IT.iter().for_each(|variable| _ = cargo.env_remove(variable));
    run_tool(cargo, "cargo build --release", place.path(), printer).context(
        "its packages come from crates.io\nhint: where that is out of reach, build it on another machine and give the file to `--runner`",
    )?;
    let built: PathBuf = ["target", WASM_TARGET, "release", BUILT].iter().collect();
    let built = read_bytes(&place.path().join(built))?;
    files::write_whole(kept, |file| Ok(file.write_all(&built)?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_whole_and_name_their_runner() {
        for file in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "src/lib.rs", "wit/model.wit"] {
            assert!(SOURCES.get_file(file).is_some(), "{file}");
        }
        let name = file_name();
        assert_eq!((name.len(), &name), ("runner-.wasm".len() + 16, &file_name()));
    }
}
