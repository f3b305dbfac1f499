//! `samara run`: one call of a function, or one run of a command.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use samara_engine::{CallReport, Compiled, ErrorKind, Kind, ModelRun};
use samara_nn::{Datatype, NamedTensor, Signature, TensorSpec};
use samara_protocol::json::{Parameters, Request, Response};

use crate::args::RunArgs;
use crate::compose::{Loaded, Use};
use crate::error::{Outcome, Usage};
use crate::grants;
use crate::images::Images;
use crate::input;
use crate::output;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::what::What;

pub(crate) fn run(args: &RunArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let images = Images::new(settings, &args.registry, printer);
    let what = What::find(&args.what, &images)?;
    if let What::Project(project) = &what {
        project.ensure_built(printer)?;
    }
    let source = what.source(&args.models, &args.place, &args.grants, &images)?;
    if let Some(manifest) = what.manifest() {
        grants::tell_missing(&manifest.capabilities, what.folder(), &source.grants, &source.name, printer);
    }
    let loaded = Loaded::load(&what, source, Use::Once, settings, printer)?;
    tell_load(&loaded, printer);
    let outcome = match (loaded.function.kind(), loaded.function.signature()) {
        (Kind::Command(_), _) => run_command(args, &loaded),
        (_, Some(signature)) => call(args, &what, &loaded, signature, printer),
        (kind, None) => bail!(
            "`{}` is {}, which answers requests\nhint: serve it: `samara serve {}`",
            loaded.function.name(),
            kind.name(),
            args.what
        ),
    };
    loaded.leave();
    outcome
}

fn run_command(args: &RunArgs, loaded: &Loaded) -> Result<Outcome> {
    if !args.inputs.is_empty() {
        let usage = format!(
            "`{}` is a command, which takes no `--input`\nhint: give it arguments after `--`",
            loaded.function.name()
        );
        return Err(Usage(usage).into());
    }
    match loaded.run_command(&args.args)? {
        0 => Ok(Outcome::Done),
        code => Ok(Outcome::Exit(code)),
    }
}

fn call(
    args: &RunArgs,
    what: &What,
    loaded: &Loaded,
    signature: &Signature,
    printer: &Printer,
) -> Result<Outcome> {
    if !args.args.is_empty() {
        let usage = format!(
            "`{}` is a function, which takes no arguments after `--`\nhint: give it inputs with `--input`",
            loaded.function.name()
        );
        return Err(Usage(usage).into());
    }
    let request = match input::read(&args.inputs, signature)? {
        Some(request) => request,
        None => without_input(args, what, signature, printer)?,
    };
    let answer = {
        let _spinner = printer.spinner(format!("running {}", loaded.function.name()));
        loaded.infer(request.inputs).map_err(|error| explain(error, what))?
    };
    tell_call(&answer.report, printer);
    tell_kernels(loaded, printer);
    let outputs = chosen(answer.outputs, &request.outputs)?;
    if !printer.is_json() {
        let set = what.manifest().map(|manifest| manifest.labels.clone()).unwrap_or_default();
        printer.data(&output::tensors(&outputs, &signature.labels(set)))?;
        return Ok(Outcome::Done);
    }
    printer.json_line(&Response {
        model_name: loaded.function.name(),
        model_version: &loaded.version,
        id: request.id.as_deref(),
        parameters: parameters(loaded, &answer.report),
        outputs: &outputs,
    })?;
    Ok(Outcome::Done)
}

/// The request where none was given: the first test's, or none for a function
/// without inputs.
fn without_input(args: &RunArgs, what: &What, signature: &Signature, printer: &Printer) -> Result<Request> {
    if signature.inputs.is_empty() {
        return Ok(Request { id: None, inputs: Vec::new(), outputs: Vec::new() });
    }
    if let Some(test) = what.tests().first() {
        printer.note(format_args!("no input is given, so this is the test `{}` of `samara.toml`", test.name));
        return input::from_file(&what.test_file(&test.inputs)?, signature)
            .with_context(|| format!("cannot use the input of the test `{}`", test.name));
    }
    let inputs: Vec<String> = signature.inputs.iter().map(|spec| format!("  {spec}")).collect();
    bail!(
        "no input is given; the function takes\n{}\nhint: e.g. `samara run {} {}`",
        inputs.join("\n"),
        args.what,
        example(signature)
    )
}

/// Flags that would do as inputs, in form.
fn example(signature: &Signature) -> String {
    let only = signature.inputs.len() == 1;
    let flag = |spec: &TensorSpec| {
        let value = match spec.datatype {
            Datatype::Bytes => "@FILE".to_owned(),
            _ => example_values(spec),
        };
        if only { format!("--input {value}") } else { format!("--input {}={value}", spec.name) }
    };
    signature.inputs.iter().map(flag).collect::<Vec<_>>().join(" ")
}

fn example_values(spec: &TensorSpec) -> String {
    const SHORT: usize = 8;
    let count = spec.shape.iter().map(|&size| usize::try_from(size).unwrap_or(1)).product::<usize>();
    let one = if spec.datatype == Datatype::Bool { "true" } else { "0" };
    if count <= SHORT { vec![one; count].join(",") } else { "@FILE.npy".to_owned() }
}

/// The outputs that the request asks for, in its order; all where it asks for
/// none.
fn chosen(outputs: Vec<NamedTensor>, wanted: &[String]) -> Result<Vec<NamedTensor>> {
    if wanted.is_empty() {
        return Ok(outputs);
    }
    let find = |name: &String| {
        outputs.iter().find(|(output, _)| output == name).cloned().with_context(|| {
            let known: Vec<String> = outputs.iter().map(|(output, _)| format!("`{output}`")).collect();
            format!("the request asks for the output `{name}`; the function has {}", known.join(", "))
        })
    };
    wanted.iter().map(find).collect()
}

/// Adds what a user of a bare component can do about a model that is missing.
fn explain(error: samara_engine::Error, what: &What) -> anyhow::Error {
    let missing = error.kind() == ErrorKind::NotFound;
    match what {
        What::Component(path) if missing => {
            let hint = format!(
                "hint: a `.wasm` is given models by `samara run {} --model NAME=FILE`",
                path.display()
            );
            anyhow::anyhow!("{error}\n{hint}")
        }
        _ => error.into(),
    }
}

/// What the load and the call took, for programs.
fn parameters(loaded: &Loaded, report: &CallReport) -> Parameters {
    let mut parameters = Parameters::new();
    let runs: Vec<&ModelRun> = report.model_runs().collect();
    if !runs.is_empty() {
        let mut backends: Vec<&str> = runs.iter().map(|run| run.backend).collect();
        backends.dedup();
        let loading: Duration = loaded.function.load_report().models.iter().map(|(_, _, time)| *time).sum();
        let computing: Duration = runs.iter().map(|run| run.computed).sum();
        parameters.insert("backend".to_owned(), backends.join(",").into());
        parameters.insert("model_load_ms".to_owned(), milliseconds(loading).into());
        parameters.insert("compute_ms".to_owned(), milliseconds(computing).into());
    }
    parameters.insert("total_ms".to_owned(), milliseconds(report.total).into());
    parameters
}

fn tell_load(loaded: &Loaded, printer: &Printer) {
    if !printer.is_verbose() {
        return;
    }
    let report = loaded.function.load_report();
    for (name, compiled) in &report.components {
        match compiled {
            Compiled::Cached(time) => {
                printer.detail(format_args!("component {name}: from the cache in {time:.1?}"))
            }
            Compiled::Now(time) => printer.detail(format_args!("component {name}: compiled in {time:.1?}")),
        }
    }
    for (name, backend, time) in &report.models {
        printer.detail(format_args!("model {name}: loaded by {backend} in {time:.1?}"));
    }
}

fn tell_call(report: &CallReport, printer: &Printer) {
    if !printer.is_verbose() {
        return;
    }
    for stage in &report.stages {
        printer.detail(format_args!("stage {}: {:.1?}", stage.name, stage.total));
        for run in &stage.models {
            printer
                .detail(format_args!("  model {}: {} computed {:.1?}", run.model, run.backend, run.computed));
        }
    }
    printer.detail(format_args!("call: {:.1?}", report.total));
}

/// What the kernels of models took on a GPU, where that is measured.
fn tell_kernels(loaded: &Loaded, printer: &Printer) {
    for (name, model) in loaded.function.models() {
        let mut times = model.kernel_times();
        times.sort_by_key(|time| std::cmp::Reverse(time.total));
        for time in times {
            let (kernel, launches, total) = (&time.kernel, time.launches, time.total);
            printer.detail(format_args!("model {name}: {kernel}: {launches} launches, {total:.1?}"));
        }
    }
}

/// Milliseconds, to the microsecond.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_have_the_form_of_the_inputs() {
        let spec = |name: &str, datatype, shape: &[i64]| TensorSpec::new(name, datatype, shape);
        let signature = |inputs| Signature { inputs, outputs: Vec::new() };
        let one = signature(vec![spec("x", Datatype::Fp32, &[-1, 3])]);
        assert_eq!(example(&one), "--input 0,0,0");
        let several = signature(vec![
            spec("image", Datatype::Bytes, &[1]),
            spec("flag", Datatype::Bool, &[]),
            spec("pixels", Datatype::Fp32, &[1, 3, 224, 224]),
        ]);
        assert_eq!(example(&several), "--input image=@FILE --input flag=true --input pixels=@FILE.npy");
    }

    #[test]
    fn a_request_may_choose_outputs() {
        let tensor = || samara_nn::Tensor::from_vec([1], vec![1u8]).unwrap();
        let outputs = || vec![("a".to_owned(), tensor()), ("b".to_owned(), tensor())];
        assert_eq!(chosen(outputs(), &["b".to_owned()]).unwrap(), [("b".to_owned(), tensor())]);
        assert_eq!(chosen(outputs(), &[]).unwrap().len(), 2);
        let error = chosen(outputs(), &["c".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "the request asks for the output `c`; the function has `a`, `b`");
    }
}
