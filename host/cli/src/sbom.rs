//! The bill of materials of a function: the packages that cargo compiled into
//! its components, and its models.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use samara_nn::Format;
use samara_package::Digest;
use samara_package::bom::{self, Bom, Model, ModelData, Package};
use samara_package::image::{Image, ModelFile};
use samara_package::media_types;
use samara_package::store::Session;

use crate::project::{Project, WASM_TARGET};
use crate::what::data_files;

/// Makes the bill of materials and attaches it to the function's image.
///
/// # Errors
/// When cargo does not say what it built, or the store cannot be written.
pub(crate) fn attach(session: &Session, project: &Project, image: &Image) -> Result<()> {
    let function = &project.manifest.function;
    let packages = packages(project).context("cannot list the packages of the function's code")?;
    let models = image.models().iter().map(|(name, model)| {
        Ok(Model {
            name: name.clone(),
            digest: Digest::of(&model.bytes),
            format: format_name(&model.path),
            size: model.bytes.len() as u64,
            data: data_files(model)?.iter().map(|name| model_data(model, name)).collect::<Result<_>>()?,
        })
    });
    let bom = Bom {
        name: function.name.clone(),
        version: function.version.clone(),
        digest: Some(image.digest()),
        packages,
        models: models.collect::<Result<_>>()?,
    };
    bom::attach(session, &image.digest(), media_types::CYCLONEDX, &bom.to_cyclonedx())?;
    Ok(())
}

fn model_data(model: &ModelFile, name: &str) -> Result<ModelData> {
    let file = model.data(name)?;
    Ok(ModelData { digest: Digest::of(&file.bytes), size: file.bytes.len() as u64, path: file.path })
}

fn format_name(path: &Path) -> String {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let known = Format::from_name(&path.to_string_lossy()).map(|format| format.name().to_lowercase());
    known.unwrap_or_else(|| extension.to_lowercase())
}

/// What cargo compiles into the components; nothing where there is no cargo
/// package.
fn packages(project: &Project) -> Result<Vec<Package>> {
    let root = project.path(Path::new("Cargo.toml"));
    if project.manifest.components().is_empty() || !root.is_file() {
        return Ok(Vec::new());
    }
    let metadata = metadata(&project.folder)?;
    let described: serde_json::Value = serde_json::from_str(&metadata)?;
    let workspace =
        described["workspace_root"].as_str().map_or_else(|| project.folder.clone(), PathBuf::from);
    let lock = std::fs::read_to_string(workspace.join("Cargo.lock")).ok();
    let mut packages = Vec::new();
    for member in members(&described, &root)? {
        packages.extend(bom::cargo_packages(&metadata, &member, lock.as_deref())?);
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// The packages whose code the components are: that of the folder, or all of
/// its workspace.
fn members(described: &serde_json::Value, root: &Path) -> Result<Vec<PathBuf>> {
    let root = root.canonicalize()?;
    let all = described["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let is_member = |id: &serde_json::Value| {
        described["workspace_members"].as_array().is_some_and(|members| members.contains(id))
    };
    let members: Vec<PathBuf> = all
        .iter()
        .filter(|package| is_member(&package["id"]))
        .filter_map(|package| Some(PathBuf::from(package["manifest_path"].as_str()?)))
        .collect();
    match members.iter().find(|manifest| **manifest == root) {
        Some(own) => Ok(vec![own.clone()]),
        None => Ok(members),
    }
}

fn metadata(folder: &Path) -> Result<String> {
    let arguments = ["metadata", "--format-version", "1", "--filter-platform", WASM_TARGET, "--locked"];
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(folder)
        .output()
        .context("cannot run `cargo metadata`\nhint: install Rust, or leave `--sbom` away")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("`cargo metadata` did not print text")
}
