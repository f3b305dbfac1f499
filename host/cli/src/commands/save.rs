//! `samara save`: images in an archive, for machines without a network.

use std::path::Path;

use anyhow::Result;
use samara_package::layout;
use serde_json::json;

use crate::args::SaveArgs;
use crate::error::Outcome;
use crate::files;
use crate::images;
use crate::output::size_text;
use crate::printer::{Printer, StdoutClosed};
use crate::settings::Settings;

pub(crate) fn run(args: &SaveArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let store = images::store_of(settings)?;
    if args.out == Path::new("-") {
        return match layout::save(&store, &args.images, &mut std::io::stdout().lock()) {
            Ok(()) => Ok(Outcome::Done),
            Err(layout::Error::Write { source }) if source.kind() == std::io::ErrorKind::BrokenPipe => {
                Err(StdoutClosed.into())
            }
            Err(error) => Err(error.into()),
        };
    }
    let bytes = {
        let _spinner = printer.spinner("writing the archive");
        files::write_whole(&args.out, |file| Ok(layout::save(&store, &args.images, file)?))?
    };
    let names: Vec<String> = args.images.iter().map(ToString::to_string).collect();
    if printer.is_json() {
        printer.json(&json!({ "archive": args.out, "images": names, "bytes": bytes }))?;
        return Ok(Outcome::Done);
    }
    printer
        .step("Saved", format_args!("{} to {} ({})", names.join(", "), args.out.display(), size_text(bytes)));
    Ok(Outcome::Done)
}
