//! One repository of a registry: its manifests.

use std::sync::Arc;

use ureq::http::Method;

use super::error::{ErrorKind, Failure};
use super::host::Host;
use super::manifests::{ACCEPTED, LONGEST_MANIFEST};
use super::transport::{Answer, Payload, Request};
use super::url::Url;
use crate::digest::Digest;
use crate::media_types;
use crate::reference::Reference;
use crate::spec::Descriptor;
use crate::text::tame;

/// One repository, and what may be done there.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) host: Arc<Host>,
    repository: String,
    /// What a token must allow.
    scope: String,
}

/// A manifest as it came, whose bytes are what its digest says.
pub(super) struct Fetched {
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
}

impl Remote {
    pub(super) fn new(host: Arc<Host>, repository: &str, for_push: bool) -> Self {
        // Docker's own registry keeps what has no owner under `library`.
        let is_hub = host.root.authority() == "registry-1.docker.io";
        let repository = match repository.contains('/') || !is_hub {
            true => repository.to_owned(),
            false => format!("library/{repository}"),
        };
        let actions = if for_push { "pull,push" } else { "pull" };
        let scope = format!("repository:{repository}:{actions}");
        Self { host, repository, scope }
    }

    /// The address of a part of this repository, e.g. `blobs/uploads/`.
    pub(super) fn url(&self, part: &str) -> Result<Url, Failure> {
        self.host.root.with_path(&format!("/v2/{}/{part}", self.repository))
    }

    pub(super) fn ask(&self, request: &Request<'_>, wanted: &[u16]) -> Result<Answer, Failure> {
        self.host.ask(request, &self.scope, wanted)
    }

    pub(super) fn send(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        self.host.send(request, &self.scope)
    }

    /// What a reference stands for.
    pub(super) fn resolve(&self, reference: &Reference) -> Result<Descriptor, Failure> {
        let request = self.manifest_request(Method::HEAD, &named(reference))?;
        let answer = self.ask(&request, &[200, 404, 405])?;
        if answer.status == 404 {
            return Err(self.host.refusal(answer));
        }
        let digest = answer.header("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok());
        let media_type = answer.header("content-type").map(media_type);
        if let (200, Some(digest), Some(media_type), Some(size)) =
            (answer.status, digest, media_type, answer.announced())
            && reference.digest().is_none_or(|asked| *asked == digest)
        {
            return Ok(Descriptor::new(&tame(&media_type), digest, size));
        }
        // A registry that does not say it all is asked for the manifest itself.
        let fetched = self.manifest(&named(reference), reference.digest())?;
        let media_type = super::manifests::media_type_of(&fetched.bytes)?;
        Ok(Descriptor::new(&media_type, fetched.digest, fetched.bytes.len() as u64))
    }

    /// A manifest by tag or digest; an error where there is none.
    pub(super) fn manifest(&self, name: &str, expected: Option<&Digest>) -> Result<Fetched, Failure> {
        let request = self.manifest_request(Method::GET, name)?;
        self.host.patience.persist(|| {
            let answer = self.host.accept(self.send(&request)?, &[200])?;
            read(answer, expected)
        })
    }

    /// A manifest that need not be there. That it is not, only the registry
    /// itself can say, and only about the manifest.
    pub(super) fn manifest_if_any(&self, name: &str) -> Result<Option<Fetched>, Failure> {
        let request = self.manifest_request(Method::GET, name)?;
        self.host.patience.persist(|| {
            let answer = self.send(&request)?;
            if self.is_absent(&answer) {
                return Ok(None);
            }
            read(self.host.accept(answer, &[200])?, None).map(Some)
        })
    }

    /// Whether the registry itself says that something is not there.
    pub(super) fn is_absent(&self, answer: &Answer) -> bool {
        answer.status == 404 && answer.url.same_origin(&self.host.root)
    }

    /// Writes a manifest under a tag or its digest, and gives the answer.
    pub(super) fn put_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Answer, Failure> {
        let digest = Digest::of(bytes);
        let request = Request::new(Method::PUT, self.url(&format!("manifests/{name}"))?)
            .header("content-type", media_type)
            .payload(Payload::Bytes(bytes));
        let answer = self.ask(&request, &[200, 201, 202])?;
        match announced_digest(&answer) {
            Some(found) if found != digest => Err(Failure::new(
                ErrorKind::Corrupt,
                format!("the registry says that it has {found} in place of {digest}"),
            )),
            _ => Ok(answer),
        }
    }

    fn manifest_request(&self, method: Method, name: &str) -> Result<Request<'static>, Failure> {
        Ok(Request::new(method, self.url(&format!("manifests/{name}"))?).header("accept", ACCEPTED))
    }
}

/// How a reference's manifest is asked for.
pub(super) fn named(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    }
}

/// Takes a manifest from its answer and checks that it is what was asked for,
/// and what the registry says it is.
fn read(answer: Answer, expected: Option<&Digest>) -> Result<Fetched, Failure> {
    let announced = announced_digest(&answer);
    let bytes = answer.bytes(LONGEST_MANIFEST)?;
    let digest = Digest::of(&bytes);
    if let Some(expected) = expected.filter(|expected| **expected != digest) {
        return Err(Failure::new(
            ErrorKind::Corrupt,
            format!("the registry sent {digest} in place of {expected}"),
        ));
    }
    match announced {
        Some(announced) if announced != digest => Err(Failure::new(
            ErrorKind::Corrupt,
            format!("the registry says that it sends {announced}, but sent {digest}"),
        )),
        _ => Ok(Fetched { digest, bytes }),
    }
}

/// The digest in the answer's header. Other algorithms are not compared.
fn announced_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

/// A content type without its parameters.
fn media_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.is_empty() { media_types::IMAGE_MANIFEST.to_owned() } else { media_type.to_owned() }
}
