//! What containerd sees: a shim, named and versioned.

use std::path::Path;

use containerd_shim_wasm::shim::{Cli, Compiler, Shim, Version};

use crate::asked::Asked;
use crate::compile::LayerCompiler;
use crate::container::Container;
use crate::{bundle, compile, failure, leftovers, libraries, policy};

/// The only kind of layer that containerd hands over whole: components. Models
/// lie in the container's root, where they are mapped.
const COMPONENT_LAYERS: &[&str] = &["application/wasm"];

struct Samara;

/// Does what containerd asks on the command line, and serves it as a shim.
pub(crate) fn run() {
    let asked = Asked::of_this_program();
    match asked.action() {
        // containerd asks for it in the folder of the container that is to be.
        Some("start") => start(&asked),
        // Asked when a shim is gone, and could not clean up itself.
        Some("delete") => leftovers::remove(Samara::name(), &asked),
        _ => {
            compile::open_folder();
            libraries::open_folder();
        }
    }
    Samara::run(None);
}

fn start(asked: &Asked) {
    let bundle = Path::new(".");
    if let Err(error) = policy::check(bundle, asked) {
        // What is printed becomes containerd's message, and the pod's event.
        std::process::exit(failure::refuse(&error));
    }
    bundle::prepare(bundle);
}

impl Shim for Samara {
    type Sandbox = Container;

    fn name() -> &'static str {
        "samara"
    }

    fn version() -> Version {
        Version { version: env!("CARGO_PKG_VERSION"), revision: "" }
    }

    async fn compiler() -> Option<impl Compiler> {
        // Without one, containers compile for themselves, each time.
        LayerCompiler::new().ok()
    }

    fn supported_layers_types() -> &'static [&'static str] {
        COMPONENT_LAYERS
    }
}
