//! The function of a container: its components, which containerd hands over or
//! the image's files hold, and its models, mapped where they lie.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use containerd_shim_wasm::sandbox::context::WasmLayer;
use samara_compose::ModelFile;
use samara_engine::{CompiledCode, FunctionSource, Grants, GuestOutput, Host, Limits, Reuse, StageSource};
use samara_package::Manifest;
use samara_package::manifest::{self, ModelPath, model_variable};

use crate::settings::Settings;

/// The annotation by which a layer says which file of the function it is.
const TITLE: &str = "org.opencontainers.image.title";

/// How WebAssembly begins.
const WASM: &[u8] = b"\0asm";

/// What a container runs.
#[derive(Debug)]
pub(crate) struct Image {
    /// `None`: a component alone, that samara did not pack.
    manifest: Option<Manifest>,
    root: PathBuf,
    components: Vec<Component>,
}

/// A component, and what the image calls it.
#[derive(Debug)]
struct Component {
    /// In the function; `None` where nothing says.
    path: Option<PathBuf>,
    code: Code,
}

#[derive(Debug)]
enum Code {
    Wasm(Bytes),
    Compiled(CompiledCode),
}

impl Image {
    /// Reads what a container with this root has to run. `entrypoint` is its
    /// first argument, `layers` what containerd hands over.
    ///
    /// # Errors
    /// When that is no function.
    pub(crate) fn open(root: &Path, entrypoint: Option<&str>, layers: Vec<WasmLayer>) -> Result<Self> {
        let root = root.to_owned();
        let manifest = match root.join(manifest::FILE_NAME).exists() {
            true => Some(Manifest::load(&root).context("cannot use the image")?),
            false => None,
        };
        let components = match (&manifest, layers.is_empty()) {
            (Some(manifest), true) => of_files(&root, manifest.components())?,
            (None, true) => vec![of_entrypoint(&root, entrypoint)?],
            (_, false) => layers.into_iter().map(of_layer).collect(),
        };
        Ok(Self { manifest, root, components })
    }

    /// What the function is called.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match (&self.manifest, self.components.first()) {
            (Some(manifest), _) => Cow::Borrowed(&manifest.function.name),
            (None, Some(Component { path: Some(path), .. })) => {
                path.file_stem().unwrap_or_default().to_string_lossy()
            }
            (None, _) => Cow::Borrowed("function"),
        }
    }

    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Whether it is a component alone, as commands are.
    pub(crate) fn may_be_command(&self) -> bool {
        self.components.len() == 1
            && self.manifest.as_ref().is_none_or(|manifest| manifest.function.component.is_some())
    }

    /// Compiles the components, or finds the code that the node has of them, so
    /// that loading is a matter of moments however often it happens.
    ///
    /// # Errors
    /// When it does not compile.
    pub(crate) fn compile(&mut self, host: &Host) -> Result<()> {
        let name = self.name().into_owned();
        for component in &mut self.components {
            if let Code::Wasm(bytes) = &component.code {
                component.code = Code::Compiled(host.compile(&name, bytes)?);
            }
        }
        Ok(())
    }

    /// What the host is to load.
    ///
    /// # Errors
    /// When a component or a model is missing, or cannot be read.
    pub(crate) fn source(&self, settings: &Settings, grants: Grants) -> Result<FunctionSource> {
        let Some(manifest) = &self.manifest else {
            let name = self.name().into_owned();
            let stages =
                self.components.iter().map(|component| component.stage(&name, BTreeMap::new())).collect();
            return Ok(FunctionSource {
                name,
                stages,
                models: BTreeMap::new(),
                limits: Limits::default(),
                grants,
                reuse: Reuse::Never,
                output: GuestOutput::Stderr,
            });
        };
        let stages = samara_compose::stages(manifest, &|name, path, rename| {
            Ok::<_, anyhow::Error>(self.component(manifest, path)?.stage(name, rename))
        })?;
        let models = self.models(manifest, settings)?;
        Ok(FunctionSource {
            name: manifest.function.name.clone(),
            stages,
            models: samara_compose::requests(manifest, models, &settings.place)?,
            limits: samara_compose::limits(&manifest.limits),
            grants,
            reuse: samara_compose::reuse(manifest),
            output: GuestOutput::Stderr,
        })
    }

    /// What its models take, in bytes: their files, and those that they keep weights in.
    ///
    /// # Errors
    /// When one of their files is not there.
    pub(crate) fn model_bytes(&self, settings: &Settings) -> Result<u64> {
        let Some(manifest) = &self.manifest else { return Ok(0) };
        let models = self.models(manifest, settings)?;
        Ok(models.values().map(|model| model.bytes.len() as u64 + model.beside_bytes).sum())
    }

    fn component(&self, manifest: &Manifest, path: &Path) -> Result<&Component> {
        let titled = |component: &&Component| component.path.as_deref().is_some_and(|own| same(own, path));
        if let Some(component) = self.components.iter().find(titled) {
            return Ok(component);
        }
        let wanted = each_once(manifest.components());
        // Layers without titles are in the order of the manifest.
        let untitled = self.components.iter().all(|component| component.path.is_none());
        let place = wanted.iter().position(|wanted| *wanted == path);
        place
            .filter(|_| untitled && wanted.len() == self.components.len())
            .map(|place| &self.components[place])
            .with_context(|| {
                format!(
                    "the image has no component `{}`\nhint: pack it again with `samara pack`",
                    path.display()
                )
            })
    }

    fn models(&self, manifest: &Manifest, settings: &Settings) -> Result<BTreeMap<String, ModelFile>> {
        let file = |(name, model): (&String, &manifest::Model)| {
            let path = self.model_path(name, model, settings)?;
            let bytes = File::open(&path).and_then(|file| samara_package::map(&file));
            let bytes = bytes.with_context(|| missing_model(name, &path))?;
            // One container has one root, so a path is one file.
            let identity = format!("file:{}", path.display());
            let names = data_files(&path, &bytes);
            Ok((name.clone(), ModelFile::on_disk(path, bytes, identity, &names)))
        };
        manifest.models.iter().map(file).collect()
    }

    fn model_path(&self, name: &str, model: &manifest::Model, settings: &Settings) -> Result<PathBuf> {
        if let Some(path) = settings.model(name) {
            return Ok(self.root.join(path));
        }
        match &model.path {
            ModelPath::File(path) => Ok(self.root.join(path)),
            ModelPath::Image { reference, .. } => bail!(
                "the model `{name}` is one of the image `{reference}`, and was not packed with this one\nhint: pack the function with `samara pack`, or mount the model and say where it lies with `{}=/PATH`",
                model_variable(name)
            ),
        }
    }
}

impl Component {
    fn stage(&self, name: &str, rename: BTreeMap<String, String>) -> StageSource {
        match &self.code {
            Code::Wasm(bytes) => samara_compose::component(name, bytes.clone(), rename),
            Code::Compiled(code) => {
                StageSource::Compiled { name: name.to_owned(), code: code.clone(), rename }
            }
        }
    }
}

/// The names of the files that a model keeps weights in; what is wrong with it is told
/// when it is loaded.
fn data_files(path: &Path, bytes: &[u8]) -> BTreeSet<String> {
    let format = samara_compose::format_of(path, bytes);
    format.map(|format| samara_backends::data_files(format, bytes)).unwrap_or_default()
}

fn of_layer(layer: WasmLayer) -> Component {
    let title = layer.config.annotations().as_ref().and_then(|annotations| annotations.get(TITLE));
    let path = title.map(PathBuf::from);
    Component { path, code: Code::Wasm(layer.layer.into()) }
}

fn of_files(root: &Path, paths: Vec<&Path>) -> Result<Vec<Component>> {
    let mut components = Vec::new();
    for path in each_once(paths) {
        let file = root.join(path);
        let bytes = std::fs::read(&file).with_context(|| {
            format!("cannot read the component `{}`\nhint: containerd 1.6 hands no layers over: pack the image with `samara pack --form tar`", file.display())
        })?;
        components.push(Component { path: Some(path.to_owned()), code: Code::Wasm(bytes.into()) });
    }
    Ok(components)
}

/// An image without a manifest and without layers that are components: the file
/// that it is told to run.
fn of_entrypoint(root: &Path, entrypoint: Option<&str>) -> Result<Component> {
    let hint = "hint: pack a function with `samara pack`; a Linux program must be there and executable";
    let Some(entrypoint) = entrypoint.filter(|entrypoint| !entrypoint.is_empty()) else {
        bail!("the image is no function: it has neither `samara.toml` nor a component\n{hint}");
    };
    let path = root.join(entrypoint.trim_start_matches('/'));
    let bytes = std::fs::read(&path).with_context(|| {
        format!(
            "the image is no function: it has no `samara.toml`, and `{entrypoint}` cannot be read\n{hint}"
        )
    })?;
    if !bytes.starts_with(WASM) {
        bail!("`{entrypoint}` is neither a Linux program that may be executed nor WebAssembly\n{hint}");
    }
    Ok(Component { path: Some(entrypoint.into()), code: Code::Wasm(bytes.into()) })
}

fn each_once(paths: Vec<&Path>) -> Vec<&Path> {
    let mut once = Vec::new();
    for path in paths {
        if !once.contains(&path) {
            once.push(path);
        }
    }
    once
}

fn same(title: &Path, path: &Path) -> bool {
    let plain = |path: &Path| -> PathBuf {
        path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect()
    };
    plain(title) == plain(path)
}

fn missing_model(name: &str, path: &Path) -> String {
    format!(
        "the model `{name}` is missing: cannot read `{}`\nhint: mount it, or say where it lies with `{}=/PATH`",
        path.display(),
        model_variable(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(root: &Path, entrypoint: Option<&str>) -> String {
        format!("{:#}", Image::open(root, entrypoint, Vec::new()).unwrap_err())
    }

    #[test]
    fn what_is_no_function_is_told_so() {
        let root = tempfile::tempdir().unwrap();
        assert!(refusal(root.path(), None).starts_with("the image is no function: it has neither"));
        assert!(refusal(root.path(), Some("/bin/nothing")).contains("`/bin/nothing` cannot be read"));
        std::fs::write(root.path().join("notes"), "words").unwrap();
        assert!(refusal(root.path(), Some("/notes")).starts_with("`/notes` is neither a Linux program"));
        std::fs::write(root.path().join("samara.toml"), "[function]\nname = 3\n").unwrap();
        assert!(refusal(root.path(), None).starts_with("cannot use the image: "));
    }

    #[test]
    fn components_lie_in_the_root_where_no_layers_are_handed_over() {
        let root = tempfile::tempdir().unwrap();
        let toml = "[function]\nname = \"f\"\ncomponent = \"out/f.wasm\"\n[model.m]\npath = \"m.onnx\"\n";
        std::fs::write(root.path().join("samara.toml"), toml).unwrap();
        assert!(refusal(root.path(), Some("/out/f.wasm")).contains("--form tar"));
        std::fs::create_dir(root.path().join("out")).unwrap();
        std::fs::write(root.path().join("out/f.wasm"), WASM).unwrap();
        let image = Image::open(root.path(), Some("/out/f.wasm"), Vec::new()).unwrap();
        assert_eq!((image.name().as_ref(), image.may_be_command()), ("f", true));
        let missing = format!("{:#}", image.source(&Settings::default(), Grants::default()).unwrap_err());
        assert!(missing.contains("SAMARA_MODEL_M=/PATH"), "{missing}");
        std::fs::write(root.path().join("m.onnx"), "x").unwrap();
        let source = image.source(&Settings::default(), Grants::default()).unwrap();
        assert_eq!(source.models["m"].source.bytes, "x");
        assert_eq!(image.model_bytes(&Settings::default()).unwrap(), 1);
    }

    #[test]
    fn weights_beside_a_model_are_the_files_of_the_root() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| std::fs::write(root.path().join(path), bytes).unwrap();
        write("samara.toml", b"[function]\nname = \"f\"\n[model.m]\npath = \"m.onnx\"\n");
        let model = samara_test::onnx::ready::external("m.onnx.data", 0, 16);
        write("m.onnx", &model);
        write("m.onnx.data", &[0; 16]);
        let image = Image::open(root.path(), None, Vec::new()).unwrap();
        let source = image.source(&Settings::default(), Grants::default()).unwrap();
        assert_eq!(source.models["m"].source.beside.size("m.onnx.data").unwrap(), 16);
        assert_eq!(image.model_bytes(&Settings::default()).unwrap(), model.len() as u64 + 16);
    }
}
