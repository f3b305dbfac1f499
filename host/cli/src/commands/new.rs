//! `samara new`: writes a project that builds and runs as it comes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use include_dir::{Dir, DirEntry, include_dir};
use samara_nn::Format;
use samara_package::manifest::{self, parse_function_name};

use crate::args::{NewArgs, Template};
use crate::error::{Outcome, Usage};
use crate::input::read_bytes;
use crate::nnef;
use crate::output::printable;
use crate::printer::Printer;
use crate::project::data_files;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/templates");
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/rust");
static SDK_MACROS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/rust-macros");
static SDK_PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/python");
static SDK_JS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/js");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/wit");

/// The model of a project that is given none.
static MODEL: &[u8] = include_bytes!("../../assets/model.onnx");
const MODEL_FILE: &str = "model.onnx";

/// A test of [`MODEL`], the softmax of rows of three numbers.
const EXAMPLE_TEST: &str = r#"
[[test]]
name = "example"
inputs = "tests/example.json"
expect = "tests/example.expected.json"
"#;
const EXAMPLE_REQUEST: &str = r#"{
  "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3] }]
}
"#;
const EXAMPLE_RESPONSE: &str = r#"{
  "outputs": [
    { "name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": [0.09003057, 0.24472848, 0.66524094] }
  ]
}
"#;
/// Parts of an SDK's folder that no project needs.
const NOT_IN_PROJECTS: [&str; 1] = ["__pycache__"];
/// What brings the tools of a project in Python.
const SET_UP_PYTHON: &str = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
/// Where a project keeps the SDK, seen from its root.
const SDK_FOLDER: &str = "sdk";

pub(crate) fn run(args: &NewArgs, printer: &Printer) -> Result<Outcome> {
    let name = project_name(&args.name)?;
    let template = template(args)?;
    let model = args.model.as_deref().map(read_model).transpose()?;
    if args.name.exists() {
        bail!("`{}` exists already\nhint: choose another name, or remove it first", args.name.display());
    }
    write_whole(&args.name, |folder| write_project(folder, template, &name, model.as_ref()))?;
    let file = model.as_ref().map_or(MODEL_FILE, ModelFile::name);
    tell(args, &name, template, file, printer)?;
    Ok(Outcome::Done)
}

fn project_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    parse_function_name(name)
        .map_err(|reason| anyhow::anyhow!("`{}` is no name for a function: {reason}", path.display()))
}

fn template(args: &NewArgs) -> Result<Template> {
    match (args.template, &args.model) {
        (Some(template), Some(_)) if template != Template::Model => {
            let usage = "`--model` starts a project from a model alone; leave `--template` away";
            Err(Usage(usage.to_owned()).into())
        }
        (Some(template), _) => Ok(template),
        (None, Some(_)) => Ok(Template::Model),
        (None, None) => Ok(Template::Rust),
    }
}

/// A model file that a project is made around.
struct ModelFile {
    bytes: Vec<u8>,
    format: Format,
    /// The files that it keeps weights in, by the names that it has for them.
    data: BTreeMap<String, PathBuf>,
}

impl ModelFile {
    /// What it is called in the project.
    fn name(&self) -> &'static str {
        match self.format {
            Format::Tflite => "model.tflite",
            Format::Nnef if self.bytes.starts_with(b"\x1f\x8b") => "model.nnef.tgz",
            Format::Nnef => "model.nnef.tar",
            _ => MODEL_FILE,
        }
    }
}

fn read_model(path: &Path) -> Result<ModelFile> {
    if nnef::is_model(path) {
        return Ok(ModelFile { bytes: nnef::archive(path)?, format: Format::Nnef, data: BTreeMap::new() });
    }
    let bytes = read_bytes(path)?;
    let format = samara_compose::format_of(path, &bytes)?;
    let data = data_files(path, &bytes).with_context(|| format!("cannot use `{}`", path.display()))?;
    Ok(ModelFile { bytes, format, data })
}

/// Fills a folder under a name of its own and only then gives it its real one,
/// so that a project is there whole or not at all.
fn write_whole(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = beside(folder);
    let written = fs::create_dir_all(&unfinished)
        .with_context(|| format!("cannot make the folder `{}`", unfinished.display()))
        .and_then(|()| fill(&unfinished))
        .and_then(|()| {
            fs::rename(&unfinished, folder)
                .with_context(|| format!("cannot make the folder `{}`", folder.display()))
        });
    if written.is_err() {
        // What is left is nobody's project; the error that counts is the first.
        let _ = fs::remove_dir_all(&unfinished);
    }
    written
}

fn beside(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn write_project(folder: &Path, template: Template, name: &str, model: Option<&ModelFile>) -> Result<()> {
    match template {
        Template::Rust => write_code(folder, "rust", name, &[("rust", &SDK), ("rust-macros", &SDK_MACROS)]),
        Template::Python => write_code(folder, "python", name, &[("python", &SDK_PYTHON)]),
        Template::Js => write_code(folder, "js", name, &[("js", &SDK_JS)]),
        Template::Model => write_model(folder, name, model),
    }
}

/// Writes a project of code, with copies of the parts of the SDK that it needs.
fn write_code(folder: &Path, template: &str, name: &str, parts: &[(&str, &Dir<'_>)]) -> Result<()> {
    write_template(folder, template, name)?;
    let sdk = folder.join(SDK_FOLDER);
    for (part, files) in parts.iter().chain(&[("wit", &WIT)]) {
        write_files(&sdk.join(part), files, Path::new(""), &|content| content.to_vec())?;
    }
    Ok(())
}

/// Writes a project around the given model, or around the small one that comes
/// with samara and, since its answers are known, a test of it.
fn write_model(folder: &Path, name: &str, model: Option<&ModelFile>) -> Result<()> {
    write_template(folder, "model", name)?;
    let manifest = folder.join(manifest::FILE_NAME);
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("cannot read `{}`", manifest.display()))?;
    if let Some(model) = model {
        write_file(&folder.join(model.name()), &model.bytes)?;
        write_file(&manifest, text.replace(MODEL_FILE, model.name()).as_bytes())?;
        return copy_data(folder, &model.data);
    }
    write_file(&folder.join(MODEL_FILE), MODEL)?;
    write_file(&folder.join("tests/example.json"), EXAMPLE_REQUEST.as_bytes())?;
    write_file(&folder.join("tests/example.expected.json"), EXAMPLE_RESPONSE.as_bytes())?;
    write_file(&manifest, format!("{text}{EXAMPLE_TEST}").as_bytes())
}

/// Copies the files that a model keeps weights in to where it looks for them.
fn copy_data(folder: &Path, data: &BTreeMap<String, PathBuf>) -> Result<()> {
    for (name, file) in data {
        let path = folder.join(name);
        if path.exists() {
            let name = printable(name);
            bail!(
                "its weights are in the file `{name}`, which is another one in a project\nhint: save it with another name for them"
            );
        }
        let copied = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(file, &path));
        copied.with_context(|| format!("cannot copy `{}` to `{}`", file.display(), path.display()))?;
    }
    Ok(())
}

fn write_template(folder: &Path, template: &str, name: &str) -> Result<()> {
    let files =
        TEMPLATES.get_dir(template).with_context(|| format!("this build has no template `{template}`"))?;
    let fill = |content: &[u8]| match std::str::from_utf8(content) {
        Ok(text) => {
            text.replace("{{name}}", name).replace("{{sdk}}", &format!("{SDK_FOLDER}/rust")).into_bytes()
        }
        Err(_) => content.to_vec(),
    };
    write_files(folder, files, Path::new(template), &fill)
}

/// Writes embedded files; `root` is cut off their paths.
pub(crate) fn write_files(
    folder: &Path,
    files: &Dir<'_>,
    root: &Path,
    fill: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Result<()> {
    for entry in files.entries() {
        if entry.path().file_name().is_some_and(|name| NOT_IN_PROJECTS.iter().any(|left| name == *left)) {
            continue;
        }
        match entry {
            DirEntry::Dir(dir) => write_files(folder, dir, root, fill)?,
            DirEntry::File(file) => {
                let inside = file.path().strip_prefix(root).unwrap_or(file.path());
                write_file(&folder.join(real_path(inside)), &fill(file.contents()))?;
            }
        }
    }
    Ok(())
}

/// The path that a template's file has in a project: `dot-` stands for a
/// leading dot, and a final `.tmpl` goes.
fn real_path(inside: &Path) -> PathBuf {
    let part = |part: std::path::Component<'_>| {
        let part = part.as_os_str().to_string_lossy().into_owned();
        let part = part.strip_suffix(".tmpl").map(str::to_owned).unwrap_or(part);
        part.strip_prefix("dot-").map(|rest| format!(".{rest}")).unwrap_or(part)
    };
    inside.components().map(part).collect()
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, content));
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

fn tell(args: &NewArgs, name: &str, template: Template, file: &str, printer: &Printer) -> Result<()> {
    let folder = args.name.display();
    if printer.is_json() {
        return printer.json(&serde_json::json!({ "function": name, "folder": args.name }));
    }
    printer.step("Created", format_args!("`{name}` in `{folder}`"));
    printer.text("\nNext:");
    let code = |first: Option<&str>, function: &str| {
        if let Some(first) = first {
            printer.text(format_args!("  (cd {folder} && {first})    # once: what builds it"));
        }
        printer.text(format_args!("  samara run {folder}     # builds it and calls it with its first test"));
        printer.text(format_args!("  samara test {folder}    # runs its tests"));
        printer.text(format_args!("  {folder}/{function}     # the function"));
    };
    match template {
        Template::Rust => code(None, "src/lib.rs"),
        Template::Python => code(Some(SET_UP_PYTHON), "function.py"),
        Template::Js => code(Some("npm install"), "src/function.js"),
        Template::Model => {
            printer.text(format_args!("  samara inspect {folder}     # what it takes and gives"));
            match args.model {
                Some(_) => printer.text(format_args!("  samara run {folder} --input …")),
                None => printer.text(format_args!("  samara run {folder} --input 1,2,3")),
            }
            printer.text(format_args!("  {folder}/{file}         # the model; put your own in its place"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_names_become_real_ones() {
        assert_eq!(real_path(Path::new("dot-cargo/config.toml")), Path::new(".cargo/config.toml"));
        assert_eq!(real_path(Path::new("Cargo.toml.tmpl")), Path::new("Cargo.toml"));
        assert_eq!(real_path(Path::new("src/lib.rs")), Path::new("src/lib.rs"));
    }

    #[test]
    fn a_failed_project_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("f");
        let error = write_whole(&project, |folder| {
            write_file(&folder.join("a/b"), b"content")?;
            bail!("no more")
        });
        assert_eq!(error.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_template_is_a_project_with_a_sound_manifest() {
        let folder = tempfile::tempdir().unwrap();
        for template in [Template::Rust, Template::Python, Template::Js, Template::Model] {
            let project = folder.path().join(format!("{template:?}").to_lowercase());
            write_whole(&project, |folder| write_project(folder, template, "my-fn", None)).unwrap();
            let manifest = samara_package::Manifest::load(&project).unwrap();
            assert_eq!(manifest.function.name, "my-fn");
        }
        assert!(folder.path().join("rust/sdk/wit/function.wit").is_file());
        let manifest = fs::read_to_string(folder.path().join("rust/Cargo.toml")).unwrap();
        assert!(!manifest.contains("{{"), "{manifest}");
    }
}
