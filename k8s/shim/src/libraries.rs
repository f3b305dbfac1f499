//! The node's libraries for models. The root of a function has none: what ONNX
//! Runtime needs in turn is loaded before there are containers, and it is itself
//! before a container runs what the node does not trust. What loads drivers of GPUs
//! is there too; drivers come with the devices.

use std::ffi::CStr;
use std::path::PathBuf;

use samara_nn::BackendRegistry;

use crate::image::Image;
use crate::node::Handed;
use crate::settings::Settings;

/// Where the installer of nodes puts it, where [`VARIABLE`] does not say otherwise.
const FOLDER: &str = "/opt/samara/lib";
/// Set where containerd is started.
const VARIABLE: &str = "SAMARA_LIBRARIES";

/// What ONNX Runtime is linked with, beside what this program is. Some are empty
/// since Glibc 2.34, and looked for all the same.
const NEEDED: [&CStr; 4] = [c"libstdc++.so.6", c"librt.so.1", c"libdl.so.2", c"libpthread.so.0"];

/// What loads drivers of GPUs, where the node has it.
const LOADER: &CStr = c"libvulkan.so.1";

const BACKEND: &str = "onnxruntime";

static NODE: Handed = Handed::nothing();

/// Opens the folder, for the containers that will be forked off.
pub(crate) fn open_folder() {
    let folder = std::env::var_os(VARIABLE).map_or_else(|| FOLDER.into(), PathBuf::from);
    if NODE.open(&folder).is_ok() {
        NEEDED.into_iter().for_each(keep);
    }
    keep(LOADER);
}

/// Loads a library of the system's, for good. Whoever needs one that is missing is
/// told so.
fn keep(library: &CStr) {
    // SAFETY: the name is a C string, and the flags are two of those that there are.
    // What runs is the start of the system's own libraries, in a program that has no
    // threads yet.
    unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
}

/// Where a container finds the node's libraries.
pub(crate) fn folder_in_container() -> Option<PathBuf> {
    NODE.path()
}

/// Loads ONNX Runtime where the image's models may need it: later, nothing of the
/// node can be reached.
pub(crate) fn load(registry: &BackendRegistry, image: &Image, settings: &Settings) {
    let may_need = settings.place.backend.as_deref().is_none_or(|backend| backend == BACKEND);
    if NODE.path().is_some()
        && may_need
        && image.manifest().is_some_and(|manifest| !manifest.models.is_empty())
        && let Ok(backend) = registry.named(BACKEND)
    {
        // Whoever needs it is told what is wrong with it.
        let _ = backend.probe();
    }
}

/// Takes the folder away from this container.
pub(crate) fn close_folder() {
    NODE.close();
}
