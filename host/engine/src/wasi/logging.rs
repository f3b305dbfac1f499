//! `wasi:logging`: a guest's messages with a level, beside what it prints.

use wasmtime::component::{HasSelf, Linker};

use crate::instance::InstanceState;
use crate::output::Level;

mod generated {
    wasmtime::component::bindgen!({
        inline: "
            package samara:logging-host;
            world imports { import wasi:logging/logging@0.1.0-draft; }
        ",
        path: "../../guest-sdk/wit/deps/wasi-logging",
        world: "samara:logging-host/imports",
    });
}

use generated::wasi::logging::logging;

/// The version of `wasi:logging` that this host has.
pub(crate) const VERSION: &str = "0.1.0-draft";

pub(crate) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    logging::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)
}

impl logging::Host for InstanceState {
    fn log(&mut self, level: logging::Level, context: String, message: String) {
        self.voice.log(named(level), &context, &message);
    }
}

fn named(level: logging::Level) -> Level {
    match level {
        logging::Level::Trace => Level::Trace,
        logging::Level::Debug => Level::Debug,
        logging::Level::Info => Level::Info,
        logging::Level::Warn => Level::Warn,
        logging::Level::Error => Level::Error,
        logging::Level::Critical => Level::Critical,
    }
}
