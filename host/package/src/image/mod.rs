//! The image that carries a function: an OCI image whose configuration is of
//! architecture `wasm`.
//!
//! Three forms are written and read:
//! - mixed: one `application/wasm` layer per component in stage order, one
//!   uncompressed tar per model and per file that models keep weights in, and one
//!   with `samara.toml` and the files of tests; `rootfs.diff_ids` lists the tars
//!   only;
//! - tar: the same with components in tars too, for containerd 1.6;
//! - Wasm artifact: one component alone, as the CNCF's TAG Runtime describes
//!   it (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>).
//!
//! Because the tars are not compressed, a model is a slice of the store's
//! mapped blob: nothing is unpacked. Where another tool compressed a layer, it
//! is decompressed once into the store.

mod data;
mod documents;
mod error;
pub(crate) mod fuzzing;
mod layers;
mod open;
mod pack;
mod parts;
mod plan;
mod source;
mod tar_read;
#[cfg(test)]
mod tar_tests;
mod tar_write;
mod tree;

pub use data::DataFile;
pub use error::{Error, ErrorKind};
pub use open::{Component, Image, Layer, ModelFile};
pub use pack::{Packed, pack};
pub use source::{About, Content, Form, Interface, ModelContent, ModelSource, Source};

pub(crate) use documents::{document, layer_blob, open_manifest, parse_document};
pub(crate) use error::write as write_error;
pub(crate) use layers::{Compression, unpacked};
pub(crate) use parts::model_file;
pub(crate) use source::image_path;
pub(crate) use tar_read::normal_path;
pub(crate) use tar_write::copy;
pub(crate) use tree::FileTree;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The label with the text of `samara.toml`. An annotation of the manifest
/// where the text is too long for a label, and in Wasm artifacts.
pub const MANIFEST_KEY: &str = "dev.samara.manifest";
/// The label, or annotation, with a JSON object from models' names to their
/// paths.
pub const MODELS_LABEL: &str = "dev.samara.models";
/// The annotation of a layer with the names of the models that it is, joined
/// by commas.
pub const MODEL_KEY: &str = "dev.samara.model";
/// The annotation of a layer with the names of the models that keep weights in
/// it, joined by commas.
pub const DATA_KEY: &str = "dev.samara.model-data";

/// Annotations of the OCI image specification.
pub const TITLE: &str = "org.opencontainers.image.title";
pub const VERSION: &str = "org.opencontainers.image.version";
pub const SOURCE: &str = "org.opencontainers.image.source";
pub const LICENSES: &str = "org.opencontainers.image.licenses";
pub const CREATED: &str = "org.opencontainers.image.created";

/// What every WebAssembly module and component begins with.
const WASM_MAGIC: &[u8] = b"\0asm";

/// How much an image may make of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that all compressed layers together may unpack to.
    pub unpacked: u64,
    /// Files and folders in all layers together.
    pub files: usize,
}

impl Default for Limits {
    /// 16 GiB and 65,536 files.
    fn default() -> Self {
        Self { unpacked: 16 << 30, files: 65_536 }
    }
}

pub(crate) fn check_wasm(name: &str, bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(WASM_MAGIC) {
        return Ok(());
    }
    let found = match bytes.get(..WASM_MAGIC.len()) {
        Some(head) => format!("`{}`", head.escape_ascii()),
        None => format!("{} bytes", bytes.len()),
    };
    Err(Error::NotWasm { name: name.to_owned(), found })
}
