//! What cosign signs: a JSON document of Red Hat's [simple signing] that names
//! the digest of an image.
//!
//! [simple signing]: https://github.com/containers/image/blob/main/docs/containers-signature.5.md

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::reference::Reference;
use crate::text::tame;

/// Says that the document is about an image, and that cosign's rules hold.
const KIND: &str = "cosign container image signature";

/// The document. What `critical` holds must all be understood; `optional` is
/// for people.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: Digest,
}

impl Payload {
    /// The document for an image. As cosign does, it names the repository and
    /// no tag, which may move.
    pub(super) fn new(reference: &Reference, digest: &Digest) -> Self {
        Self {
            critical: Critical {
                identity: Identity { docker_reference: reference.name() },
                image: Image { docker_manifest_digest: *digest },
                kind: KIND.to_owned(),
            },
            optional: None,
        }
    }

    /// Reads a document and makes sure that it is about the image `digest`.
    ///
    /// # Errors
    /// The reason why it is not.
    pub(super) fn parse(bytes: &[u8], digest: &Digest) -> Result<Self, String> {
        let payload: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("its document is damaged: {}", tame(&error.to_string())))?;
        let Critical { image, kind, .. } = &payload.critical;
        if payload.reference().contains(char::is_control) {
            return Err("its document names no repository".to_owned());
        }
        if kind != KIND {
            return Err("its document is of another kind".to_owned());
        }
        if image.docker_manifest_digest != *digest {
            return Err(format!("it is for another image, {}", image.docker_manifest_digest));
        }
        Ok(payload)
    }

    /// The name under which the image was signed.
    pub(super) fn reference(&self) -> &str {
        &self.critical.identity.docker_reference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_cosigns() {
        let digest = Digest::of(b"x");
        let payload = Payload::new(&"r.io:5000/a/b:1".parse().unwrap(), &digest);
        let text = String::from_utf8(crate::spec::to_bytes(&payload)).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"r.io:5000/a/b\"}},\
                 \"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\
                 \"type\":\"cosign container image signature\"}},\"optional\":null}}"
            )
        );
        let read = Payload::parse(text.as_bytes(), &digest).unwrap();
        assert_eq!(read.reference(), "r.io:5000/a/b");
    }

    #[test]
    fn other_documents_are_refused_with_a_reason() {
        let digest = Digest::of(b"x");
        let good =
            String::from_utf8(crate::spec::to_bytes(&Payload::new(&"a".parse().unwrap(), &digest))).unwrap();
        let refused = |text: &str| Payload::parse(text.as_bytes(), &digest).unwrap_err();
        assert!(refused(&good.replace("cosign ", "atomic ")).contains("another kind"));
        assert!(refused(&good.replace(&digest.hex(), &Digest::of(b"y").hex())).contains("another image"));
        assert!(refused(&good.replace("sha256:", "sha512:")).contains("no digest"));
        assert!(refused(&good.replace("\"image\"", "\"Image\"")).contains("unknown field"));
        assert!(refused(&good.replace("\"type\"", "\"more\":1,\"type\"")).contains("unknown field"));
        // Of two that contradict each other, readers differ in which holds.
        let twice = "\"type\":\"x\",\"type\"";
        assert!(refused(&good.replace("\"type\"", twice)).contains("duplicate field"));
        assert!(refused(&good.replace("\"type\"", "\"\\u001b\":1,\"type\"")).contains("`\\u{1b}`"));
        assert!(refused(&good.replace("\"a\"", "\"a\\u001b\"")).contains("names no repository"));
        assert!(refused(&good[..good.len() - 1]).contains("damaged"));
        assert!(refused(&format!("{good}{good}")).contains("damaged"));
        assert!(refused(&"[".repeat(100_000)).contains("damaged"));
    }
}
