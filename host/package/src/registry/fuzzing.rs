//! What registries answer, for the fuzzer.

use super::url::Url;
use super::{auth, challenge, host, manifests, referrers};

/// What stands in the headers of answers: the login that is wanted, where the
/// next page is, and where to go.
///
/// # Panics
/// Where an address would be asked otherwise than it is written.
pub fn headers(text: &str) {
    for challenge in challenge::parse(text) {
        let _ = challenge.parameter("realm").map(Url::parse);
    }
    let base = Url::root(true, "registry.example:5000");
    let next = referrers::next_page(text).unwrap_or(text);
    if let Ok(url) = base.join(next) {
        let request = url.with_query("digest", text).to_request();
        assert!(request.bytes().all(|byte| byte.is_ascii_graphic()), "{request}");
        assert!(Url::parse(&request).is_ok_and(|again| again.same_origin(&url)), "{request}");
    }
}

/// The bodies of answers: manifests, tokens and errors.
pub fn bodies(bytes: &[u8]) {
    if let Ok(manifests::Document::Index(entries)) = manifests::read(bytes) {
        drop(manifests::choose(entries));
    }
    if let Ok(manifest) = manifests::read_manifest(bytes) {
        drop(manifests::check(&manifest, 1 << 30));
    }
    drop(manifests::media_type_of(bytes));
    drop(auth::read_grant(bytes));
    drop(host::registry_message(bytes, str::to_owned));
}
