//! A function's folder: whether its components are up to date, and building
//! them.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use samara_package::Manifest;
use samara_package::manifest::FILE_NAME;

use crate::output::printable;
use crate::printer::Printer;

/// The target that Rust functions are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// Folders that hold no sources.
const NOT_SOURCES: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// A folder with a manifest.
#[derive(Debug)]
pub(crate) struct Project {
    pub folder: PathBuf,
    pub manifest: Manifest,
}

impl Project {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// When there is no usable one.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            bail!("`{}` is no folder", folder.display());
        }
        let manifest = Manifest::load(folder).map_err(|error| {
            let hint = match error.kind() {
                samara_package::manifest::ErrorKind::NotFound => {
                    "\nhint: make a new function with `samara new NAME`, or name the folder of one"
                }
                _ => "",
            };
            anyhow::Error::new(error).context(format!("cannot use the folder `{}`{hint}", folder.display()))
        })?;
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// Where a file of the function is.
    pub(crate) fn path(&self, inside: &Path) -> PathBuf {
        self.folder.join(inside)
    }

    /// The files that a model of the folder keeps weights in, by the names that it
    /// has for them.
    ///
    /// # Errors
    /// When the model cannot be read, or one of them is not in its folder.
    pub(crate) fn model_data(&self, model: &Path) -> Result<BTreeMap<String, PathBuf>> {
        let path = self.path(model);
        if path.is_dir() {
            let archive = path.with_extension("nnef.tgz");
            bail!(
                "`{}` is a folder; a model travels as one file\nhint: if it is an NNEF model, make an archive of it: `tar -czf {} -C {} .`",
                path.display(),
                archive.display(),
                path.display()
            );
        }
        let bytes = File::open(&path).and_then(|file| samara_package::map(&file));
        let bytes = bytes.with_context(|| format!("cannot read `{}`", path.display()))?;
        data_files(&path, &bytes).with_context(|| format!("cannot use `{}`", model.display()))
    }

    /// Builds the components where one is missing or older than a source.
    ///
    /// # Errors
    /// When building fails, or is needed and the manifest says not how.
    pub(crate) fn ensure_built(&self, printer: &Printer) -> Result<()> {
        let Some(reason) = self.why_build()? else {
            return Ok(());
        };
        printer.detail(format_args!("building: {reason}"));
        if self.manifest.build.is_none() {
            bail!(
                "{reason}, and `{}` has no `[build]` command that makes it",
                self.path(Path::new(FILE_NAME)).display()
            );
        }
        self.build(printer)
    }

    /// Runs the build command and checks that every component is there.
    ///
    /// # Errors
    /// When a tool is missing, the command fails, or a component stays away.
    pub(crate) fn build(&self, printer: &Printer) -> Result<()> {
        let Some(build) = &self.manifest.build else {
            match self.manifest.components().as_slice() {
                [] => printer.note("there is nothing to build: the function is its model"),
                _ => bail!(
                    "`{}` has no `[build]` command\nhint: add one, e.g. `command = \"cargo build --release --target {WASM_TARGET}\"`",
                    self.path(Path::new(FILE_NAME)).display()
                ),
            }
            return Ok(());
        };
        if build.command.contains(WASM_TARGET) {
            check_wasm_target(&self.folder)?;
        }
        printer.step("Building", format_args!("{} (`{}`)", self.manifest.function.name, build.command));
        run_build(&build.command, &self.folder, printer)?;
        for component in self.manifest.components() {
            let path = self.path(component);
            if !path.is_file() {
                bail!(
                    "`{}` succeeded, but made no `{}`\nhint: check `component` in `{FILE_NAME}`, or what the command builds",
                    build.command,
                    path.display()
                );
            }
            touch(&path)?;
        }
        Ok(())
    }

    /// Why the components are not as the sources say, if so.
    fn why_build(&self) -> Result<Option<String>> {
        let components: Vec<PathBuf> =
            self.manifest.components().into_iter().map(|component| self.path(component)).collect();
        let mut oldest: Option<SystemTime> = None;
        for component in &components {
            let Ok(built) = fs::metadata(component).and_then(|metadata| metadata.modified()) else {
                return Ok(Some(format!("`{}` does not exist", component.display())));
            };
            oldest = Some(oldest.map_or(built, |oldest| oldest.min(built)));
        }
        let (Some(built), Some(_)) = (oldest, &self.manifest.build) else {
            return Ok(None);
        };
        let newer = newer_file(&self.folder, built, &self.not_sources())
            .with_context(|| format!("cannot look for sources in `{}`", self.folder.display()))?;
        Ok(newer.map(|source| format!("`{}` is newer than what was built from it", source.display())))
    }

    /// Files that components are not built from.
    fn not_sources(&self) -> HashSet<PathBuf> {
        let manifest = &self.manifest;
        let tests = manifest.tests.iter().flat_map(|test| [&test.inputs, &test.expect]);
        let models = manifest.models.values().filter_map(|model| model.path.file());
        // What is wrong with a model is told when it is loaded.
        let data = models.clone().filter_map(|model| self.model_data(model).ok()).flatten();
        let data: Vec<PathBuf> = data.map(|(_, file)| file).collect();
        let inside = tests.map(PathBuf::as_path).chain(models).chain(manifest.components());
        inside.chain([Path::new(FILE_NAME)]).map(|path| self.path(path)).chain(data).collect()
    }
}

/// The files that a model on the disk keeps weights in, by the names that it has for
/// them.
///
/// # Errors
/// When one of them is not in its folder.
pub(crate) fn data_files(model: &Path, bytes: &[u8]) -> Result<BTreeMap<String, PathBuf>> {
    let names = samara_backends::data_files(samara_compose::format_of(model, bytes)?, bytes);
    let file = |name: String| match samara_nn::data_file(samara_nn::folder_of(model), &name) {
        Ok(file) => Ok((name, file)),
        Err(error) => bail!("its weights are in the file `{}`, {error}", printable(&name)),
    };
    names.into_iter().map(file).collect()
}

/// Whether the Rust of this folder can build for WASI; `None` where there is no
/// Rust.
pub(crate) fn has_wasm_target(folder: &Path) -> Option<bool> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).current_dir(folder).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib").join(WASM_TARGET).is_dir())
}

/// Checks that the Rust of this folder can build for WASI.
///
/// # Errors
/// With what installs what is missing.
pub(crate) fn check_wasm_target(folder: &Path) -> Result<()> {
    match has_wasm_target(folder) {
        Some(true) => Ok(()),
        Some(false) => bail!(
            "Rust cannot build for `{WASM_TARGET}` yet\nhint: add the target with `rustup target add {WASM_TARGET}`"
        ),
        None => bail!("`rustc` does not run here\nhint: install Rust, see https://rustup.rs"),
    }
}

/// Runs a shell command with its output on standard error: standard output is
/// for answers.
fn run_build(command: &str, folder: &Path, printer: &Printer) -> Result<()> {
    run_tool(shell(command), command, folder, printer)
}

/// Runs a tool as [`run_build`] runs a command; `command` is what messages call it.
///
/// # Errors
/// When it is not there, or fails.
pub(crate) fn run_tool(mut tool: Command, command: &str, folder: &Path, printer: &Printer) -> Result<()> {
    tool.current_dir(folder).stdin(Stdio::null());
    let failed = |status: std::process::ExitStatus| {
        anyhow::anyhow!("`{command}` failed in `{}`: {status}", folder.display())
    };
    if printer.is_quiet() {
        let output = tool.output().with_context(|| format!("cannot run `{command}`"))?;
        if !output.status.success() {
            let words = [output.stdout, output.stderr].concat();
            return Err(anyhow::anyhow!("{}", String::from_utf8_lossy(&words).trim_end())
                .context(failed(output.status)));
        }
        return Ok(());
    }
    tool.stdout(Stdio::from(std::io::stderr()));
    let status = tool.status().with_context(|| format!("cannot run `{command}`"))?;
    if status.success() { Ok(()) } else { Err(failed(status)) }
}

fn shell(command: &str) -> Command {
    let (program, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut shell = Command::new(program);
    shell.args([flag, command]);
    shell
}

/// Marks a component as built now: a build tool that finds nothing to do leaves
/// the file's time alone, and every later run would ask it again.
fn touch(path: &Path) -> Result<()> {
    File::options()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("cannot mark `{}` as built", path.display()))
}

/// A file below `folder` that changed after `time`, hidden ones, prose and
/// `except` left out.
fn newer_file(
    folder: &Path,
    time: SystemTime,
    except: &HashSet<PathBuf>,
) -> std::io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        let hidden = name.starts_with('.') && name != ".cargo";
        // What a project says of itself is not what it is built from.
        let prose = name.ends_with(".md");
        if hidden || prose || except.contains(&path) || (kind.is_dir() && NOT_SOURCES.contains(&&*name)) {
            continue;
        }
        if kind.is_dir() {
            if let Some(newer) = newer_file(&path, time, except)? {
                return Ok(Some(newer));
            }
        } else if kind.is_file() && entry.metadata()?.modified()? > time {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(path: &Path, age: u64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    }

    fn project(folder: &Path) -> Project {
        let text = "[function]\nname = \"f\"\ncomponent = \"out/f.wasm\"\n[build]\ncommand = \"true\"\n\
                    [[test]]\nname = \"t\"\ninputs = \"tests/t.json\"\nexpect = \"tests/e.json\"\n";
        let manifest = Manifest::parse(text, Path::new(FILE_NAME)).unwrap();
        Project { folder: folder.to_owned(), manifest }
    }

    #[test]
    fn only_newer_sources_ask_for_a_build() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let why = || project.why_build().unwrap();
        assert!(why().unwrap().ends_with("does not exist"));
        write(&folder.path().join("out/f.wasm"), 100);
        write(&folder.path().join("src/lib.rs"), 200);
        assert_eq!(why(), None);
        for not_source in ["tests/t.json", "target/x", ".git/index", "samara.toml"] {
            write(&folder.path().join(not_source), 10);
            assert_eq!(why(), None, "{not_source}");
        }
        write(&folder.path().join("src/lib.rs"), 50);
        assert!(why().unwrap().contains("lib.rs` is newer"));
        touch(&folder.path().join("out/f.wasm")).unwrap();
        assert_eq!(why(), None);
    }
}
