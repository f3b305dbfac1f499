//! `samara bundle`: a function with its models in one `.wasm` file.

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use samara_package::bundle::{self, BundleSource};
use samara_package::image::Content;
use samara_package::manifest::{FILE_NAME, ModelPath};
use serde_json::json;

use super::pack::test_files;
use crate::args::BundleArgs;
use crate::error::Outcome;
use crate::files;
use crate::images::Images;
use crate::input::read_text;
use crate::output::size_text;
use crate::printer::Printer;
use crate::project::Project;
use crate::settings::Settings;
use crate::what::{What, data_files};

pub(crate) fn run(args: &BundleArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let images = Images::new(settings, &args.registry, printer);
    let what = What::find(&args.what, &images)?;
    let source = match &what {
        What::Project(project) => {
            project.ensure_built(printer)?;
            of_project(project, &images)?
        }
        What::Packed(packed) => match packed.image() {
            Some(image) if packed.manifest.is_some() => BundleSource::from(image),
            Some(_) => bail!("`{}` has no manifest; its component is one file already", packed.origin),
            None => bail!("`{}` is a bundle already", packed.origin),
        },
        What::Component(_) | What::Model(_) => bail!(
            "`{}` has no manifest, which says what belongs together\nhint: make a function with `samara new`",
            args.what
        ),
    };
    let bytes = files::write_whole(&args.out, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        bundle::write(&source, &mut out)?;
        Ok(std::io::Write::flush(&mut out)?)
    })?;
    if printer.is_json() {
        printer.json(&json!({ "bundle": args.out, "bytes": bytes }))?;
        return Ok(Outcome::Done);
    }
    printer.step("Bundled", format_args!("{} ({})", args.out.display(), size_text(bytes)));
    Ok(Outcome::Done)
}

fn of_project(project: &Project, images: &Images<'_>) -> Result<BundleSource> {
    let content = |path: &Path| Content::File(project.path(path));
    let tests = test_files(project).into_iter();
    let mut files: BTreeMap<PathBuf, Content> = tests.map(|path| (path.clone(), content(&path))).collect();
    let mut models = BTreeMap::new();
    for (name, model) in &project.manifest.models {
        let (path, bytes, data) = match &model.path {
            ModelPath::File(path) => {
                let data = project.model_data(path)?.into_iter();
                (path.clone(), content(path), data.map(|(name, file)| (name, Content::File(file))).collect())
            }
            ModelPath::Image { reference, part } => {
                let file = images.model(&project.folder, reference, part.as_deref())?;
                let data = data_files(&file)?.into_iter();
                let data = data.map(|name| Ok((name.clone(), Content::Bytes(file.data(&name)?.bytes))));
                (file.path.clone(), Content::Bytes(file.bytes.clone()), data.collect::<Result<Vec<_>>>()?)
            }
        };
        for (data, content) in data {
            let path = path.with_file_name("").join(data);
            let there = files.insert(path.clone(), content.clone());
            if there.is_some_and(|there| !there.is_same(&content)) {
                bail!(
                    "`{}` would be in the bundle twice, once for `[model.{name}]`\nhint: keep models with files of the same name in folders of their own",
                    path.display()
                );
            }
        }
        models.insert(name.clone(), (path, bytes));
    }
    let components = project.manifest.components().into_iter();
    Ok(BundleSource {
        manifest_text: read_text(&project.path(Path::new(FILE_NAME)))?,
        components: components.map(|path| (path.to_owned(), content(path))).collect(),
        models,
        files,
    })
}
