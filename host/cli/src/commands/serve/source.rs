//! Where a server's functions come from: whatever the command line names, read
//! again each time it is loaded.

use std::sync::Arc;

use anyhow::Result;
use samara_package::manifest;
use samara_server::{FunctionConfig, Loadable, Source, TestCase};

use crate::args::{GrantArgs, ModelArg, PlaceArgs, RegistryArgs};
use crate::error::explain;
use crate::images::Images;
use crate::input;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::what::What;

/// Reads functions by the settings of the process.
pub(super) struct CommandLineSource {
    pub(super) settings: Settings,
    pub(super) printer: Printer,
    pub(super) registry: RegistryArgs,
    pub(super) place: PlaceArgs,
    pub(super) grants: GrantArgs,
    pub(super) models: Vec<ModelArg>,
}

impl Source for CommandLineSource {
    fn open(&self, function: &FunctionConfig) -> Result<Loadable, String> {
        self.read(function).map_err(|error| {
            let (lines, hints) = explain(&error);
            let hints = hints.iter().map(|hint| format!("\nhint: {hint}"));
            lines.join(": ") + &hints.collect::<String>()
        })
    }
}

impl CommandLineSource {
    fn read(&self, function: &FunctionConfig) -> Result<Loadable> {
        let images = Images::new(&self.settings, &self.registry, &self.printer);
        let what = What::find(&function.what, &images)?;
        if let What::Project(project) = &what {
            project.ensure_built(&self.printer)?;
        }
        let models = if matches!(what, What::Component(_)) { self.models.as_slice() } else { &[] };
        let place = super::file::place(&self.place, function)?;
        let grants = super::file::grants(&self.grants, function)?;
        let source = what.source(models, &place, &grants, &images)?;
        if let Some(manifest) = what.manifest() {
            let missing = &manifest.capabilities;
            crate::grants::tell_missing(missing, what.folder(), &source.grants, &source.name, &self.printer);
        }
        let digest = match &what {
            What::Packed(packed) => packed.image().map(|image| image.digest().to_string()),
            _ => None,
        };
        let manifest = what.manifest();
        let version = manifest.map_or("", |manifest| &manifest.function.version).to_owned();
        let description = manifest.and_then(|manifest| manifest.function.description.clone());
        let labels = manifest.map(|manifest| manifest.labels.clone()).unwrap_or_default();
        Ok(Loadable { source, version, digest, description, tests: tests(what), labels })
    }
}

/// The tests of a function, which keep it in reach for their files.
fn tests(what: What) -> Vec<TestCase> {
    let what = Arc::new(what);
    let case = |test: &manifest::TestCase| {
        let (what, path) = (Arc::clone(&what), test.inputs.clone());
        TestCase {
            name: test.name.clone(),
            inputs: Arc::new(move |signature| {
                let read = what.test_file(&path).and_then(|path| input::from_file(&path, signature));
                read.map(|request| request.inputs).map_err(|error| format!("{error:#}"))
            }),
        }
    };
    what.tests().iter().map(case).collect()
}
