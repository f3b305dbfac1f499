//! The three kinds of function, told apart by what they export.

use std::fmt;

use wasmtime::component::Component;
use wasmtime::{Engine, ExternType, Module};

use crate::error::{Error, Result};

/// What a component or a module is to samara.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Exports `samara:function/function` or `samara:standalone/model`: tensors in,
    /// tensors out.
    Function,
    /// Exports an HTTP handler.
    Http(Wasi),
    /// Exports `wasi:cli/run`, or is a core module with a `_start`.
    Command(Wasi),
}

/// The generation of WASI that an entry point is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wasi {
    /// Preview 1: a core module.
    V0_1,
    V0_2,
    V0_3,
}

/// What a program of WASI preview 1 is started by.
pub(crate) const START_EXPORT: &str = "_start";

const FUNCTION_EXPORT: &str = "samara:function/function@0.1.0";

/// What a component exports that has its model inside.
pub(crate) const STANDALONE_EXPORT: &str = "samara:standalone/model@0.1.0";

impl Kind {
    /// The words for it in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Function => "a function",
            Kind::Http(_) => "an HTTP function",
            Kind::Command(_) => "a command",
        }
    }

    /// Its name, and the form that it comes in where that is not a component's.
    pub fn detail(self) -> String {
        match self {
            Kind::Command(Wasi::V0_1) => format!("{self} (WASI preview 1 module)"),
            _ => self.to_string(),
        }
    }

    pub(crate) fn of(function: &str, engine: &Engine, component: &Component) -> Result<Self> {
        let exports: Vec<String> =
            component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
        let found = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
        if found(FUNCTION_EXPORT) || found(STANDALONE_EXPORT) {
            Ok(Kind::Function)
        } else if found("wasi:http/handler@0.3.") {
            Ok(Kind::Http(Wasi::V0_3))
        } else if found("wasi:http/incoming-handler@0.2.") {
            Ok(Kind::Http(Wasi::V0_2))
        } else if found("wasi:cli/run@0.3.") {
            Ok(Kind::Command(Wasi::V0_3))
        } else if found("wasi:cli/run@0.2.") {
            Ok(Kind::Command(Wasi::V0_2))
        } else {
            Err(Error::UnknownWorld { function: function.to_owned(), exports })
        }
    }

    pub(crate) fn of_module(function: &str, module: &Module) -> Result<Self> {
        let starts = match module.get_export(START_EXPORT) {
            Some(ExternType::Func(start)) => start.params().len() == 0 && start.results().len() == 0,
            _ => false,
        };
        if starts {
            return Ok(Kind::Command(Wasi::V0_1));
        }
        let exports = module.exports().map(|export| export.name().escape_debug().to_string()).collect();
        Err(Error::NotAProgram { function: function.to_owned(), exports })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Function => "function",
            Kind::Http(_) => "http",
            Kind::Command(_) => "command",
        })
    }
}
