//! Images as one file, for machines that no registry reaches: a tar of an
//! [OCI image layout], as containerd, Docker, podman and skopeo read and
//! write it.
//!
//! [OCI image layout]: https://specs.opencontainers.org/image-spec/image-layout/

mod error;
mod load;
mod save;

pub use error::{Error, ErrorKind};
pub use load::{Loaded, load};
pub use save::save;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT_VERSION: &str = "1.0.0";
const INDEX_FILE: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";

/// The tag of an image; some tools write the whole name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name of an image, as containerd and Docker write it.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// What a manifest refers to that does not say so itself, such as cosign's.
const SUBJECT: &str = "dev.samara.subject";

/// What the file `oci-layout` says.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutVersion {
    image_layout_version: String,
}
