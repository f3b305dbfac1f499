//! Keys and what is signed with them, for the fuzzer.

use super::key::PublicKey;
use super::payload::Payload;
use crate::digest::Digest;
use crate::spec::to_bytes;

/// The document that is signed.
///
/// # Panics
/// Where it is not the same when it is written and read again.
pub fn payload(bytes: &[u8]) {
    let digest = Digest::of(b"");
    if let Ok(payload) = Payload::parse(bytes, &digest) {
        let again = Payload::parse(&to_bytes(&payload), &digest);
        assert!(again.is_ok_and(|again| again.reference() == payload.reference()));
    }
}

/// A public key.
///
/// # Panics
/// Where it is not the same when it is written and read again.
pub fn public_key(text: &str) {
    if let Ok(key) = PublicKey::from_pem(text) {
        assert!(PublicKey::from_pem(&key.to_pem()).is_ok_and(|again| again.id() == key.id()));
    }
}
