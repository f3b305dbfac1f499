//! Compiling away from where the code will run: by one process, for others of the
//! same program.

use std::path::Path;

use wasmtime::Engine;

use crate::cache::{self, CodeCache};
use crate::code::Code;
use crate::config;
use crate::error::Result;
use crate::report::Compiled;

/// Compiles components and modules into a code cache that hosts in other processes read.
pub struct Compiler {
    engine: Engine,
    cache: CodeCache,
}

/// A component or module with the machine code that a [`Host`](crate::Host) runs it by.
/// Clones share it.
#[derive(Clone)]
pub struct CompiledCode(Code);

impl Compiler {
    /// Compiles into `folder`, which everybody may read and only this user writes
    /// to.
    ///
    /// # Errors
    /// When the machine does not grant the address space for it.
    pub fn new(folder: &Path) -> Result<Self> {
        let engine = config::engine(1)?;
        let cache = CodeCache::new(folder, &engine).shared();
        Ok(Self { engine, cache })
    }

    /// Compiles a component or a module, unless it is there.
    ///
    /// # Errors
    /// When the bytes are neither or do not compile. The string says why
    /// the code could not be kept, if it could not.
    pub fn compile(&self, function: &str, wasm: &[u8]) -> Result<(Compiled, Option<String>)> {
        let loaded = cache::load(function, &self.engine, Some(&self.cache), wasm)?;
        Ok((loaded.compiled, loaded.warning))
    }
}

impl CompiledCode {
    pub(crate) fn new(code: Code) -> Self {
        Self(code)
    }

    /// `None` where another host made it.
    pub(crate) fn of(&self, engine: &Engine) -> Option<&Code> {
        Engine::same(self.0.engine(), engine).then_some(&self.0)
    }
}

impl std::fmt::Debug for CompiledCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledCode").finish_non_exhaustive()
    }
}
