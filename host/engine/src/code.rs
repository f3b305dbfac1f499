//! Compiled code, in either form that WebAssembly comes in.

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::error::{Error, Result};

/// What a file was compiled to. Clones share it.
#[derive(Clone)]
pub(crate) enum Code {
    Component(Component),
    /// A core module: a program of WASI preview 1.
    Module(Module),
}

/// The two forms, told apart by a file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Component,
    Module,
}

impl Form {
    /// Reads the form from a header, and tells apart what people hand over by
    /// mistake before the compiler does.
    ///
    /// # Errors
    /// [`Error::NotAComponent`] with what the bytes are instead.
    pub(crate) fn of(function: &str, bytes: &[u8]) -> Result<Self> {
        const BUILD_HINT: &str = "build it for `wasm32-wasip2`, or give a model to `samara compile`";
        let neither = |found: &str, hint| {
            Err(Error::NotAComponent { function: function.to_owned(), found: found.to_owned(), hint })
        };
        match bytes {
            [] => neither("the file is empty", BUILD_HINT),
            [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(Form::Component),
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(Form::Module),
            [0, b'a', b's', b'm', ..] => {
                neither("it is WebAssembly of a version that this host does not know", BUILD_HINT)
            }
            [0x7f, b'E', b'L', b'F', ..] => {
                neither("it is a native ELF file", "build it for the target `wasm32-wasip2`")
            }
            _ => neither("it does not begin as WebAssembly does", BUILD_HINT),
        }
    }

    /// Compiles to code that can be run right here.
    pub(crate) fn compile(self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Code> {
        match self {
            Form::Component => Component::from_binary(engine, bytes).map(Code::Component),
            Form::Module => Module::from_binary(engine, bytes).map(Code::Module),
        }
    }

    /// Compiles to bytes that can be kept.
    pub(crate) fn precompile(self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        match self {
            Form::Component => engine.precompile_component(bytes),
            Form::Module => engine.precompile_module(bytes),
        }
    }

    /// Takes kept bytes back.
    ///
    /// # Safety
    /// They come from [`precompile`](Self::precompile), unchanged.
    pub(crate) unsafe fn deserialize(self, engine: &Engine, code: &[u8]) -> wasmtime::Result<Code> {
        // SAFETY: the caller vouches for the bytes.
        unsafe {
            match self {
                Form::Component => Component::deserialize(engine, code).map(Code::Component),
                Form::Module => Module::deserialize(engine, code).map(Code::Module),
            }
        }
    }

    /// Maps kept bytes from a file.
    ///
    /// # Safety
    /// They come from [`precompile`](Self::precompile), unchanged, and nobody
    /// changes the file.
    pub(crate) unsafe fn map(self, engine: &Engine, path: &Path) -> wasmtime::Result<Code> {
        // SAFETY: the caller vouches for the file.
        unsafe {
            match self {
                Form::Component => Component::deserialize_file(engine, path).map(Code::Component),
                Form::Module => Module::deserialize_file(engine, path).map(Code::Module),
            }
        }
    }
}

impl Code {
    pub(crate) fn engine(&self) -> &Engine {
        match self {
            Code::Component(component) => component.engine(),
            Code::Module(module) => module.engine(),
        }
    }
}
