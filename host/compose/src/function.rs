//! Functions: the stages that a manifest names, and the terms that it sets.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use samara_engine::{Limits, Reuse, StageSource};
use samara_package::Manifest;
use samara_package::manifest::{self, StageRun};

/// Makes a stage of a name, of the component at a path in the function, with
/// tensors renamed.
pub type MakeComponent<'m, E> = dyn Fn(&str, &Path, BTreeMap<String, String>) -> Result<StageSource, E> + 'm;

/// The stages of a manifest.
///
/// # Errors
/// What `component` gives.
pub fn stages<E>(manifest: &Manifest, component: &MakeComponent<'_, E>) -> Result<Vec<StageSource>, E> {
    if let Some(path) = &manifest.function.component {
        return Ok(vec![component(&manifest.function.name, path, BTreeMap::new())?]);
    }
    if manifest.stages.is_empty() {
        return Ok(manifest.models.keys().map(|name| model_stage(name)).collect());
    }
    let stage = |stage: &manifest::Stage| match &stage.run {
        StageRun::Component(path) => component(&stage.name, path, stage.rename.clone()),
        StageRun::Model(model) => Ok(StageSource::Model {
            name: stage.name.clone(),
            model: model.clone(),
            rename: stage.rename.clone(),
        }),
    };
    manifest.stages.iter().map(stage).collect()
}

/// A component as a stage.
pub fn component(name: &str, bytes: Bytes, rename: BTreeMap<String, String>) -> StageSource {
    StageSource::Component { name: name.to_owned(), bytes, rename }
}

/// A model as a stage of the same name.
pub fn model_stage(name: &str) -> StageSource {
    StageSource::Model { name: name.to_owned(), model: name.to_owned(), rename: BTreeMap::new() }
}

/// What one instance may use.
pub fn limits(limits: &manifest::Limits) -> Limits {
    Limits {
        memory: limits.memory,
        table_elements: usize::try_from(limits.table).unwrap_or(usize::MAX),
        tensor_memory: limits.tensor_memory,
        output: limits.output,
        deadline: limits.deadline,
    }
}

/// Whether instances serve more than one call.
pub fn reuse(manifest: &Manifest) -> Reuse {
    match manifest.function.reuse {
        None => Reuse::Never,
        Some(reuse) => Reuse::Calls(u32::try_from(reuse.calls).unwrap_or(u32::MAX)),
    }
}
