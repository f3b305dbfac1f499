//! What containerd sees: a shim, named and versioned.

use std::io::Write;

use containerd_shim_wasm::shim::{Cli, Compiler, Config, Shim, Version};

use crate::asked::Asked;
use crate::compile::LayerCompiler;
use crate::container::Container;
use crate::{compile, leftovers, libraries, relay};

/// The only kind of layer that containerd hands over whole: components. Models
/// lie in the container's root, where they are mapped.
const COMPONENT_LAYERS: &[&str] = &["application/wasm"];

struct Samara;

/// Does what containerd asks on the command line, and serves it as a shim.
pub(crate) fn run() {
    let asked = Asked::of_this_program();
    let is_to_serve = match asked.action() {
        // It starts this program again, to serve.
        Some("start") => false,
        // Asked when a shim is gone, and could not clean up itself.
        Some("delete") => {
            leftovers::remove(Samara::name(), &asked);
            false
        }
        _ => {
            compile::open_folder();
            libraries::open_folder();
            if let Err(error) = relay::start(asked) {
                let _ = writeln!(std::io::stderr(), "error: cannot serve containerd: {error}");
                std::process::exit(1);
            }
            true
        }
    };
    // The log is a pipe. To open it takes until containerd reads it, which it does not
    // do while it starts itself and waits for shims to clean up.
    Samara::run(Config { no_setup_logger: !is_to_serve, ..Config::default() });
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
