//! `samara build`: runs the manifest's build command.

use anyhow::Result;

use crate::args::BuildArgs;
use crate::error::Outcome;
use crate::printer::Printer;
use crate::project::Project;

pub(crate) fn run(args: &BuildArgs, printer: &Printer) -> Result<Outcome> {
    let project = Project::open(&args.dir)?;
    project.build(printer)?;
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
