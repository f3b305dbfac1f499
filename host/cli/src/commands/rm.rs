//! `samara rm`: forgets images, and removes what nothing else needs.

use anyhow::Result;
use serde_json::json;

use crate::args::RmArgs;
use crate::error::Outcome;
use crate::images;
use crate::output::size_text;
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(args: &RmArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let store = images::store_of(settings)?;
    for image in &args.images {
        store.forget(image)?;
        printer.step("Removed", image);
    }
    let collected = super::store::collect(&store, false, printer)?;
    if printer.is_json() {
        let names: Vec<String> = args.images.iter().map(ToString::to_string).collect();
        printer.json(&json!({ "removed": names, "bytes_freed": collected.bytes() }))?;
        return Ok(Outcome::Done);
    }
    printer.step("Freed", size_text(collected.bytes()));
    Ok(Outcome::Done)
}
