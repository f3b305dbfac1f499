//! One row of a sweep: what a pod of an indexed Job runs.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use samara_compose::sweep::{INDEX_VARIABLE, Row, Trials, index_of_pod, point};
use samara_engine::{Function, Grants, Host, Kind};
use samara_nn::NamedTensor;
use samara_package::Sweep;
use samara_protocol::json::parse_request;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::{self, TERMINATED};
use crate::image::Image;
use crate::limits::Memory;
use crate::serve;
use crate::settings::Settings;

/// What a container has to run its row with.
pub(crate) struct Container<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) host: &'a Host,
    pub(crate) image: &'a Image,
    pub(crate) settings: &'a Settings,
    pub(crate) memory: &'a Memory,
    pub(crate) arguments: &'a [String],
    pub(crate) environment: &'a [(String, String)],
}

/// Runs the point of the pod's index and prints its row. Gives the exit code: 0
/// where the row has a result.
///
/// # Errors
/// When the sweep is none of this function's, or has no such point.
pub(crate) fn run(container: &Container<'_>, file: &Path) -> Result<i32> {
    let mut sweep = Sweep::load(file).context("cannot use the sweep of `SAMARA_SWEEP`")?;
    let index = container.environment.iter().find(|(name, _)| name == INDEX_VARIABLE);
    let index = index_of_pod(index.map(|(_, value)| value.as_str()))?;
    point(&sweep, index)?;
    let given = given(&sweep, file)?;
    let function = container.load(&sweep)?;
    if let Kind::Command(_) = function.kind() {
        // What the container is told stands before what every run is told.
        sweep.arguments.splice(..0, container.arguments.iter().skip(1).cloned());
    }
    let trials = Trials::new(function, sweep, given)
        .with_context(|| format!("cannot use the sweep `{}`", file.display()))?;
    container.runtime.block_on(until_told(&trials, index))
}

async fn until_told(trials: &Trials, index: usize) -> Result<i32> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        row = trials.run(index) => print(&row?),
        _ = terminate.recv() => Ok(TERMINATED),
        _ = interrupt.recv() => Ok(TERMINATED),
    }
}

fn print(row: &Row) -> Result<i32> {
    writeln!(std::io::stdout(), "{}", row.line()).context("cannot write the row to standard output")?;
    Ok(i32::from(!row.is_good()))
}

/// The inputs that are the same in every row.
fn given(sweep: &Sweep, file: &Path) -> Result<Vec<NamedTensor>> {
    let Some(inputs) = &sweep.inputs else { return Ok(Vec::new()) };
    let path = file.parent().unwrap_or(Path::new("/")).join(inputs);
    let failed = || {
        format!(
            "cannot use the inputs `{}`\nhint: in a container they are a request of the Open Inference Protocol",
            path.display()
        )
    };
    let text = std::fs::read_to_string(&path).with_context(failed)?;
    Ok(parse_request(&text).with_context(failed)?.inputs)
}

impl Container<'_> {
    /// Loads the function with what its kind is granted.
    fn load(&self, sweep: &Sweep) -> Result<Function> {
        let requested = self.image.manifest().map(|manifest| &manifest.capabilities);
        let function = self.load_with(sweep, serve::grants(requested, self.environment, self.settings))?;
        match function.kind() {
            Kind::Command(_) => self.load_with(sweep, command::grants(self.environment, self.settings)),
            _ => Ok(function),
        }
    }

    fn load_with(&self, sweep: &Sweep, grants: Grants) -> Result<Function> {
        let mut source = self.image.source(self.settings, grants)?;
        let models = source.models.values().map(|model| model.source.bytes.len() as u64).sum();
        self.memory.bound(&mut source.limits, models);
        // The sweep knows better than the manifest how long its points take.
        source.limits.deadline = sweep.timeout.unwrap_or(source.limits.deadline);
        Ok(self.runtime.block_on(Function::load(self.host, source))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_a_request_beside_the_sweep() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sweep.toml");
        let text = "function = \".\"\ninputs = \"in.json\"\n[parameters]\nx = 1\n";
        let sweep = Sweep::parse(text, &file).unwrap();
        let said = format!("{:#}", given(&sweep, &file).unwrap_err());
        assert!(said.contains("in.json`\nhint: in a container"), "{said}");
        let request = r#"{"inputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[0.5]}]}"#;
        std::fs::write(folder.path().join("in.json"), request).unwrap();
        assert_eq!(given(&sweep, &file).unwrap()[0].0, "y");
    }
}
