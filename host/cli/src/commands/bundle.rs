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
use crate::what::What;

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
    let mut models = BTreeMap::new();
    for (name, model) in &project.manifest.models {
        let file = match &model.path {
            ModelPath::File(path) => (path.clone(), content(path)),
            ModelPath::Image { reference, part } => {
                let file = images.model(&project.folder, reference, part.as_deref())?;
                (file.path, Content::Bytes(file.bytes))
            }
        };
        models.insert(name.clone(), file);
    }
    let components = project.manifest.components().into_iter();
    let tests = test_files(project).into_iter();
    Ok(BundleSource {
        manifest_text: read_text(&project.path(Path::new(FILE_NAME)))?,
        components: components.map(|path| (path.to_owned(), content(path))).collect(),
        models,
        files: tests.map(|path: PathBuf| (path.clone(), content(&path))).collect(),
    })
}
