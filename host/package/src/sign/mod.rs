//! Whose an image is: signatures by key, in [cosign]'s format.
//!
//! A signature is ECDSA P-256 over a small document that names the image's
//! digest. It is kept in both forms that cosign knows: as a layer of the
//! manifest that registries keep under the tag `sha256-<hex>.sig`, and as an
//! OCI 1.1 referrer of the image. Either one is enough to verify.
//!
//! Only the digest is held against the image: the name in a signed document is
//! where it was signed for, and an image keeps its signatures when it is
//! mirrored under another name.
//!
//! [cosign]: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md

mod envelope;
mod error;
pub(crate) mod fuzzing;
mod key;
mod payload;
mod policy;
mod stored;
mod verify;

pub use error::{Error, ErrorKind};
pub use key::{Password, PrivateKey, PublicKey};
pub use policy::{Policy, PolicyDecision, Signer};
pub(crate) use stored::tag_manifest;
pub use stored::{Ignored, Signature, Signatures, Signed, is_signature, sign, signatures, tag};
pub use verify::{Verified, verify};

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;
