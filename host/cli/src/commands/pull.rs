//! `samara pull`: fetches an image, checks it, compiles it.

use anyhow::Result;
use serde_json::json;

use crate::args::PullArgs;
use crate::error::{Outcome, Usage};
use crate::images::Images;
use crate::output::{count_text, size_text};
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(args: &PullArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let reference = &args.image;
    if reference.registry().is_none() {
        let usage = format!(
            "`{reference}` names no registry\nhint: write where it comes from, e.g. `registry.example.com/{reference}`"
        );
        return Err(Usage(usage).into());
    }
    let pulled = Images::new(settings, &args.registry, printer).pull(reference)?;
    if printer.is_json() {
        printer.json(&json!({
            "image": reference.to_string(),
            "digest": pulled.digest,
            "layers_fetched": pulled.layers,
            "bytes_fetched": pulled.bytes,
        }))?;
        return Ok(Outcome::Done);
    }
    let fetched = match pulled.layers {
        0 => "all of it was there".to_owned(),
        layers => format!("{}, {}", count_text(layers as u64, "layer"), size_text(pulled.bytes)),
    };
    printer.step("Pulled", format_args!("{reference} ({fetched})"));
    printer.data(&format!("{}\n", pulled.digest))?;
    Ok(Outcome::Done)
}
