//! `samara pack`: a function as an image in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use samara_nn::ModelSource;
use samara_package::Reference;
use samara_package::image::{self, About, Content, Form, Image, Interface, ModelContent, Packed, Source};
use samara_package::manifest::{self, FILE_NAME, ModelPath};
use serde_json::json;

use crate::args::{PackArgs, PackForm};
use crate::error::Outcome;
use crate::images::Images;
use crate::input::{read_bytes, read_text};
use crate::interface;
use crate::output::{count_text, size_text};
use crate::printer::Printer;
use crate::project::Project;
use crate::sbom;
use crate::settings::Settings;
use crate::what::{data_files, packed_model};

pub(crate) fn run(args: &PackArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let project = Project::open(&args.dir)?;
    project.ensure_built(printer)?;
    let images = Images::new(settings, &args.registry, printer);
    let tags = if args.tags.is_empty() { vec![default_tag(&project)?] } else { args.tags.clone() };
    let store = images.store()?;
    let session = store.session()?;
    let source = source(&project, args, &images)?;
    let packed = {
        let _spinner = printer.spinner(format!("packing {}", project.manifest.function.name));
        image::pack(&session, &source)?
    };
    let image = Image::open(&store, &packed.digest)?;
    check_models(&image)?;
    if args.sbom {
        sbom::attach(&session, &project, &image)?;
    }
    for tag in &tags {
        session.tag(tag, &packed.digest)?;
    }
    tell(&packed, &tags, printer)?;
    Ok(Outcome::Done)
}

/// Looks at the models as a backend would before it loads them: what no
/// backend takes is better told here than on another machine.
fn check_models(image: &Image) -> Result<()> {
    for (name, model) in image.models() {
        check_model(name, model).with_context(|| format!("cannot pack `[model.{name}]`"))?;
    }
    Ok(())
}

fn check_model(name: &str, model: &image::ModelFile) -> Result<()> {
    let file = packed_model(model)?;
    samara_backends::check(&ModelSource {
        name: name.to_owned(),
        identity: file.identity,
        format: samara_compose::format_of(&file.path, &file.bytes)?,
        bytes: file.bytes,
        beside: file.beside,
    })?;
    Ok(())
}

fn tell(packed: &Packed, tags: &[Reference], printer: &Printer) -> Result<()> {
    if printer.is_json() {
        let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
        return printer.json(&json!({
            "images": names,
            "digest": packed.digest,
            "bytes": packed.size,
            "bytes_added": packed.added,
            "layers": packed.manifest.layers,
        }));
    }
    for tag in tags {
        let layers = count_text(packed.manifest.layers.len() as u64, "layer");
        printer.step("Packed", format_args!("{tag} ({layers}, {})", size_text(packed.size)));
    }
    printer.data(&format!("{}\n", packed.digest))
}

/// The function's name and version.
fn default_tag(project: &Project) -> Result<Reference> {
    let function = &project.manifest.function;
    // A tag has no `+`, which build metadata begins with.
    let tag = format!("{}:{}", function.name, function.version.replace('+', "_"));
    tag.parse().with_context(|| {
        "the function's name and version are no name of an image\nhint: name it with `--tag`".to_owned()
    })
}

/// The files that go into the image.
fn source(project: &Project, args: &PackArgs, images: &Images<'_>) -> Result<Source> {
    let manifest = &project.manifest;
    let manifest_text = read_text(&project.path(Path::new(FILE_NAME)))?;
    let content = |path: &Path| Content::File(project.path(path));
    let components: BTreeMap<PathBuf, Content> =
        manifest.components().into_iter().map(|path| (path.to_owned(), content(path))).collect();
    let form = match args.form {
        PackForm::Mixed => Form::Mixed,
        PackForm::Tar => Form::Tar,
        PackForm::Wasm => Form::Wasm,
    };
    let interface = match (form, manifest.components().first()) {
        (Form::Wasm, Some(path)) => interface::of(&read_bytes(&project.path(path))?),
        _ => Interface::default(),
    };
    Ok(Source {
        form,
        manifest_text,
        components,
        models: models(project, images)?,
        files: test_files(project).into_iter().map(|path| (path.clone(), content(&path))).collect(),
        about: About {
            source: args.source.clone(),
            licenses: args.licenses.clone(),
            created: args.created.clone(),
            ..About::default()
        },
        interface,
    })
}

/// The files of the manifest's tests.
pub(super) fn test_files(project: &Project) -> BTreeSet<PathBuf> {
    let tests = project.manifest.tests.iter();
    tests.flat_map(|test| [test.inputs.clone(), test.expect.clone()]).collect()
}

/// A model of the folder, with the files that it keeps weights in.
fn own_model(project: &Project, path: &Path) -> Result<image::ModelSource> {
    let content = |file: PathBuf| ModelContent::Plain(Content::File(file));
    let data = project.model_data(path)?.into_iter().map(|(name, file)| (name, content(file)));
    Ok(image::ModelSource {
        path: path.to_owned(),
        content: content(project.path(path)),
        data: data.collect(),
    })
}

/// The models: the files of the folder, and the layers of other images.
fn models(project: &Project, images: &Images<'_>) -> Result<BTreeMap<String, image::ModelSource>> {
    let model = |(name, model): (&String, &manifest::Model)| {
        let source = match &model.path {
            ModelPath::File(path) => {
                own_model(project, path).with_context(|| format!("cannot pack `[model.{name}]`"))?
            }
            ModelPath::Image { reference, part } => {
                let file = images
                    .model(&project.folder, reference, part.as_deref())
                    .with_context(|| format!("cannot take `[model.{name}]` from an image"))?;
                file.source(&data_files(&file)?)?
            }
        };
        Ok((name.clone(), source))
    };
    project.manifest.models.iter().map(model).collect()
}
