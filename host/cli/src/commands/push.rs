//! `samara push`: sends an image to a registry, with its signatures and bills
//! of materials.

use anyhow::Result;
use samara_package::store;
use serde_json::json;

use crate::args::PushArgs;
use crate::error::{Outcome, Usage};
use crate::images::Images;
use crate::output::size_text;
use crate::printer::Printer;
use crate::progress::Bars;
use crate::settings::Settings;

pub(crate) fn run(args: &PushArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let images = Images::new(settings, &args.registry, printer);
    let to = args.to.as_ref().unwrap_or(&args.image);
    if to.registry().is_none() {
        let usage = format!(
            "`{to}` names no registry\nhint: `samara push {} REGISTRY/{to}`, e.g. `localhost:5000/{to}`",
            args.image
        );
        return Err(Usage(usage).into());
    }
    let store = images.store()?;
    let digest = store.resolve(&args.image).map_err(|error| match error.kind() {
        store::ErrorKind::NotFound => anyhow::anyhow!(
            "`{}` is not in the store\nhint: make it with `samara pack DIR -t {}`, or send another image with `samara push IMAGE {to}`; `samara images` lists them",
            args.image, args.image
        ),
        _ => error.into(),
    })?;
    let client = images.client()?;
    let bars = Bars::new(printer);
    let pushed = client.push(&store, &digest, to, &bars)?;
    drop(bars);
    if printer.is_json() {
        printer.json(&json!({ "image": to.to_string(), "digest": digest, "bytes_sent": pushed.sent }))?;
        return Ok(Outcome::Done);
    }
    printer.step("Pushed", format_args!("{to} ({} sent)", size_text(pushed.sent)));
    printer.data(&format!("{digest}\n"))?;
    Ok(Outcome::Done)
}
