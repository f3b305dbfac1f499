//! Registries that are broken or mean harm: each gets a clear error of the
//! right kind, in bounded time, and nothing of it is used.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod registry_kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry_kit::{TestImage, TestStore, image, noise, of, options, reference, serve};
use samara_package::registry::{Client, ClientOptions, Credentials, Error, ErrorKind, Silent};
use samara_package::spec::{Descriptor, ImageIndex, ImageManifest, to_bytes};
use samara_package::{Digest, media_types};
use samara_test::registry::{Ending, Reply, Scripted, Seen};

const REPOSITORY: &str = "a/b";

fn plain() -> ClientOptions {
    ClientOptions { plain_http: true, ..options().0 }
}

fn sample() -> TestImage {
    image(&[&noise(1, 5_000), &noise(2, 400_000)])
}

/// Pulls all of `a/b:1` and says how that ended.
fn pull_into(there: &TestStore, server: &Scripted, options: ClientOptions) -> Result<(), Error> {
    let session = there.store.session().unwrap();
    let client = Client::new(options)?;
    client.begin_pull(&session, &reference(format!("{}/{REPOSITORY}:1", server.host())))?.layers(&Silent)
}

fn pull(server: &Scripted) -> Result<(), Error> {
    pull_into(&TestStore::new(), server, plain())
}

/// A registry that is honest but for what `twist` makes of its replies.
fn twisted(image: &TestImage, twist: impl Fn(&Seen, Reply) -> Reply + Send + Sync + 'static) -> Scripted {
    let image = image.clone();
    Scripted::start(move |seen| twist(seen, serve(&image, seen)))
}

/// One that twists what it sends of the second layer.
fn twisted_layer(image: &TestImage, twist: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Scripted {
    let layer = image.manifest.layers[1].digest;
    twisted(image, move |seen, reply| if seen.is_get(&blob(&layer)) { twist(reply) } else { reply })
}

fn blob(digest: &Digest) -> String {
    format!("/v2/{REPOSITORY}/blobs/{digest}")
}

fn manifest(name: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{name}")
}

/// What each failed pull must leave behind: nothing that looks whole.
fn assert_kind(outcome: Result<(), Error>, kind: ErrorKind) -> String {
    let error = outcome.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.len() < 1500 && text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    text
}

#[test]
fn an_honest_registry_is_pulled_from() {
    let (image, there) = (sample(), TestStore::new());
    let server = twisted(&image, |_, reply| reply);
    pull_into(&there, &server, plain()).unwrap();
    assert!(there.has(&image));
}

#[test]
fn plain_http_on_this_machine_is_found_out() {
    let (image, there) = (sample(), TestStore::new());
    let server = twisted(&image, |_, reply| reply);
    pull_into(&there, &server, options().0).unwrap();
    assert!(there.has(&image));
}

#[test]
fn a_registry_that_falls_silent_is_left() {
    let image = sample();
    let impatient = || ClientOptions { idle: Duration::from_millis(100), attempts: 2, ..plain() };
    for ending in [Ending::StallAfter(1000), Ending::StallAfter(0), Ending::Drip] {
        let server = twisted_layer(&image, move |reply| reply.ending(ending));
        assert_kind(pull_into(&TestStore::new(), &server, impatient()), ErrorKind::Stalled);
    }
    let server = twisted(&image, |seen, reply| match seen.is_get(&manifest("1")) {
        true => reply.ending(Ending::StallAfter(10)),
        false => reply,
    });
    assert_kind(pull_into(&TestStore::new(), &server, impatient()), ErrorKind::Stalled);
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    let (image, there) = (sample(), TestStore::new());
    let cuts = AtomicUsize::new(0);
    let server = twisted_layer(&image, move |reply| match cuts.fetch_add(1, Ordering::SeqCst) {
        0 => reply.ending(Ending::CutAfter(100_000)),
        1 => reply.ending(Ending::CutAfter(50_000)),
        _ => reply,
    });
    pull_into(&there, &server, plain()).unwrap();
    assert!(there.has(&image));
    let path = blob(&image.manifest.layers[1].digest);
    let ranges: Vec<_> = server.seen().into_iter().filter(|seen| seen.path == path).collect();
    let ranges: Vec<_> = ranges.iter().map(|seen| seen.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-399999"), Some("bytes=150000-399999")]);
}

#[test]
fn an_interrupted_pull_goes_on_the_next_time() {
    let (image, there) = (sample(), TestStore::new());
    let server = twisted_layer(&image, |reply| reply.ending(Ending::CutAfter(100_000)));
    let once = ClientOptions { attempts: 1, ..plain() };
    assert_kind(pull_into(&there, &server, once), ErrorKind::Unavailable);
    assert!(!there.store.contains(&image.manifest.layers[1].digest));
    let server = twisted(&image, |_, reply| reply);
    pull_into(&there, &server, plain()).unwrap();
    assert!(there.has(&image));
    assert!(server.seen().iter().any(|seen| seen.header("range") == Some("bytes=100000-399999")));
}

/// A power cut may leave a file of the right length with something else in it.
#[test]
fn what_is_continued_and_turns_out_wrong_is_fetched_once_more() {
    let (image, there) = (sample(), TestStore::new());
    let layer = &image.manifest.layers[1];
    let ingest = there.store.root().join("ingest");
    std::fs::create_dir_all(&ingest).unwrap();
    let left = ingest.join(layer.digest.hex()).with_extension("part");
    for (garbage, expected) in
        [(100_000, vec![Some("bytes=100000-399999"), None]), (image.layers[1].len(), vec![None])]
    {
        let server = twisted(&image, |_, reply| reply);
        std::fs::write(&left, vec![0; garbage]).unwrap();
        pull_into(&there, &server, plain()).unwrap();
        assert!(there.has(&image) && !left.exists());
        let seen = server.seen();
        let asked = seen.iter().filter(|seen| seen.is_get(&blob(&layer.digest)));
        assert_eq!(asked.map(|seen| seen.header("range")).collect::<Vec<_>>(), expected);
        std::fs::remove_file(there.store.blob(&layer.digest).unwrap().path).unwrap();
    }
    // Garbage from the registry itself is fetched no third time.
    std::fs::write(&left, vec![0; 100_000]).unwrap();
    let server = twisted(&image, {
        let path = blob(&layer.digest);
        move |seen, reply| match (seen.is_get(&path), seen.header("range")) {
            (true, Some(_)) => reply.body(noise(3, 300_000)),
            (true, None) => reply.body(noise(3, 400_000)),
            (false, _) => reply,
        }
    });
    assert_kind(pull_into(&there, &server, plain()), ErrorKind::Corrupt);
    assert_eq!(server.seen().iter().filter(|seen| seen.is_get(&blob(&layer.digest))).count(), 2);
}

#[test]
fn what_cannot_be_continued_begins_anew() {
    let image = sample();
    let whole = image.layers[1].clone();
    for case in ["whole", "other part", "no part"] {
        let there = TestStore::new();
        let (whole, count) = (whole.clone(), AtomicUsize::new(0));
        let layer = image.manifest.layers[1].digest;
        let server = twisted(&image, move |seen, reply| {
            if !seen.is_get(&blob(&layer)) {
                return reply;
            }
            match (count.fetch_add(1, Ordering::SeqCst), case) {
                (0, _) => reply.ending(Ending::CutAfter(100_000)),
                (1, "whole") => Reply::new(200).body(whole.clone()),
                (1, "other part") => {
                    Reply::new(206).header("Content-Range", "bytes 5-399999/400000").body(&whole[5..])
                }
                (1, "no part") => Reply::new(416),
                _ => Reply::new(200).body(whole.clone()),
            }
        });
        pull_into(&there, &server, plain()).unwrap();
        assert!(there.has(&image), "{case}");
    }
}

#[test]
fn a_registry_that_always_breaks_off_is_left() {
    let image = sample();
    let server = twisted_layer(&image, |reply| reply.ending(Ending::CutAfter(0)));
    let text = assert_kind(pull(&server), ErrorKind::Unavailable);
    assert!(text.contains("after 3 attempts"), "{text}");
    let server = twisted(&image, |_, reply| reply.ending(Ending::Nothing));
    assert_kind(pull(&server), ErrorKind::Unavailable);
    let gone = server.host();
    drop(server);
    let client = Client::new(plain()).unwrap();
    let error = client.resolve(&reference(format!("{gone}/a:1"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("refuses the connection"), "{error}");
}

#[test]
fn refusals_say_what_was_asked_and_what_to_do() {
    for (status, kind, asked) in [
        (401, ErrorKind::Unauthorized, 1),
        (403, ErrorKind::Denied, 1),
        (404, ErrorKind::NotFound, 1),
        (418, ErrorKind::Protocol, 1),
        (429, ErrorKind::Busy, 3),
        (500, ErrorKind::Unavailable, 3),
        (503, ErrorKind::Unavailable, 3),
    ] {
        let server = Scripted::start(move |_| {
            let body = r#"{"errors":[{"code":"CODE","message":"what\u001b[31m it\nsays"}]}"#;
            Reply::new(status).body(body)
        });
        let text = assert_kind(pull(&server), kind);
        let expected = format!("cannot pull `{}/a/b:1`: `{0}` answers {status}", server.host());
        assert!(text.starts_with(&expected), "{text}");
        assert!(text.contains("CODE: what\\u{1b}[31m it says"), "{text}");
        assert_eq!(server.seen().len(), asked, "{status}");
        if status == 401 {
            assert!(text.ends_with(&format!("\nhint: samara login {}", server.host())), "{text}");
        }
    }
}

#[test]
fn a_long_refusal_makes_no_long_message() {
    let server = Scripted::start(|_| Reply::new(403).body("x".repeat(50_000)));
    assert_kind(pull(&server), ErrorKind::Denied);
    let server = Scripted::start(|_| Reply::new(403).body("x".repeat(5000)).ending(Ending::Endless));
    assert_kind(pull(&server), ErrorKind::Denied);
}

#[test]
fn a_busy_registry_is_asked_again_when_it_says() {
    let image = sample();
    let busy = |wait: &'static str| {
        let count = AtomicUsize::new(0);
        twisted(&image, move |_, reply| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::new(429).header("Retry-After", wait),
            _ => reply,
        })
    };
    let (quick, pauses) = options();
    let quick = ClientOptions { plain_http: true, ..quick };
    pull_into(&TestStore::new(), &busy("7"), quick.clone()).unwrap();
    assert_eq!(*pauses.lock().unwrap(), [Duration::from_secs(7)]);
    // What is no number of seconds is a usual pause.
    pull_into(&TestStore::new(), &busy("Wed, 21 Oct 2026 07:28:00 GMT"), quick.clone()).unwrap();
    assert_eq!(pauses.lock().unwrap().len(), 2);
    // Nobody waits a day, or for ever.
    for wait in ["86400", "18446744073709551615"] {
        let text = assert_kind(pull_into(&TestStore::new(), &busy(wait), quick.clone()), ErrorKind::Busy);
        assert!(text.contains(&format!("asked again in {wait} s")), "{text}");
    }
    assert_eq!(pauses.lock().unwrap().len(), 2);
}

#[test]
fn altered_content_is_refused() {
    let (image, there) = (sample(), TestStore::new());
    let server = twisted_layer(&image, |_| Reply::new(200).body(noise(3, 400_000)));
    let text = assert_kind(pull_into(&there, &server, plain()), ErrorKind::Corrupt);
    assert!(text.contains(&image.manifest.layers[1].digest.to_string()), "{text}");
    assert!(!there.store.contains(&image.manifest.layers[1].digest));
    assert!(!there.store.contains(&Digest::of(&noise(3, 400_000))));
}

#[test]
fn content_of_another_length_is_refused() {
    let image = sample();
    for count in [399_999, 400_001] {
        let server = twisted_layer(&image, move |_| Reply::new(200).body(noise(2, count)));
        assert_kind(pull(&server), ErrorKind::Corrupt);
    }
    // Without a length, it is counted.
    let server = twisted_layer(&image, |reply| reply.ending(Ending::Endless));
    let text = assert_kind(pull(&server), ErrorKind::Corrupt);
    assert!(text.contains("more than the 400000 bytes"), "{text}");
}

#[test]
fn endless_documents_are_refused() {
    let image = sample();
    for path in [manifest("1"), blob(&image.manifest.config.digest), manifest(&fallback(&image))] {
        let server = twisted(&image, move |seen, reply| match seen.is_get(&path) {
            true => Reply::new(200).body(vec![b' '; 60_000]).ending(Ending::Endless),
            false => reply,
        });
        let error = pull(&server).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Corrupt), "{error}");
    }
    // A length that is too large is believed at once.
    let server = Scripted::start(|_| Reply::new(200).header("Content-Length", "5000000"));
    assert_kind(pull(&server), ErrorKind::TooLarge);
}

#[test]
fn encodings_that_nobody_asked_for_are_refused() {
    let image = sample();
    let server = twisted(&image, |_, reply| reply.header("Content-Encoding", "gzip"));
    let text = assert_kind(pull(&server), ErrorKind::Protocol);
    assert!(text.contains("`gzip`"), "{text}");
    let server = twisted_layer(&image, |reply| reply.header("Content-Encoding", "br"));
    assert_kind(pull(&server), ErrorKind::Protocol);
    assert!(server.seen().iter().all(|seen| seen.header("accept-encoding") == Some("identity")));
}

#[test]
fn wrong_digests_of_manifests_are_refused() {
    let (image, other) = (sample(), image(&[b"other"]));
    let named = other.digest.to_string();
    let server = twisted(&image, move |_, reply| reply.header("Docker-Content-Digest", &named));
    assert_kind(pull(&server), ErrorKind::Corrupt);
    // Asked for one by its digest, it sends another.
    let server = Scripted::start(move |_| Reply::new(200).body(other.bytes.clone()));
    let client = Client::new(plain()).unwrap();
    let there = TestStore::new();
    let session = there.store.session().unwrap();
    let name = reference(format!("{}/a/b@{}", server.host(), image.digest));
    let error = client.begin_pull(&session, &name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = client.resolve(&name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn wrong_sizes_in_a_manifest_are_refused() {
    let honest = sample();
    let with = |change: &dyn Fn(&mut ImageManifest)| {
        let mut manifest = honest.manifest.clone();
        change(&mut manifest);
        let image = of(manifest, honest.config.clone(), honest.layers.clone());
        pull(&twisted(&image, |_, reply| reply))
    };
    assert_kind(with(&|manifest| manifest.layers[1].size += 1), ErrorKind::Corrupt);
    assert_kind(with(&|manifest| manifest.layers[1].size -= 1), ErrorKind::Corrupt);
    assert_kind(with(&|manifest| manifest.layers[1].size = u64::MAX), ErrorKind::TooLarge);
    assert_kind(with(&|manifest| manifest.layers[1].size = 0), ErrorKind::Corrupt);
    assert_kind(with(&|manifest| manifest.config.size = 9 << 20), ErrorKind::TooLarge);
    let two_sizes = |manifest: &mut ImageManifest| {
        let mut again = manifest.layers[1].clone();
        again.size -= 1;
        manifest.layers.push(again);
    };
    assert!(assert_kind(with(&two_sizes), ErrorKind::Corrupt).contains("two sizes"));
    // The store has the content, and knows better.
    let there = TestStore::new();
    registry_kit::keep(&there.store, &honest);
    let mut manifest = honest.manifest.clone();
    manifest.layers[1].size += 1;
    let image = of(manifest, honest.config.clone(), honest.layers.clone());
    let server = twisted(&image, |_, reply| reply);
    assert_kind(pull_into(&there, &server, plain()), ErrorKind::Corrupt);
}

#[test]
fn documents_that_make_no_sense_are_refused() {
    for body in [
        "",
        "nonsense",
        "[]",
        "{}",
        r#"{"schemaVersion":1}"#,
        r#"{"schemaVersion":2}"#,
        r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
        r#"{"schemaVersion":2,"manifests":3}"#,
        r#"{"schemaVersion":2,"config":{},"layers":[]}"#,
        r#"{"schemaVersion":2,"config":{"mediaType":"a","digest":"sha256:../../x","size":1},"layers":[]}"#,
        r#"{"schemaVersion":2,"config":{"mediaType":"a","digest":"md5:1","size":-1},"layers":[]}"#,
    ] {
        let server = Scripted::start(move |_| Reply::new(200).body(body));
        assert_kind(pull(&server), ErrorKind::Protocol);
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let server = Scripted::start(move |_| Reply::new(200).body(deep.clone()));
    assert_kind(pull(&server), ErrorKind::Protocol);
    let server = Scripted::start(|_| Reply::new(200).header("X-Long", "x".repeat(200_000)).body("{}"));
    assert_kind(pull(&server), ErrorKind::Protocol);
}

#[test]
fn an_index_gives_its_image_for_wasm() {
    let image = sample();
    let wasm = r#"{"architecture":"wasm","os":"wasip1"}"#;
    let amd = r#"{"architecture":"amd64","os":"linux"}"#;
    let other = Digest::of(b"other");
    let index = |entries: &[(Digest, &str)]| {
        let entry = |(digest, platform): &(Digest, &str)| {
            let size = if *digest == image.digest { image.bytes.len() } else { 5 };
            let kind = media_types::IMAGE_MANIFEST;
            let platform =
                if platform.is_empty() { String::new() } else { format!(r#","platform":{platform}"#) };
            format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}{platform}}}"#)
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        let body = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        twisted(&image, move |seen, reply| match seen.is_get(&manifest("1")) {
            true => Reply::new(200).body(body.clone()),
            false => reply,
        })
    };
    let there = TestStore::new();
    pull_into(&there, &index(&[(other, amd), (image.digest, wasm)]), plain()).unwrap();
    assert!(there.has(&image));
    pull(&index(&[(image.digest, "")])).unwrap();
    let text = assert_kind(pull(&index(&[(other, amd), (image.digest, "")])), ErrorKind::NoPlatform);
    assert!(text.contains("linux/amd64, one without a platform"), "{text}");
    assert_kind(pull(&index(&[(other, wasm), (image.digest, wasm)])), ErrorKind::NoPlatform);
    let text = assert_kind(pull(&index(&[])), ErrorKind::NoPlatform);
    assert!(text.contains("no image at all"), "{text}");
    assert_kind(pull(&index(&[(other, wasm)])), ErrorKind::NotFound);
}

#[test]
fn a_login_does_not_follow_to_another_host() {
    let image = sample();
    let elsewhere = twisted(&image, |_, reply| reply);
    let foreign = elsewhere.host();
    let server = twisted(&image, move |seen, reply| {
        if seen.header("authorization").is_none() {
            return Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\"");
        }
        match seen.path.contains("/blobs/") {
            true => Reply::new(307).header("Location", format!("http://{foreign}{}?signed=1", seen.path)),
            false => reply,
        }
    });
    let login = Credentials::password("me", "hush-hush");
    let options = ClientOptions { credentials: [(server.host(), login)].into(), ..plain() };
    let there = TestStore::new();
    pull_into(&there, &server, options).unwrap();
    assert!(there.has(&image));
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter().all(|seen| seen.header("authorization").is_none() && seen.path.ends_with("?signed=1"))
    );
}

#[test]
fn a_foreign_host_cannot_ask_for_the_login() {
    let image = sample();
    let thief = Scripted::start(|_| Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let foreign = thief.host();
    let server = twisted(&image, move |seen, reply| match seen.path.contains("/blobs/") {
        true => Reply::new(302).header("Location", format!("http://{foreign}{}", seen.path)),
        false => reply,
    });
    let logins = [(server.host(), Credentials::password("me", "hush-hush"))];
    let options = ClientOptions { credentials: logins.into(), ..plain() };
    assert_kind(pull_into(&TestStore::new(), &server, options), ErrorKind::Unauthorized);
    let seen = thief.seen();
    assert_eq!(seen.len(), 1, "it is not asked again");
    assert_eq!(seen[0].header("authorization"), None);
}

#[test]
fn redirects_in_circles_and_to_nowhere_are_refused() {
    let server = Scripted::start(|seen| Reply::new(307).header("Location", &seen.path));
    let text = assert_kind(pull(&server), ErrorKind::Protocol);
    assert!(text.contains("more than 8 times"), "{text}");
    assert_eq!(server.seen().len(), 9);
    for location in ["file:///etc/passwd", "http://me:hush@127.0.0.1:1/", "http://", "gopher://x/", "/\u{7f}"]
    {
        let server = Scripted::start(move |_| Reply::new(302).header("Location", location));
        let text = assert_kind(pull(&server), ErrorKind::Protocol);
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn a_signature_that_cannot_be_fetched_is_an_error() {
    let image = sample();
    let referrers = format!("/v2/{REPOSITORY}/referrers/{}", image.digest);
    let signatures = manifest(&format!("{}.sig", fallback(&image)));
    for path in [referrers, manifest(&fallback(&image)), signatures] {
        for (status, kind) in
            [(403, ErrorKind::Denied), (500, ErrorKind::Unavailable), (400, ErrorKind::Protocol)]
        {
            let path = path.clone();
            let server = twisted(&image, move |seen, reply| match seen.is_get(&path) {
                true => Reply::new(status),
                false => reply,
            });
            let text = assert_kind(pull(&server), kind);
            assert!(text.starts_with("cannot fetch the signatures of"), "{text}");
        }
    }
}

#[test]
fn another_host_cannot_say_that_there_is_no_signature() {
    let image = sample();
    let elsewhere = Scripted::start(|_| Reply::new(404));
    for name in [fallback(&image), format!("{}.sig", fallback(&image))] {
        let away = format!("http://{}/x", elsewhere.host());
        let server = twisted(&image, move |seen, reply| match seen.is_get(&manifest(&name)) {
            true => Reply::new(307).header("Location", &away),
            false => reply,
        });
        assert_kind(pull(&server), ErrorKind::NotFound);
    }
}

#[test]
fn lists_of_referrers_that_lie_are_refused() {
    let image = sample();
    let of_another = {
        let config = Descriptor::of(media_types::EMPTY_CONFIG, b"{}");
        let mut manifest = ImageManifest::new(config, Vec::new());
        manifest.subject = Some(Descriptor::of(media_types::IMAGE_MANIFEST, b"another"));
        of(manifest, b"{}".to_vec(), Vec::new())
    };
    let listing = |entries: Vec<Descriptor>| {
        let (index, other) = (to_bytes(&ImageIndex::new(entries)), of_another.clone());
        let path = format!("/v2/{REPOSITORY}/referrers/{}", image.digest);
        twisted(&image, move |seen, reply| {
            if seen.is_get(&path) {
                Reply::new(200).body(index.clone())
            } else if seen.is_get(&manifest(&other.digest.to_string())) {
                Reply::new(200).body(other.bytes.clone())
            } else {
                reply
            }
        })
    };
    let entry = Descriptor::of(media_types::IMAGE_MANIFEST, &of_another.bytes);
    let text = assert_kind(pull(&listing(vec![entry.clone()])), ErrorKind::Corrupt);
    assert!(text.contains("but does not"), "{text}");
    let missing = Descriptor::of(media_types::IMAGE_MANIFEST, b"missing");
    assert_kind(pull(&listing(vec![missing])), ErrorKind::NotFound);
    let huge = Descriptor { size: u64::MAX, ..entry };
    assert_kind(pull(&listing(vec![huge])), ErrorKind::TooLarge);
}

#[test]
fn a_list_of_referrers_has_an_end() {
    let image = sample();
    let server = twisted(&image, |seen, reply| match seen.path.contains("/referrers/") {
        true => Reply::new(200)
            .header("Link", format!("<{}>; rel=\"next\"", seen.path))
            .body(to_bytes(&ImageIndex::new(Vec::new()))),
        false => reply,
    });
    assert_kind(pull(&server), ErrorKind::TooLarge);
    let server = twisted(&image, |seen, reply| match seen.path.contains("/referrers/") {
        true => Reply::new(200)
            .header("Link", "<http://127.0.0.2:1/x>; rel=\"next\"")
            .body(to_bytes(&ImageIndex::new(Vec::new()))),
        false => reply,
    });
    assert_kind(pull(&server), ErrorKind::Protocol);
}

#[test]
fn two_pulls_at_once_both_get_everything() {
    let (image, there) = (Arc::new(sample()), Arc::new(TestStore::new()));
    let server = Arc::new(twisted(&image, |_, reply| reply));
    let pulls: Vec<_> = (0..2)
        .map(|_| {
            let (there, server) = (there.clone(), server.clone());
            std::thread::spawn(move || pull_into(&there, &server, options().0))
        })
        .collect();
    for pull in pulls {
        pull.join().unwrap().unwrap();
    }
    assert!(there.has(&image));
    // Each blob was fetched by one of them.
    let blobs = server.seen().into_iter().filter(|seen| seen.path.contains("/blobs/")).count();
    assert_eq!(blobs, 3);
}

fn fallback(image: &TestImage) -> String {
    format!("sha256-{}", image.digest.hex())
}
