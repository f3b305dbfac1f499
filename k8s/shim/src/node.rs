//! What the node keeps for its shims.

use std::path::PathBuf;

/// Where [`FOLDER_VARIABLE`] does not say otherwise.
const FOLDER: &str = "/var/lib/samara";
/// Set where containerd is started.
const FOLDER_VARIABLE: &str = "SAMARA_NODE_FOLDER";

/// Code that is compiled, by version of this program.
pub(crate) fn code() -> PathBuf {
    folder().join("code")
}

/// Images' signatures, and images that somebody brought on a disk.
pub(crate) fn store() -> PathBuf {
    folder().join("store")
}

fn folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE).map_or_else(|| FOLDER.into(), PathBuf::from)
}
