//! `samara load`: images from an archive, with what belongs to them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use samara_package::{Digest, Reference, layout};
use serde_json::{Value, json};

use crate::args::LoadArgs;
use crate::error::Outcome;
use crate::images::{Images, open_image};
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(args: &LoadArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let registry = Default::default();
    let images = Images::new(settings, &registry, printer);
    let store = images.store()?;
    let session = store.session()?;
    let found = {
        let _spinner = printer.spinner("reading the archive");
        layout::load(&session, open(&args.archive)?)
            .with_context(|| format!("cannot load `{}`", args.archive.display()))?
    };
    let named = names(found, args.tag.as_ref())?;
    // All are checked before the first name moves.
    for (reference, digest) in &named {
        images.check(&store, reference, digest)?;
        images.compile(&open_image(&store, reference, digest)?)?;
    }
    for (reference, digest) in &named {
        session.tag(reference, digest)?;
        if !printer.is_json() {
            printer.step("Loaded", reference);
            printer.data(&format!("{digest}\n"))?;
        }
    }
    if printer.is_json() {
        let line = |(reference, digest): &(Reference, Digest)| json!({ "image": reference.to_string(), "digest": digest });
        printer.json(&named.iter().map(line).collect::<Vec<Value>>())?;
    }
    Ok(Outcome::Done)
}

fn open(archive: &Path) -> Result<Box<dyn Read>> {
    if archive == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = File::open(archive).with_context(|| format!("cannot read `{}`", archive.display()))?;
    Ok(Box::new(file))
}

/// Every image with the name that it will have.
fn names(
    found: Vec<(Option<Reference>, Digest)>,
    tag: Option<&Reference>,
) -> Result<Vec<(Reference, Digest)>> {
    let unnamed = found.iter().filter(|(name, _)| name.is_none()).count();
    if found.is_empty() {
        bail!("the archive holds no image");
    }
    if let (Some(tag), [(_, digest)]) = (tag, found.as_slice()) {
        return Ok(vec![(tag.clone(), *digest)]);
    }
    if tag.is_some() && unnamed != 1 {
        bail!(
            "`--tag` names one image, but the archive holds {} of which {unnamed} have no name",
            found.len()
        );
    }
    let name = |(name, digest): (Option<Reference>, Digest)| match name.or_else(|| tag.cloned()) {
        Some(name) => Ok((name, digest)),
        None => bail!("an image in the archive has no name\nhint: give it one with `--tag NAME`"),
    };
    found.into_iter().map(name).collect()
}
