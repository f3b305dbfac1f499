//! Where samara keeps what it has for its user: images, compiled code, and
//! libraries that it looks for.

use std::path::{Path, PathBuf};

/// The local store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The store in the user's data directory, where there is one.
    pub(crate) fn of_user() -> Option<Self> {
        dirs::data_local_dir().map(|data| Self { root: data.join("samara") })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The images.
    pub(crate) fn images(&self) -> samara_package::Store {
        samara_package::Store::at(self.root.clone())
    }

    /// Compiled code.
    pub(crate) fn code(&self) -> PathBuf {
        self.root.join("code")
    }

    /// Shaders as drivers of GPUs compiled them.
    pub(crate) fn shaders(&self) -> PathBuf {
        self.root.join("gpu")
    }

    /// Engines that models are put into by `samara compile --standalone`.
    pub(crate) fn runners(&self) -> PathBuf {
        self.root.join("standalone")
    }

    /// Libraries of engines, such as ONNX Runtime's.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.root.join("lib")
    }
}
