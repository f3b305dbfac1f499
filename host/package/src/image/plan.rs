//! Which file of a function goes where in its image, checked before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::error::{Error, input, write};
use super::source::{Content, Form, ModelContent, ModelSource, Source, beside, image_path};
use super::{Result, check_wasm};
use crate::manifest::{self, Manifest};

/// Files by path, with the names of the models whose they are.
pub(super) type Parts<'a> = BTreeMap<String, (&'a ModelContent, Vec<&'a str>)>;

/// What goes where, checked.
pub(super) struct Plan<'a> {
    /// In the order of the manifest.
    pub(super) components: Vec<(String, &'a Content)>,
    /// By path, with the names of the models that are this file.
    pub(super) models: Parts<'a>,
    /// The same of the files that they keep weights in.
    pub(super) data: Parts<'a>,
    pub(super) files: BTreeMap<String, Content>,
}

impl<'a> Plan<'a> {
    /// # Errors
    /// When the source does not fit its manifest or the form.
    pub(super) fn of(source: &'a Source, manifest: &Manifest) -> Result<Self> {
        let components = components(source, manifest)?;
        let files = files(source)?;
        let taken = components.iter().map(|(path, _)| path).chain(files.keys()).cloned().collect();
        let (models, data) = models(source, manifest, taken)?;
        let plan = Self { models, data, components, files };
        plan.check_folders()?;
        if source.form == Form::Wasm {
            plan.check_artifact()?;
        }
        Ok(plan)
    }

    /// No file is also the folder of another one.
    fn check_folders(&self) -> Result<()> {
        let components = self.components.iter().map(|(path, _)| path.as_str());
        let others = self.models.keys().chain(self.data.keys()).chain(self.files.keys());
        let paths: BTreeSet<&str> = components.chain(others.map(String::as_str)).collect();
        for path in &paths {
            let mut folders = path.match_indices('/').map(|(slash, _)| &path[..slash]);
            if let Some(file) = folders.find(|folder| paths.contains(folder)) {
                return Err(input(format!("`{file}` would be a file and the folder of `{path}`")));
            }
        }
        Ok(())
    }

    fn check_artifact(&self) -> Result<()> {
        let reason = match (self.components.len(), self.models.len()) {
            (1, 0) => return Ok(()),
            (0, _) => "the function has none".to_owned(),
            (1, _) => "the function has models".to_owned(),
            (count, _) => format!("the function has {count}"),
        };
        Err(input(format!(
            "a Wasm artifact is one component alone, but {reason}\nhint: use the form `mixed`"
        )))
    }
}

fn components<'a>(source: &'a Source, manifest: &Manifest) -> Result<Vec<(String, &'a Content)>> {
    let mut components: Vec<(String, &Content)> = Vec::new();
    for path in manifest.components() {
        let content = source
            .components
            .get(path)
            .ok_or_else(|| input(format!("the manifest's component `{}` was not given", path.display())))?;
        let path = image_path(path)?;
        if components.iter().all(|(other, _)| *other != path) {
            check_head(&path, content)?;
            components.push((path, content));
        }
    }
    if components.len() != source.components.len() {
        return Err(input("a component was given that the manifest does not name"));
    }
    Ok(components)
}

fn check_head(name: &str, content: &Content) -> Result<()> {
    let (_, reader) = content.open()?;
    let mut head = Vec::new();
    reader.take(4).read_to_end(&mut head).map_err(write)?;
    check_wasm(name, &head)
}

/// The models and the files that they keep weights in.
fn models<'a>(
    source: &'a Source,
    manifest: &Manifest,
    mut taken: BTreeSet<String>,
) -> Result<(Parts<'a>, Parts<'a>)> {
    if !source.models.keys().eq(manifest.models.keys()) {
        return Err(input("the models that were given are not those that the manifest names"));
    }
    let (mut models, mut data) = (Parts::new(), Parts::new());
    // Those from elsewhere go where the function's own leave room.
    let is_own = |name: &str| manifest.models.get(name).is_some_and(|model| model.path.file().is_some());
    let (own, others): (Vec<_>, Vec<_>) = source.models.iter().partition(|(name, _)| is_own(name));
    for (name, model) in own.into_iter().chain(others) {
        let mut path = image_path(&model.path)?;
        let is_free =
            |path: &String, content, parts: &Parts<'_>| has(parts, path, content) || !taken.contains(path);
        let fits = is_free(&path, &model.content, &models)
            && data_paths(&path, model)?.iter().all(|(path, content)| is_free(path, content, &data));
        if !is_own(name) && !fits {
            let file_name = path.rsplit('/').next().unwrap_or_default();
            path = format!("models/{name}/{file_name}");
        }
        for (path, content) in data_paths(&path, model)? {
            add(&mut data, &mut taken, path, content, name)?;
        }
        add(&mut models, &mut taken, path, &model.content, name)?;
    }
    Ok((models, data))
}

/// Where the files go that a model at `model` keeps weights in.
fn data_paths<'a>(model: &str, source: &'a ModelSource) -> Result<Vec<(String, &'a ModelContent)>> {
    let path = |(name, content): (&String, &'a ModelContent)| {
        let refuse = |reason: String| Error::Data { model: model.to_owned(), name: name.clone(), reason };
        match beside(model, name) {
            Ok(path) if path == model => Err(refuse("is the model itself".to_owned())),
            Ok(path) => Ok((path, content)),
            Err(reason) => Err(refuse(reason)),
        }
    };
    source.data.iter().map(path).collect()
}

fn has(parts: &Parts<'_>, path: &str, content: &ModelContent) -> bool {
    parts.get(path).is_some_and(|(there, _)| same(there, content))
}

/// Puts a file to those of one kind, unless another is at its path.
fn add<'a>(
    parts: &mut Parts<'a>,
    taken: &mut BTreeSet<String>,
    path: String,
    content: &'a ModelContent,
    model: &'a str,
) -> Result<()> {
    if !has(parts, &path, content) && !taken.insert(path.clone()) {
        return Err(input(format!("two files of the image would be `{path}`")));
    }
    let (_, names) = parts.entry(path).or_insert((content, Vec::new()));
    if !names.contains(&model) {
        names.push(model);
    }
    Ok(())
}

fn same(a: &ModelContent, b: &ModelContent) -> bool {
    match (a, b) {
        (ModelContent::Layer(a), ModelContent::Layer(b)) => a == b,
        (ModelContent::Plain(a), ModelContent::Plain(b)) => a.is_same(b),
        _ => false,
    }
}

fn files(source: &Source) -> Result<BTreeMap<String, Content>> {
    let manifest = Content::Bytes(source.manifest_text.clone().into());
    let mut files = BTreeMap::from([(manifest::FILE_NAME.to_owned(), manifest)]);
    for (path, content) in &source.files {
        let path = image_path(path)?;
        let is_component =
            source.components.keys().any(|component| image_path(component).is_ok_and(|c| c == path));
        if is_component || files.insert(path.clone(), content.clone()).is_some() {
            return Err(input(format!("two files of the image would be `{path}`")));
        }
    }
    Ok(files)
}
