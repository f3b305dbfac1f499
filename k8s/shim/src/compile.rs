//! Code that is compiled once per node, by the shims, and mapped by every
//! container that runs it.

use std::fs::File;
use std::hash::Hash;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use containerd_shim_wasm::sandbox::context::WasmLayer;
use containerd_shim_wasm::shim::Compiler;

use crate::node::{self, Handed};

/// The folder of compiled code.
static NODE: Handed = Handed::nothing();

/// Opens the node's folder of code, for the containers that will be forked off.
/// Without one, they compile for themselves.
pub(crate) fn open_folder() {
    let folder = node::code();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&folder);
    let _ = made.and_then(|()| NODE.open(&folder));
}

/// Where a container finds the node's code.
pub(crate) fn folder_in_container() -> Option<PathBuf> {
    NODE.path()
}

/// Takes the folder away from this container.
pub(crate) fn close_folder() {
    NODE.close();
}

/// Compiles layers into the node's folder. containerd keeps nothing of it: its
/// own way to keep compiled layers fails where several shims do so at once.
pub(crate) struct LayerCompiler {
    compiler: Arc<samara_engine::Compiler>,
    lock: PathBuf,
}

impl LayerCompiler {
    pub(crate) fn new() -> Result<Self> {
        let folder = node::code();
        let compiler = Arc::new(samara_engine::Compiler::new(&folder)?);
        Ok(Self { compiler, lock: folder.join(".lock") })
    }
}

impl Compiler for LayerCompiler {
    fn cache_key(&self) -> impl Hash {
        "in the node's folder"
    }

    /// A layer that does not compile is left to the container that runs it, which
    /// finds out the same, and tells it where its user looks.
    async fn compile(&self, layers: &[WasmLayer]) -> Result<Vec<Option<Vec<u8>>>> {
        let bytes: Vec<(String, Vec<u8>)> =
            layers.iter().map(|layer| (layer.config.digest().to_string(), layer.layer.clone())).collect();
        let (compiler, lock, count) = (Arc::clone(&self.compiler), self.lock.clone(), layers.len());
        let compiled = tokio::task::spawn_blocking(move || compile_all(&compiler, &lock, &bytes));
        compiled.await.context("the compiler failed")??;
        // The container is handed the layers as they are, and finds their code.
        Ok(vec![None; count])
    }
}

/// One shim at a time: the next one finds what this one made.
fn compile_all(compiler: &samara_engine::Compiler, lock: &Path, layers: &[(String, Vec<u8>)]) -> Result<()> {
    let lock = File::create(lock).with_context(|| format!("cannot write `{}`", lock.display()))?;
    lock.lock().context("cannot lock the node's code")?;
    for (digest, bytes) in layers {
        // What goes wrong is told by the container.
        let _ = compiler.compile(digest, bytes);
    }
    Ok(())
}
