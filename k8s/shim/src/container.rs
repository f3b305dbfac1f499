//! One container: from what it was created with to its exit code. All of this
//! runs in the container's own process.

use std::path::Path;

use anyhow::{Context, Result};
use containerd_shim_wasm::sandbox::Sandbox;
use containerd_shim_wasm::sandbox::context::{RuntimeContext, Source, WasmLayer};
use samara_engine::{Function, Kind};
use tokio::runtime::Runtime;

use crate::image::Image;
use crate::limits::Memory;
use crate::settings::Settings;
use crate::{command, compile, failure, host, libraries, logs, serve, sweep};

/// A container that is no Linux program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Container;

impl Sandbox for Container {
    /// Whatever is no Linux program is taken: what cannot be run is told by
    /// the container itself, in its log and its termination message, which is
    /// more than containerd would pass on of a refusal.
    async fn can_handle(&self, _context: &impl RuntimeContext) -> Result<()> {
        Ok(())
    }

    async fn run_wasi(&self, context: &impl RuntimeContext) -> Result<i32> {
        let asked = Asked::of(context);
        // The runtime that calls this was made before this process was forked
        // off, so that its threads are not here.
        let run = std::thread::Builder::new().name("samara".to_owned()).spawn(move || asked.run());
        match run.context("cannot start a thread")?.join() {
            Ok(code) => Ok(code),
            Err(_) => Ok(failure::end(&anyhow::anyhow!("the host itself failed; its log says where"))),
        }
    }
}

/// What the container was created with.
struct Asked {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    layers: Vec<WasmLayer>,
}

impl Asked {
    fn of(context: &impl RuntimeContext) -> Self {
        let variable = |text: &String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let layers = match context.entrypoint().source {
            Source::Oci(layers) => layers.to_vec(),
            Source::File(_) => Vec::new(),
        };
        Self {
            arguments: context.args().to_vec(),
            environment: context.envs().iter().filter_map(variable).collect(),
            layers,
        }
    }

    /// Runs it to its end and gives the exit code.
    fn run(self) -> i32 {
        self.try_run().unwrap_or_else(|error| failure::end(&error))
    }

    fn try_run(self) -> Result<i32> {
        let settings = Settings::read(&self.environment)?;
        logs::init(&settings)?;
        let entrypoint = self.arguments.first().map(String::as_str);
        let mut image = Image::open(Path::new("/"), entrypoint, self.layers)?;
        let memory = Memory::of_this_container();
        memory.check(&image, &settings)?;
        let host = host::start(&settings, &image)?;
        image.compile(&host)?;
        compile::close_folder();
        libraries::close_folder();
        let runtime = runtime()?;
        if let Some(file) = &settings.sweep {
            let container = sweep::Container {
                runtime: &runtime,
                host: &host,
                image: &image,
                settings: &settings,
                memory: &memory,
                arguments: &self.arguments,
                environment: &self.environment,
            };
            return sweep::run(&container, &Path::new("/").join(file));
        }
        // What a component is shows once it is loaded. It is loaded with what a function
        // is granted: one that describes itself runs meanwhile. It stays, so that its
        // models are there when it is loaded again.
        let mut probe = None;
        if image.may_be_command() {
            let requested = image.manifest().map(|manifest| &manifest.capabilities);
            let grants = serve::grants(requested, &self.environment, &settings);
            let function = runtime.block_on(Function::load(&host, image.source(&settings, grants)?))?;
            if let Kind::Command(_) = function.kind() {
                let source = image.source(&settings, command::grants(&self.environment, &settings))?;
                let command = runtime.block_on(Function::load(&host, source))?;
                return command::run(&runtime, &command, &self.arguments);
            }
            probe = Some(function);
        }
        let code = serve::serve(&runtime, host, image, &settings, memory, &self.environment);
        drop(probe);
        code
    }
}

/// Two threads at least: one that answers while another one starts a guest.
fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(samara_compose::threads().max(2))
        .thread_name("samara")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
