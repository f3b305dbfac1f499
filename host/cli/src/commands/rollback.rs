//! `samara rollback`: lets a name stand for its earlier image again.

use anyhow::{Context, Result};
use serde_json::json;

use crate::args::RollbackArgs;
use crate::error::Outcome;
use crate::images::Images;
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(args: &RollbackArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let registry = Default::default();
    let images = Images::new(settings, &registry, printer);
    let store = images.store()?;
    let tagged = store.tagged(&args.image)?;
    if let Some(earlier) = tagged.as_ref().and_then(|tagged| tagged.earlier()) {
        // An image that could not be used is no version to go back to.
        images
            .open(&store, &args.image, &earlier.digest)
            .with_context(|| format!("`{}` stays as it is", args.image))?;
    }
    let version = store.rollback(&args.image)?;
    if printer.is_json() {
        printer.json(&json!({ "image": args.image.to_string(), "digest": version.digest }))?;
        return Ok(Outcome::Done);
    }
    let age = super::images::age_text(version.since, super::images::now());
    printer.step("Back at", format_args!("the image that `{}` began to stand for {age}", args.image));
    printer.data(&format!("{}\n", version.digest))?;
    Ok(Outcome::Done)
}
