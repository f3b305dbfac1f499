//! `samara compile`: makes a component out of a model.

mod made_up;
mod standalone;
mod trial;

use std::io::Write;

use anyhow::{Context, Result};

use crate::args::CompileArgs;
use crate::compose;
use crate::error::Outcome;
use crate::files;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::what;

pub(crate) fn run(args: &CompileArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    if args.standalone {
        return standalone::run(args, settings, printer);
    }
    let name = compose::stem(&args.model);
    let request = what::model_request(&args.model, &args.place)?;
    let model = {
        let _spinner = printer.spinner(format!("loading {name}"));
        compose::pool(settings, compose::Use::Once).acquire(
            &request.source,
            &request.choice,
            &request.options,
        )?
    };
    let component = samara_engine::component_for_model(&name, model.signature())
        .with_context(|| format!("cannot make a component out of `{}`", args.model.display()))?;
    files::write_whole(&args.out, |file| Ok(file.write_all(&component)?))?;
    if printer.is_json() {
        printer.json(&serde_json::json!({
            "component": args.out,
            "bytes": component.len(),
            "model": name,
            "signature": super::inspect::signature_json(model.signature()),
        }))?;
        return Ok(Outcome::Done);
    }
    printer.step(
        "Compiled",
        format_args!("{} ({} bytes): {}", args.out.display(), component.len(), model.signature()),
    );
    printer.hint(format_args!(
        "run it with `samara run {} --model {name}={} --input …`",
        args.out.display(),
        args.model.display()
    ));
    Ok(Outcome::Done)
}
