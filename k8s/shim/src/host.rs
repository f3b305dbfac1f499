//! The host of one container: backends, models, sandboxes, within its limits.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use samara_backends::{Preference, RegistryOptions};
use samara_engine::{Host, HostOptions};
use samara_nn::{Compute, Pool};

use crate::image::Image;
use crate::settings::Settings;
use crate::{compile, libraries};

/// How many instances may run at a time where nothing bounds them.
const INSTANCES: u32 = 128;

/// Calls that may wait for a compute thread; the gates let in fewer.
const QUEUE: usize = 8192;

/// Where a container finds the library of ONNX Runtime beside the node's own: a
/// volume, or a layer of its image.
const LIBRARY_FOLDERS: [&str; 2] = ["/opt/samara/lib", "/usr/lib/samara"];

/// Starts it.
///
/// # Errors
/// When the machine has no room for the sandboxes.
pub(crate) fn start(settings: &Settings, image: &Image) -> Result<Host> {
    let own = LIBRARY_FOLDERS.map(PathBuf::from);
    let folders: Vec<PathBuf> = own.into_iter().chain(libraries::folder_in_container()).collect();
    let registry = samara_backends::registry(&RegistryOptions {
        onnxruntime_libraries: samara_compose::onnxruntime_libraries(&folders),
        prefer: Preference::Throughput,
        allow_software_gpu: settings.allow_software_gpu,
        ..RegistryOptions::default()
    });
    libraries::load(&registry, image, settings);
    let threads = settings.threads.unwrap_or_else(samara_compose::threads);
    let models = Arc::new(Pool::new(registry, Arc::new(Compute::new(threads, QUEUE))));
    let code_cache = compile::folder_in_container();
    let instances = instances(settings);
    Ok(Host::new(HostOptions { code_cache, code_cache_read_only: true, models, instances })?)
}

/// Sandboxes that may exist at a time.
fn instances(settings: &Settings) -> u32 {
    settings.concurrency.map_or(INSTANCES, |count| u32::try_from(count).unwrap_or(INSTANCES)).max(1)
}
