//! Which of the keys that one trusts signed an image.

use super::Result;
use super::error::Error;
use super::key::PublicKey;
use super::stored::signatures;
use crate::digest::Digest;
use crate::store::Store;
use crate::text::tame;

/// An image that at least one of the keys signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub digest: Digest,
    /// The names of the keys that signed, in the order they were given, each
    /// once.
    pub keys: Vec<Digest>,
    /// The repositories that these signatures name, sorted.
    pub references: Vec<String>,
    /// Further signatures, by none of the keys.
    pub others: usize,
    /// Why further signatures were not looked at.
    pub ignored: Vec<String>,
}

/// Says which of `keys` signed the image.
///
/// # Errors
/// When none did: [`Error::Unsigned`], [`Error::OtherKeys`] or
/// [`Error::Damaged`]; or when the store cannot be read.
pub fn verify(store: &Store, digest: &Digest, keys: &[PublicKey]) -> Result<Verified> {
    verify_named(store, digest, keys, |_| true)
}

/// The same by signatures alone whose name `is_meant`.
pub(super) fn verify_named(
    store: &Store,
    digest: &Digest,
    keys: &[PublicKey],
    is_meant: impl Fn(&str) -> bool,
) -> Result<Verified> {
    let mut signatures = signatures(store, digest)?;
    let mut ignored: Vec<String> = signatures.ignored.into_iter().map(|ignored| ignored.reason).collect();
    signatures.found.retain(|signature| {
        let is_meant = is_meant(&signature.reference);
        if !is_meant {
            ignored.push(format!("it is for another name, `{}`", tame(&signature.reference)));
        }
        is_meant
    });
    let mut verified = Verified {
        digest: *digest,
        keys: Vec::new(),
        references: Vec::new(),
        others: 0,
        ignored: Vec::new(),
    };
    for signature in &signatures.found {
        match keys.iter().find(|key| signature.is_by(key)) {
            Some(key) => {
                verified.keys.push(key.id());
                verified.references.push(signature.reference.clone());
            }
            None => verified.others += 1,
        }
    }
    if verified.keys.is_empty() {
        let digest = *digest;
        return Err(match (verified.others, ignored.is_empty()) {
            (0, true) => Error::Unsigned { digest },
            (0, false) => Error::Damaged { digest, reasons: ignored },
            (others, _) => Error::OtherKeys {
                digest,
                signatures: others,
                keys: keys.iter().map(PublicKey::id).collect(),
                ignored,
            },
        });
    }
    let signed = std::mem::take(&mut verified.keys);
    for id in keys.iter().map(PublicKey::id) {
        if signed.contains(&id) && !verified.keys.contains(&id) {
            verified.keys.push(id);
        }
    }
    verified.references.sort();
    verified.references.dedup();
    Ok(Verified { ignored, ..verified })
}
