//! What each section of the manifest may hold.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::error::{Error, Problem};
use super::reader::{Entry, Section, Source};
use super::values::{
    guest_path, http_host, item_name, model_path, parse_duration, parse_function_name, parse_size,
    path_inside, precision, target, test_name, variable_name, version,
};
use super::{
    Batch, Build, Capabilities, DEFAULT_TOLERANCE, Directory, Function, Limits, Manifest, Model, Reuse,
    Stage, StageRun, TestCase,
};

const DEFAULT_VERSION: &str = "0.1.0";

type Result<T> = std::result::Result<T, Error>;

pub(super) fn parse(text: &str, path: &Path) -> Result<Manifest> {
    let source = Source { text, path };
    let document = source.parse()?;
    let root = Section::root(source, &document, "the manifest");
    root.check_keys(&["function", "build", "model", "stage", "limits", "capabilities", "labels", "test"])?;
    let models = models(&root)?;
    let manifest = Manifest {
        function: function(
            &root.need("function", "a table with the function's name")?.section("`[function]`")?,
        )?,
        build: root.section("build", "`[build]`")?.map(|section| build(&section)).transpose()?,
        stages: stages(&root, &models)?,
        limits: root
            .section("limits", "`[limits]`")?
            .map_or(Ok(Limits::DEFAULT), |section| limits(&section))?,
        capabilities: root
            .section("capabilities", "`[capabilities]`")?
            .map_or(Ok(Capabilities::default()), |section| capabilities(&section))?,
        labels: labels(&root)?,
        tests: tests(&root)?,
        models,
    };
    check_shape(&root, &manifest)?;
    Ok(manifest)
}

fn function(section: &Section<'_>) -> Result<Function> {
    section.check_keys(&["name", "version", "description", "component", "reuse"])?;
    Ok(Function {
        name: section.need("name", "what the function is called")?.parsed(parse_function_name)?,
        version: match section.get("version") {
            Some(entry) => entry.parsed(version)?,
            None => DEFAULT_VERSION.to_owned(),
        },
        description: section.get("description").map(|entry| entry.text()).transpose()?.map(str::to_owned),
        component: section.get("component").map(|entry| entry.parsed(path_inside)).transpose()?,
        reuse: section.section("reuse", "`[function] reuse`")?.map(|section| reuse(&section)).transpose()?,
    })
}

fn reuse(section: &Section<'_>) -> Result<Reuse> {
    section.check_keys(&["calls"])?;
    Ok(Reuse { calls: section.need("calls", "after how many calls an instance is replaced")?.count()? })
}

fn build(section: &Section<'_>) -> Result<Build> {
    section.check_keys(&["command"])?;
    let command = section.need("command", "what builds the function's components")?;
    Ok(Build { command: command.text()?.to_owned() })
}

fn labels(root: &Section<'_>) -> Result<BTreeMap<String, Vec<String>>> {
    let Some(section) = root.section("labels", "`[labels]`")? else { return Ok(BTreeMap::new()) };
    let word = |entry: &Entry<'_>| entry.string().map(str::to_owned);
    let words =
        |entry: Entry<'_>| Ok((entry.key.clone(), entry.items()?.iter().map(word).collect::<Result<_>>()?));
    section.entries().into_iter().map(words).collect()
}

fn models(root: &Section<'_>) -> Result<BTreeMap<String, Model>> {
    let Some(section) = root.section("model", "`[model]`")? else {
        return Ok(BTreeMap::new());
    };
    let named = |entry: Entry<'_>| {
        let name = item_name(&entry.key).map_err(|reason| {
            let (key, value) = ("model".to_owned(), format!("\"{}\"", entry.key));
            entry.error(Problem::BadValue { key, value, reason })
        })?;
        let model = model(&entry.section(&format!("`[model.{name}]`"))?)?;
        Ok((name, model))
    };
    section.entries().into_iter().map(named).collect()
}

fn model(section: &Section<'_>) -> Result<Model> {
    section.check_keys(&[
        "path",
        "target",
        "backend",
        "batch",
        "threads",
        "sessions",
        "gpu-memory",
        "precision",
    ])?;
    Ok(Model {
        path: section.need("path", "the model's file")?.parsed(model_path)?,
        target: section.get("target").map_or(Ok("cpu".to_owned()), |entry| entry.parsed(target))?,
        backend: section.get("backend").map_or(Ok("auto".to_owned()), |entry| entry.parsed(item_name))?,
        batch: section.section("batch", "`batch`")?.map(|section| batch(&section)).transpose()?,
        threads: section.get("threads").map(|entry| entry.small_count()).transpose()?,
        sessions: section.get("sessions").map(|entry| entry.small_count()).transpose()?,
        gpu_memory: section.get("gpu-memory").map(|entry| entry.parsed(parse_size)).transpose()?,
        precision: section
            .get("precision")
            .map_or(Ok("exact".to_owned()), |entry| entry.parsed(precision))?,
    })
}

fn batch(section: &Section<'_>) -> Result<Batch> {
    section.check_keys(&["max", "delay"])?;
    Ok(Batch {
        max: section.need("max", "how many rows one run may take")?.small_count()?,
        delay: section.get("delay").map_or(Ok(Duration::ZERO), |entry| entry.parsed(parse_duration))?,
    })
}

fn stages(root: &Section<'_>, models: &BTreeMap<String, Model>) -> Result<Vec<Stage>> {
    let sections = root.sections("stage", "`[[stage]]`")?;
    let mut names = HashSet::new();
    sections
        .iter()
        .map(|section| {
            let stage = stage(section, models)?;
            refuse_double(section, &mut names, "stages", &stage.name)?;
            Ok(stage)
        })
        .collect()
}

fn stage(section: &Section<'_>, models: &BTreeMap<String, Model>) -> Result<Stage> {
    section.check_keys(&["name", "component", "model", "rename"])?;
    let name = section.need("name", "what messages call the stage")?.parsed(item_name)?;
    let run = match (section.get("component"), section.get("model")) {
        (Some(component), None) => StageRun::Component(component.parsed(path_inside)?),
        (None, Some(model)) => StageRun::Model(known_model(&model, models)?),
        (Some(_), Some(model)) => {
            let reason = format!("stage `{name}` has both `component` and `model`; a stage is one of them");
            return Err(model.error(Problem::Conflict { reason }));
        }
        (None, None) => {
            let reason = format!("stage `{name}` needs `component` or `model`");
            return Err(section.error(Problem::Conflict { reason }));
        }
    };
    Ok(Stage { name, run, rename: rename(section)? })
}

fn known_model(entry: &Entry<'_>, models: &BTreeMap<String, Model>) -> Result<String> {
    let name = entry.text()?;
    if models.contains_key(name) {
        return Ok(name.to_owned());
    }
    let known: Vec<String> = models.keys().map(|name| format!("`{name}`")).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(entry.bad(format!("the manifest has no `[model.{name}]`; its models are: {known}")))
}

fn rename(section: &Section<'_>) -> Result<BTreeMap<String, String>> {
    let Some(section) = section.section("rename", "`rename`")? else {
        return Ok(BTreeMap::new());
    };
    section.entries().into_iter().map(|entry| Ok((entry.key.clone(), entry.text()?.to_owned()))).collect()
}

fn limits(section: &Section<'_>) -> Result<Limits> {
    section.check_keys(&["memory", "table", "deadline", "tensor-memory", "output"])?;
    let size =
        |key: &str, default: u64| section.get(key).map_or(Ok(default), |entry| entry.parsed(parse_size));
    let default = Limits::DEFAULT;
    Ok(Limits {
        memory: size("memory", default.memory)?,
        table: section.get("table").map_or(Ok(default.table), |entry| entry.count())?,
        deadline: section
            .get("deadline")
            .map_or(Ok(default.deadline), |entry| entry.parsed(parse_duration))?,
        tensor_memory: size("tensor-memory", default.tensor_memory)?,
        output: size("output", default.output)?,
    })
}

fn capabilities(section: &Section<'_>) -> Result<Capabilities> {
    section.check_keys(&["http", "directories", "environment"])?;
    let strings = |key: &str, parse: fn(&str) -> std::result::Result<String, String>| match section.get(key) {
        Some(entry) => entry.items()?.iter().map(|item| item.parsed(parse)).collect(),
        None => Ok(Vec::new()),
    };
    let directories = section.sections("directories", "`directories`")?;
    Ok(Capabilities {
        http: strings("http", http_host)?,
        directories: directories.iter().map(directory).collect::<Result<_>>()?,
        environment: strings("environment", variable_name)?,
    })
}

fn directory(section: &Section<'_>) -> Result<Directory> {
    section.check_keys(&["host", "guest", "writable"])?;
    Ok(Directory {
        host: section.need("host", "the directory on the machine")?.text()?.into(),
        guest: section.need("guest", "where the function sees the directory")?.parsed(guest_path)?,
        writable: section.get("writable").map_or(Ok(false), |entry| entry.bool())?,
    })
}

fn tests(root: &Section<'_>) -> Result<Vec<TestCase>> {
    let sections = root.sections("test", "`[[test]]`")?;
    let mut names = HashSet::new();
    sections
        .iter()
        .map(|section| {
            let test = test_case(section)?;
            refuse_double(section, &mut names, "tests", &test.name)?;
            Ok(test)
        })
        .collect()
}

fn test_case(section: &Section<'_>) -> Result<TestCase> {
    section.check_keys(&["name", "inputs", "expect", "tolerance"])?;
    Ok(TestCase {
        name: section.need("name", "what the test is called")?.parsed(test_name)?,
        inputs: section.need("inputs", "the file with the request")?.parsed(path_inside)?,
        expect: section.need("expect", "the file with the expected response")?.parsed(path_inside)?,
        tolerance: section.get("tolerance").map_or(Ok(DEFAULT_TOLERANCE), |entry| entry.number())?,
    })
}

fn refuse_double(
    section: &Section<'_>,
    seen: &mut HashSet<String>,
    what: &'static str,
    name: &str,
) -> Result<()> {
    if seen.insert(name.to_owned()) {
        return Ok(());
    }
    Err(section.error(Problem::Duplicate { what, name: name.to_owned() }))
}

/// A function is one component, or its stages, or its only model.
fn check_shape(root: &Section<'_>, manifest: &Manifest) -> Result<()> {
    let function = root.need("function", "a table with the function's name")?.section("`[function]`")?;
    let component = function.get("component");
    let reason = match (component, manifest.stages.is_empty(), manifest.models.len()) {
        (Some(component), false, _) => {
            let reason = "a function has either a `component` or `[[stage]]` entries, not both".to_owned();
            return Err(component.error(Problem::Conflict { reason }));
        }
        (Some(_), true, _) | (None, false, _) | (None, true, 1) => return Ok(()),
        (None, true, 0) => {
            "the function has nothing to run: give it a `component`, `[[stage]]` entries or one `[model.NAME]`"
                .to_owned()
        }
        (None, true, count) => format!(
            "the function has {count} models and nothing that says how to run them: give it a `component` \
             or `[[stage]]` entries"
        ),
    };
    Err(function.error(Problem::Conflict { reason }))
}
