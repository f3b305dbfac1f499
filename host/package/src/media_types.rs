//! The media types that images, signatures and models are made of.

/// An image manifest, [OCI image specification 1.1].
///
/// [OCI image specification 1.1]: https://specs.opencontainers.org/image-spec/manifest/
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A list of manifests.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of an image with a file system.
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The configuration that says nothing: the two bytes `{}`.
pub const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";
/// Docker's image manifest, as some registries still give it.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's list of manifests.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's configuration of an image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// A WebAssembly component or module, the bytes as they are.
pub const WASM: &str = "application/wasm";
/// The configuration of a Wasm artifact, [CNCF TAG Runtime].
///
/// [CNCF TAG Runtime]: https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// A layer of files, uncompressed.
pub const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
/// The same, as other tools recompress it.
pub const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const TAR_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker's names for the same three.
pub const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub const DOCKER_TAR_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const DOCKER_TAR_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// What cosign signs: a JSON document that names a digest.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The artifact type of cosign's signatures that are OCI 1.1 referrers.
pub const COSIGN_SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// A bill of materials in CycloneDX's JSON.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// A bill of materials in SPDX's JSON.
pub const SPDX: &str = "application/spdx+json";

/// What every type of the CNCF's ModelPack begins with.
pub const MODEL_PACK: &str = "application/vnd.cncf.model.";
