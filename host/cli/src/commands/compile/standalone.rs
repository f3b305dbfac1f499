//! `samara compile --standalone`: a component with the model and an engine inside, which
//! is tried against the engines of this host before it is written.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use samara_compose::{component, model_stage};
use samara_engine::{
    FunctionSource, Grants, GuestOutput, Limits, ModelRequest, Reuse, StageSource, Standalone,
};
use samara_nn::{Datatype, Signature};

use crate::args::CompileArgs;
use crate::compose::{self, Loaded, Use};
use crate::error::Outcome;
use crate::files;
use crate::printer::Printer;
use crate::runner;
use crate::settings::Settings;
use crate::what::{What, model_request};

use super::trial::{self, Trial};

/// A trial is no service: what the component needs, it may have.
const MEMORY: u64 = 4 << 30;
const DEADLINE: Duration = Duration::from_secs(600);

pub(crate) fn run(args: &CompileArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let name = compose::stem(&args.model);
    let failed = || format!("cannot make `{}` standalone", args.model.display());
    let request = model_request(&args.model, &args.place)?;
    let written = samara_backends::standalone_model(&request.source).with_context(failed)?;
    let model = load(args, source_of_model(&name, request), settings, printer)?;
    let Some(signature) = model.function.signature() else { bail!("`{name}` has no signature") };
    check_datatypes(signature).with_context(failed)?;
    let trial = {
        let _spinner = printer.spinner(format!("running {name}"));
        trial::ask(&model, &args.checks).with_context(failed)?
    };
    let runner = runner::find(args.runner.as_deref(), settings, printer)?;
    let parts = Standalone { name: &name, signature, file: &written.file, weights: &written.weights };
    let bytes = samara_engine::standalone_component(&runner, &parts)
        .with_context(|| format!("cannot put `{name}` into a component"))?;
    let bytes = Bytes::from(bytes);
    let made = {
        let stage = component(&name, bytes.clone(), BTreeMap::new());
        load(args, source(&name, stage), settings, printer).context("the component does not load")?
    };
    let farthest = {
        let _spinner = printer.spinner(format!("trying {name}"));
        trial
            .compare(&made)
            .context("the component does not answer as this host does, so it is not written")?
    };
    files::write_whole(&args.out, |file| Ok(file.write_all(&bytes)?))?;
    tell(args, bytes.len(), signature, (&trial, farthest), printer)?;
    made.leave();
    model.leave();
    Ok(Outcome::Done)
}

/// What the engine inside can take and give; the model's nodes were checked before.
fn check_datatypes(signature: &Signature) -> Result<()> {
    use Datatype::{Bool, Fp32, Int8, Int32, Int64, Uint8};
    let specs = signature.inputs.iter().chain(&signature.outputs);
    let other =
        specs.into_iter().find(|spec| !matches!(spec.datatype, Bool | Fp32 | Int8 | Int32 | Int64 | Uint8));
    match other {
        Some(spec) => bail!("a standalone model takes and gives no {}, as {spec} is", spec.datatype),
        None => Ok(()),
    }
}

fn load(
    args: &CompileArgs,
    source: FunctionSource,
    settings: &Settings,
    printer: &Printer,
) -> Result<Loaded> {
    Loaded::load(&What::Model(args.model.clone()), source, Use::Once, settings, printer)
}

fn source_of_model(name: &str, request: ModelRequest) -> FunctionSource {
    let models = BTreeMap::from([(name.to_owned(), request)]);
    FunctionSource { models, ..source(name, model_stage(name)) }
}

fn source(name: &str, stage: StageSource) -> FunctionSource {
    FunctionSource {
        name: name.to_owned(),
        stages: vec![stage],
        models: BTreeMap::new(),
        limits: Limits { memory: MEMORY, output: MEMORY, deadline: DEADLINE, ..Limits::default() },
        grants: Grants::default(),
        // The model inside is read once.
        reuse: Reuse::Calls(u32::MAX),
        output: GuestOutput::Stderr,
    }
}

fn tell(
    args: &CompileArgs,
    bytes: usize,
    signature: &Signature,
    (trial, farthest): (&Trial, f64),
    printer: &Printer,
) -> Result<()> {
    if printer.is_json() {
        return printer.json(&serde_json::json!({
            "component": args.out,
            "bytes": bytes,
            "model": compose::stem(&args.model),
            "standalone": true,
            "checked": { "backend": trial.backend, "requests": trial.requests(), "farthest": farthest },
            "signature": super::super::inspect::signature_json(signature),
        }));
    }
    let out = args.out.display();
    printer.step("Compiled", format_args!("{out} ({bytes} bytes): {signature}"));
    printer.step(
        "Checked",
        format_args!(
            "answers as {} does to {} requests, at most {farthest:.1e} of the largest value off",
            trial.backend,
            trial.requests()
        ),
    );
    printer.hint(format_args!(
        "run it with `samara run {out} --input …`, or any host of WASI 0.2, e.g. `wasmtime run {out} < request.json`"
    ));
    Ok(())
}
