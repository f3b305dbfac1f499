//! `samara inspect`: what a function takes, gives, needs and asks for.

mod image;

use std::collections::BTreeMap;

use anyhow::Result;
use samara_engine::{FunctionSource, Limits, ModelRequest, StageSource};
use samara_nn::{Plan, ResidentModel, Signature, TensorSpec, format_shape};
use samara_package::manifest::Capabilities;
use serde_json::{Map, Value, json};
use wasmparser::Parser;

use crate::args::InspectArgs;
use crate::compose::{Loaded, Use};
use crate::error::Outcome;
use crate::images::Images;
use crate::interface;
use crate::output::{printable, size_text};
use crate::printer::{BOLD, DIM, Printer};
use crate::settings::Settings;
use crate::what::What;
use image::ImageFacts;

/// Labels of an output that are shown as text.
const LABELS: usize = 10;

/// Everything there is to say about a function.
struct Facts<'a> {
    loaded: &'a Loaded,
    source: &'a FunctionSource,
    capabilities: Capabilities,
    /// Of `[labels]`, and of the models.
    labels: BTreeMap<String, Vec<String>>,
    image: Option<ImageFacts<'a>>,
    /// What a run of each model does, where that was asked for.
    plans: BTreeMap<String, Plan>,
}

pub(crate) fn run(args: &InspectArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let images = Images::new(settings, &args.registry, printer);
    let what = What::find(&args.what, &images)?;
    let source = what.source(&args.models, &args.place, &args.grants, &images)?;
    let loaded = Loaded::load(&what, source.clone(), Use::Once, settings, printer)?;
    let capabilities = what.manifest().map(|manifest| manifest.capabilities.clone()).unwrap_or_default();
    let labels = what.manifest().map(|manifest| manifest.labels.clone()).unwrap_or_default();
    let labels = loaded.function.signature().map_or(labels.clone(), |signature| signature.labels(labels));
    let image = match &what {
        What::Packed(packed) => {
            packed.image().map(|image| ImageFacts::read(&images.store()?, image)).transpose()?
        }
        _ => None,
    };
    let plans = if args.plan { plans(&loaded, printer)? } else { BTreeMap::new() };
    let facts = Facts { loaded: &loaded, source: &source, capabilities, labels, image, plans };
    if printer.is_json() {
        printer.json(&facts.as_json())?;
    } else {
        printer.data(&facts.as_text())?;
    }
    Ok(Outcome::Done)
}

/// What a run of each model does when every open size is 1.
fn plans(loaded: &Loaded, printer: &Printer) -> Result<BTreeMap<String, Plan>> {
    let mut plans = BTreeMap::new();
    for (name, model) in loaded.function.models() {
        let size = |size: &i64| usize::try_from(*size).unwrap_or(1);
        let shapes: Vec<Vec<usize>> =
            model.signature().inputs.iter().map(|spec| spec.shape.iter().map(size).collect()).collect();
        match model.plan(&shapes)? {
            Some(plan) => _ = plans.insert(name.clone(), plan),
            None => printer.warn(format!("backend `{}` does not tell what a run does", model.backend())),
        }
    }
    Ok(plans)
}

/// A signature as JSON: inputs and outputs with name, datatype and shape, as
/// in the protocol's model metadata, and what else is known of each.
pub(crate) fn signature_json(signature: &Signature) -> Value {
    let spec = |spec: &TensorSpec| {
        let mut entry = json!({
            "name": spec.name, "datatype": spec.datatype.name(), "shape": spec.shape,
        });
        if let Some(media_type) = &spec.media_type {
            entry["media_type"] = media_type.as_str().into();
        }
        if !spec.labels.is_empty() {
            entry["labels"] = spec.labels.as_slice().into();
        }
        if let Some(known) = spec.quantisation {
            entry["quantization"] =
                json!({ "scale": known.scale_in_decimals(), "zero_point": known.zero_point });
        }
        entry
    };
    let specs = |specs: &[TensorSpec]| specs.iter().map(spec).collect::<Vec<Value>>();
    json!({ "inputs": specs(&signature.inputs), "outputs": specs(&signature.outputs) })
}

impl Facts<'_> {
    fn as_json(&self) -> Value {
        let function = &self.loaded.function;
        let models: Map<String, Value> = function
            .models()
            .iter()
            .map(|(name, model)| (name.clone(), self.model_json(name, model)))
            .collect();
        let stages: Vec<Value> = self.source.stages.iter().map(stage_json).collect();
        json!({
            "name": function.name(),
            "version": Some(&self.loaded.version).filter(|version| !version.is_empty()),
            "kind": function.kind().to_string(),
            "signature": self.signature().as_ref().map(signature_json),
            "labels": self.labels,
            "stages": stages,
            "models": models,
            "capabilities": capabilities_json(&self.capabilities),
            "limits": limits_json(&self.source.limits),
            "image": self.image.as_ref().map(ImageFacts::as_json),
        })
    }

    /// What it takes and gives, with the labels that somebody has set.
    fn signature(&self) -> Option<Signature> {
        let mut signature = self.loaded.function.signature()?.clone();
        for output in &mut signature.outputs {
            output.labels = self.labels.get(&output.name).cloned().unwrap_or_default();
        }
        Some(signature)
    }

    /// Labels of what is no output.
    fn stray_labels(&self) -> Vec<String> {
        let signature = self.loaded.function.signature();
        let is_output = |name: &str| signature.is_some_and(|signature| signature.output(name).is_some());
        let stray = self.labels.iter().filter(|(name, _)| !is_output(name));
        stray.map(|(name, labels)| format!("{}: {}, of no output", line(name), labels.len())).collect()
    }

    fn model_json(&self, name: &str, model: &ResidentModel) -> Value {
        let request = self.source.models.get(name);
        json!({
            "format": request.map(|request| request.source.format.name()),
            "bytes": request.map(|request| request.source.bytes.len()),
            "digest": request.map(|request| samara_engine::sha256(&request.source.bytes)),
            "data": request.map(data_json),
            "backend": model.backend(),
            "target": request.map(|request| request.options.target.to_string()),
            "elsewhere": model.elsewhere(),
            "plan": self.plans.get(name).map(plan_json),
            "signature": signature_json(model.signature()),
        })
    }

    fn as_text(&self) -> String {
        let function = &self.loaded.function;
        let version = match self.loaded.version.as_str() {
            "" => String::new(),
            version => format!(" {version}"),
        };
        let mut text = format!("{BOLD}{}{BOLD:#}{version}  {}\n", function.name(), function.kind().detail());
        if let Some(signature) = self.signature() {
            text.push_str(&specs_text("inputs", &signature.inputs));
            text.push_str(&specs_text("outputs", &signature.outputs));
        }
        let stages: Vec<String> = self.source.stages.iter().flat_map(stage_text).collect();
        text.push_str(&section("stages", &stages));
        let models: Vec<String> =
            function.models().iter().flat_map(|(name, model)| self.model_text(name, model)).collect();
        text.push_str(&section("models", &models));
        text.push_str(&section("labels", &self.stray_labels()));
        text.push_str(&section("asks for", &capabilities_text(&self.capabilities)));
        text.push_str(&section("limits", &limits_text(&self.source.limits)));
        text.push_str(&self.image.as_ref().map(ImageFacts::as_text).unwrap_or_default());
        text
    }

    fn model_text(&self, name: &str, model: &ResidentModel) -> Vec<String> {
        let request = self.source.models.get(name);
        let size = request.map_or(0, |request| request.source.bytes.len());
        let format = request.map_or("", |request| request.source.format.name());
        let digest = request.map(|request| samara_engine::sha256(&request.source.bytes)).unwrap_or_default();
        let mut lines = vec![
            format!("{name}  {format}, {}, by {}", size_text(size as u64), model.backend()),
            format!("  {DIM}{digest}{DIM:#}"),
        ];
        let data = request.map(data).unwrap_or_default().into_iter();
        lines.extend(data.map(|(name, size)| format!("  weights in {}, {}", line(&name), size_text(size))));
        lines.push(format!("  {}", model.signature()));
        lines.extend(model.elsewhere().iter().map(|part| format!("  on the CPU: {part}")));
        let plan = self.plans.get(name).map(Plan::to_string).unwrap_or_default();
        lines.extend(plan.lines().map(|line| format!("  {line}")));
        lines
    }
}

/// The files that a model keeps weights in, with their bytes.
fn data(request: &ModelRequest) -> Vec<(String, u64)> {
    let source = &request.source;
    let names = samara_backends::data_files(source.format, &source.bytes).into_iter();
    names.filter_map(|name| source.beside.size(&name).ok().map(|size| (name, size))).collect()
}

fn data_json(request: &ModelRequest) -> Vec<Value> {
    data(request).iter().map(|(name, size)| json!({ "file": name, "bytes": size })).collect()
}

/// Text from elsewhere, on one line.
fn line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

fn plan_json(plan: &Plan) -> Value {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| json!({ "kernel": step.kernel, "nodes": step.nodes, "flops": step.flops, "bytes": step.bytes }))
        .collect();
    json!({ "steps": steps, "flops": plan.flops(), "bytes": plan.bytes(), "memory": plan.memory })
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("  {title}\n{lines}")
}

fn specs_text(title: &str, specs: &[TensorSpec]) -> String {
    let width = specs.iter().map(|spec| spec.name.chars().count()).max().unwrap_or(0);
    let lines = |spec: &TensorSpec| {
        let media_type =
            spec.media_type.as_deref().map(|media_type| format!("  {media_type}")).unwrap_or_default();
        let quantisation = spec.quantisation.map_or_else(String::new, |known| {
            format!("  {DIM}scale {}, zero point {}{DIM:#}", known.scale, known.zero_point)
        });
        let shape = format_shape(&spec.shape);
        let line = format!("{:<width$}  {}{shape}{media_type}{quantisation}", spec.name, spec.datatype);
        std::iter::once(line).chain(labels_text(&spec.labels))
    };
    section(title, &specs.iter().flat_map(lines).collect::<Vec<_>>())
}

/// The line of labels below an output, in the order of its last axis.
fn labels_text(labels: &[String]) -> Option<String> {
    let shown: Vec<String> = labels.iter().take(LABELS).map(|label| line(label)).collect();
    let rest = match labels.len().saturating_sub(LABELS) {
        0 => String::new(),
        rest => format!(", … and {rest} more"),
    };
    (!labels.is_empty()).then(|| format!("  {DIM}labels: {}{rest}{DIM:#}", shown.join(", ")))
}

fn stage_text(stage: &StageSource) -> Vec<String> {
    match stage {
        StageSource::Component { name, bytes, .. } => {
            let form = if Parser::is_core_wasm(bytes) { "module" } else { "component" };
            let mut lines = vec![format!("{name}  {form}, {}", size_text(bytes.len() as u64))];
            let packages = by_package(&interface::of(bytes).imports);
            lines.extend(packages.iter().map(|package| format!("  {DIM}imports {package}{DIM:#}")));
            lines
        }
        StageSource::Compiled { name, .. } => vec![format!("{name}  component, compiled before")],
        StageSource::Model { name, model, .. } => vec![format!("{name}  model {model}")],
    }
}

fn stage_json(stage: &StageSource) -> Value {
    match stage {
        StageSource::Component { name, bytes, .. } => json!({
            "name": name, "component": samara_engine::sha256(bytes), "bytes": bytes.len(), "imports": interface::of(bytes).imports,
        }),
        StageSource::Compiled { name, .. } => json!({ "name": name }),
        StageSource::Model { name, model, .. } => json!({ "name": name, "model": model }),
    }
}

/// Interfaces of one package and version on one line, e.g.
/// `wasi:io@0.2.6 (poll, streams)`.
fn by_package(imports: &[String]) -> Vec<String> {
    let mut packages: Vec<(String, Vec<&str>)> = Vec::new();
    for import in imports {
        let (path, version) =
            import.split_once('@').map_or((import.as_str(), ""), |(path, version)| (path, version));
        let (package, interface) = path.split_once('/').unwrap_or((path, ""));
        let package = if version.is_empty() { package.to_owned() } else { format!("{package}@{version}") };
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, interfaces)) => interfaces.push(interface),
            None => packages.push((package, vec![interface])),
        }
    }
    packages.iter().map(|(package, interfaces)| format!("{package} ({})", interfaces.join(", "))).collect()
}

fn capabilities_json(capabilities: &Capabilities) -> Value {
    let directories: Vec<Value> = capabilities
        .directories
        .iter()
        .map(|wanted| json!({ "host": wanted.host, "guest": wanted.guest, "writable": wanted.writable }))
        .collect();
    json!({ "http": capabilities.http, "directories": directories, "environment": capabilities.environment })
}

fn capabilities_text(capabilities: &Capabilities) -> Vec<String> {
    let http = capabilities.http.iter().map(|host| format!("HTTP requests to {host}"));
    let directories = capabilities.directories.iter().map(|wanted| {
        let mode = if wanted.writable { "read and write" } else { "read" };
        format!("directory {} as {}, to {mode}", wanted.host.display(), wanted.guest)
    });
    let environment = capabilities.environment.iter().map(|name| format!("environment variable {name}"));
    http.chain(directories).chain(environment).collect()
}

fn limits_json(limits: &Limits) -> Value {
    json!({
        "memory": limits.memory,
        "table": limits.table_elements,
        "tensor_memory": limits.tensor_memory,
        "output": limits.output,
        "deadline_ms": limits.deadline.as_millis() as u64,
    })
}

fn limits_text(limits: &Limits) -> Vec<String> {
    vec![
        format!("memory {}, table {} elements", size_text(limits.memory), limits.table_elements),
        format!("tensors {}, output {}", size_text(limits.tensor_memory), size_text(limits.output)),
        format!("deadline {:?}", limits.deadline),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_below_their_output_and_steer_no_terminal() {
        let mut few = TensorSpec::new("scores", samara_nn::Datatype::Fp32, [-1, 3]);
        few.labels = ["pale", "a\nb", "\u{1b}[2J"].map(str::to_owned).to_vec();
        let mut many = TensorSpec::new("more", samara_nn::Datatype::Fp32, [-1, 12]);
        many.labels = (0..12).map(|label| label.to_string()).collect();
        assert_eq!(
            specs_text("outputs", &[few.clone(), many.clone()]),
            format!(
                "  outputs\n    scores  FP32[-1,3]\n      {DIM}labels: pale, a\\nb, \\u{{1b}}[2J{DIM:#}\n    \
                 more    FP32[-1,12]\n      {DIM}labels: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … and 2 more{DIM:#}\n"
            )
        );
        let json =
            signature_json(&Signature { inputs: Vec::new(), outputs: vec![few.clone(), many.clone()] });
        assert_eq!(json["outputs"][0]["labels"], json!(few.labels));
        assert_eq!(json["outputs"][1]["labels"], json!(many.labels));
        let bare = TensorSpec::new("x", samara_nn::Datatype::Fp32, [1]);
        let json = signature_json(&Signature { inputs: vec![bare], outputs: Vec::new() });
        assert!(json["inputs"][0].get("labels").is_none());
    }

    #[test]
    fn imports_are_grouped_by_package() {
        let imports =
            ["wasi:io/poll@0.2.6", "wasi:nn/tensor@0.2.0", "wasi:io/streams@0.2.6", "acme:db/query"];
        assert_eq!(
            by_package(&imports.map(str::to_owned)),
            ["wasi:io@0.2.6 (poll, streams)", "wasi:nn@0.2.0 (tensor)", "acme:db (query)"]
        );
    }
}
