//! `samara build`: runs the manifest's build command, and compiles what it made
//! for this machine.

use anyhow::Result;
use bytes::Bytes;

use crate::args::BuildArgs;
use crate::compose;
use crate::error::Outcome;
use crate::input::read_bytes;
use crate::printer::Printer;
use crate::project::Project;
use crate::settings::Settings;

pub(crate) fn run(args: &BuildArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let project = Project::open(&args.dir)?;
    project.build(printer)?;
    compile(&project, settings, printer)?;
    let components: Vec<String> = project
        .manifest
        .components()
        .iter()
        .map(|component| project.path(component).display().to_string())
        .collect();
    if printer.is_json() {
        let name = &project.manifest.function.name;
        printer.json(&serde_json::json!({ "function": name, "components": components }))?;
    } else {
        for component in &components {
            printer.step("Built", component);
        }
    }
    Ok(Outcome::Done)
}

/// Compiles the components into the code cache: with an interpreter inside that
/// takes seconds, which no first request is to wait for.
fn compile(project: &Project, settings: &Settings, printer: &Printer) -> Result<()> {
    let read = |component: &std::path::Path| {
        let path = project.path(component);
        Ok((path.display().to_string(), Bytes::from(read_bytes(&path)?)))
    };
    let components: Vec<_> = project.manifest.components().into_iter().map(read).collect::<Result<_>>()?;
    let _spinner = printer.spinner("compiling for this machine");
    compose::precompile(settings, components.iter().map(|(name, bytes)| (name.clone(), bytes)))
}
