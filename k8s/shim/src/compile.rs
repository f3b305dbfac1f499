//! Code that is compiled once per node, by the shims, and mapped by every
//! container that runs it.

use std::fs::{File, OpenOptions};
use std::hash::Hash;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use containerd_shim_wasm::sandbox::context::WasmLayer;
use containerd_shim_wasm::shim::Compiler;

use crate::node;

/// The folder of compiled code, open since before this program was a container:
/// the container's own root does not have it.
static FOLDER: Mutex<Option<File>> = Mutex::new(None);

/// Opens the node's folder of code, for the containers that will be forked off.
/// Without one, they compile for themselves.
pub(crate) fn open_folder() {
    let open = || -> Result<File> {
        let folder = node::code();
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&folder)?;
        // Nothing can be read or written by it; it is a place to start from.
        Ok(OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(&folder)?)
    };
    *FOLDER.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = open().ok();
}

/// Where a container finds the node's code, until [`close_folder`].
pub(crate) fn folder_in_container() -> Option<PathBuf> {
    let folder = FOLDER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    folder.as_ref().map(|folder| PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())))
}

/// Takes the node's folder away from this container: before it runs what the node
/// does not trust.
pub(crate) fn close_folder() {
    *FOLDER.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
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
