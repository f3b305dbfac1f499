//! What belongs to an image in a registry: manifests whose subject it is
//! (OCI distribution specification 1.1, "Listing Referrers" and "Referrers Tag
//! Schema"), and the signatures that cosign keeps under a tag.

use std::collections::HashSet;

use serde_json::{Value, json};
use ureq::http::Method;

use super::download::title;
use super::error::{ErrorKind, Failure};
use super::manifests::{self, Entry, LONGEST_MANIFEST};
use super::pull::{fetch_now, listed};
use super::remote::{Fetched, Remote};
use super::transport::Request;
use super::url::Url;
use crate::digest::Digest;
use crate::media_types;
use crate::sign;
use crate::spec::{Descriptor, ImageManifest, to_bytes};
use crate::store::Session;

/// Referrers of one image that are fetched.
const MOST_REFERRERS: usize = 64;
/// Bytes of all their blobs together.
const MOST_BYTES: u64 = 64 << 20;
/// Pages of a list of referrers.
const MOST_PAGES: usize = 16;

/// Fetches everything that refers to `subject`, with its blobs, and notes it
/// in the store. That there is nothing is no failure; all else is, so that
/// who hides a signature does not make an unsigned image of a signed one.
pub(super) fn fetch(remote: &Remote, session: &Session, subject: &Digest) -> Result<(), Failure> {
    let mut left = MOST_BYTES;
    let mut seen = HashSet::new();
    for entry in list(remote, subject)? {
        if entry.media_type != media_types::IMAGE_MANIFEST || !seen.insert(entry.digest) {
            continue;
        }
        if seen.len() > MOST_REFERRERS {
            return Err(Failure::new(
                ErrorKind::TooLarge,
                format!("more than {MOST_REFERRERS} manifests refer to {subject}"),
            ));
        }
        let fetched = listed(remote, &entry).map_err(|failure| failure.at(entry.digest))?;
        let manifest = manifests::read_manifest(&fetched.bytes)?;
        if manifest.subject.as_ref().map(|found| found.digest) != Some(*subject) {
            return Err(Failure::new(
                ErrorKind::Corrupt,
                format!("{} is listed as referring to {subject}, but does not", entry.digest),
            ));
        }
        keep(remote, session, subject, &fetched, &manifest, &mut left)?;
    }
    if let Some(fetched) = remote.manifest_if_any(&sign::tag(subject))? {
        let manifest = manifests::read_manifest(&fetched.bytes)?;
        keep(remote, session, subject, &fetched, &manifest, &mut left)?;
    }
    Ok(())
}

/// Adds referrers to the index by which a registry without the referrers API
/// lists them. What others listed there stays.
pub(super) fn add_to_fallback(
    remote: &Remote,
    subject: &Digest,
    added: &[Descriptor],
) -> Result<(), Failure> {
    let tag = fallback_tag(subject);
    let mut index = match remote.manifest_if_any(&tag)? {
        Some(fetched) => {
            manifests::read_index(&fetched.bytes)?;
            serde_json::from_slice(&fetched.bytes).unwrap_or_default()
        }
        None => json!({ "schemaVersion": 2, "mediaType": media_types::IMAGE_INDEX, "manifests": [] }),
    };
    let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(Failure::new(ErrorKind::Protocol, format!("the tag `{tag}` is no index")));
    };
    let is_listed = |entries: &[Value], digest: &Digest| {
        entries.iter().any(|entry| entry.get("digest").and_then(Value::as_str) == Some(&digest.to_string()))
    };
    let before = entries.len();
    for descriptor in added {
        if !is_listed(entries, &descriptor.digest) {
            entries.push(json!(descriptor));
        }
    }
    if entries.len() == before {
        return Ok(());
    }
    let bytes = to_bytes(&index);
    if bytes.len() as u64 > LONGEST_MANIFEST {
        return Err(manifests::too_large("the list of referrers", bytes.len() as u64, LONGEST_MANIFEST));
    }
    remote.put_manifest(&tag, media_types::IMAGE_INDEX, &bytes).map(|_| ())
}

fn fallback_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// What refers to `subject`, from the registry's list, or from the tag that
/// stands for it where the registry has no such list.
fn list(remote: &Remote, subject: &Digest) -> Result<Vec<Descriptor>, Failure> {
    let mut found = Vec::new();
    let mut page = Some(remote.url(&format!("referrers/{subject}"))?);
    for _ in 0..MOST_PAGES {
        let Some(url) = page else { return Ok(found) };
        let Some(Page { entries, next }) = read_page(remote, url)? else {
            let index = remote.manifest_if_any(&fallback_tag(subject))?;
            let entries = index.map_or(Ok(Vec::new()), |fetched| manifests::read_index(&fetched.bytes))?;
            return Ok(descriptors(entries).collect());
        };
        found.extend(descriptors(entries));
        page = next;
    }
    Err(Failure::new(ErrorKind::TooLarge, format!("the list of referrers has more than {MOST_PAGES} pages")))
}

/// One page of the registry's list.
struct Page {
    entries: Vec<Entry>,
    next: Option<Url>,
}

/// Reads a page; `None` where the registry has no such list.
fn read_page(remote: &Remote, url: Url) -> Result<Option<Page>, Failure> {
    let request = Request::new(Method::GET, url).header("accept", media_types::IMAGE_INDEX);
    remote.host.patience.persist(|| {
        let answer = remote.send(&request)?;
        if remote.is_absent(&answer) {
            return Ok(None);
        }
        let answer = remote.host.accept(answer, &[200])?;
        let next = answer.header("link").and_then(next_page).map(|link| answer.url.join(link)).transpose()?;
        if let Some(next) = next.as_ref().filter(|next| !next.same_origin(&remote.host.root)) {
            return Err(Failure::new(
                ErrorKind::Protocol,
                format!("the list of referrers goes on at another host, `{next}`"),
            ));
        }
        let entries = manifests::read_index(&answer.bytes(LONGEST_MANIFEST)?)?;
        Ok(Some(Page { entries, next }))
    })
}

/// The target of `<…>; rel="next"`, RFC 8288.
pub(super) fn next_page(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.replace('"', "").contains("rel=next").then_some(target)
}

fn descriptors(entries: Vec<Entry>) -> impl Iterator<Item = Descriptor> {
    entries.into_iter().map(|entry| entry.descriptor)
}

/// Puts a referrer and its blobs into the store.
fn keep(
    remote: &Remote,
    session: &Session,
    subject: &Digest,
    fetched: &Fetched,
    manifest: &ImageManifest,
    left: &mut u64,
) -> Result<(), Failure> {
    for blob in manifest.blobs() {
        *left = left.checked_sub(blob.size).ok_or_else(|| {
            Failure::new(
                ErrorKind::TooLarge,
                format!(
                    "what refers to {subject} has more than the {MOST_BYTES} bytes that are accepted, with `{}` of {}",
                    title(blob),
                    fetched.digest
                ),
            )
        })?;
        fetch_now(remote, session, blob)?;
    }
    session.put(&fetched.bytes)?;
    session.add_referrer(subject, &fetched.digest)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(next_page("</v2/a/referrers/x?n=1>; rel=\"next\""), Some("/v2/a/referrers/x?n=1"));
        assert_eq!(next_page("</x>; rel=prev"), None);
        assert_eq!(next_page("nonsense"), None);
    }
}
