//! Pushing to registries that break off or mean harm.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod registry_kit;

use std::sync::atomic::{AtomicUsize, Ordering};

use registry_kit::{TestImage, TestStore, image, keep, noise, options, reference};
use samara_package::Digest;
use samara_package::registry::{Client, ClientOptions, Credentials, Error, ErrorKind, Pushed, Silent};
use samara_test::registry::{Ending, Reply, Scripted, Seen};

const SESSION: &str = "/v2/a/b/blobs/uploads/1?state=x";

/// An image with one large layer.
fn sample() -> TestImage {
    image(&[&noise(1, 400_000)])
}

fn push(image: &TestImage, server: &Scripted) -> Result<Pushed, Error> {
    push_with(image, server, ClientOptions { plain_http: true, ..options().0 })
}

fn push_with(image: &TestImage, server: &Scripted, options: ClientOptions) -> Result<Pushed, Error> {
    let here = TestStore::new();
    keep(&here.store, image);
    let name = reference(format!("{}/a/b:1", server.host()));
    Client::new(options)?.push(&here.store, &image.digest, &name, &Silent)
}

/// What a registry answers that has nothing and takes everything.
fn take(seen: &Seen) -> Reply {
    match (seen.method.as_str(), seen.path.as_str()) {
        ("HEAD", _) => Reply::new(404),
        ("POST", _) => Reply::new(202).header("Location", SESSION),
        ("PUT", _) => Reply::new(201),
        _ => Reply::new(404),
    }
}

/// Whether this sends the large layer.
fn is_layer(seen: &Seen, method: &str) -> bool {
    let is_long = seen.header("content-length").is_some_and(|length| length.len() == 6);
    seen.method == method && seen.path.contains("uploads/1") && is_long
}

fn requests(server: &Scripted, path: &str) -> Vec<(String, usize)> {
    let seen = server.seen().into_iter().filter(|seen| seen.path.starts_with(path));
    seen.map(|seen| (seen.method, seen.body.len())).collect()
}

#[test]
fn everything_goes_and_the_manifest_last() {
    let (image, server) = (sample(), Scripted::start(take));
    let pushed = push(&image, &server).unwrap();
    assert_eq!((pushed.blobs, pushed.sent), (2, 400_000 + image.config.len() as u64));
    let last = server.seen().pop().unwrap();
    assert_eq!((last.method.as_str(), last.path.as_str()), ("PUT", "/v2/a/b/manifests/1"));
    assert_eq!(last.body, image.bytes);
    assert_eq!(last.header("content-type"), image.manifest.media_type.as_deref());
    let digest = image.manifest.layers[0].digest;
    let layer = format!("{SESSION}&digest=sha256%3A{}", digest.hex());
    let sent = server.seen().into_iter().find(|seen| seen.path == layer).unwrap();
    assert_eq!(Digest::of(&sent.body), digest);
}

#[test]
fn a_broken_upload_goes_on_where_it_broke() {
    let image = sample();
    let puts = AtomicUsize::new(0);
    let server = Scripted::start(move |seen| {
        let is_first_put = is_layer(seen, "PUT") && puts.fetch_add(1, Ordering::SeqCst) == 0;
        match seen.method.as_str() {
            _ if is_first_put => Reply::new(500).ending(Ending::HangUpAfter(100_000)),
            "GET" if seen.path == SESSION => {
                Reply::new(204).header("Range", "0-99999").header("Location", format!("{SESSION}2"))
            }
            "PATCH" => Reply::new(202).header("Location", format!("{SESSION}3")),
            _ => take(seen),
        }
    });
    push(&image, &server).unwrap();
    let patch = server.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(
        (patch.path.as_str(), patch.header("content-range")),
        (&*format!("{SESSION}2"), Some("100000-399999"))
    );
    assert_eq!(patch.body, image.layers[0][100_000..]);
    let digest = image.manifest.layers[0].digest.hex();
    let closing = requests(&server, &format!("{SESSION}3&digest=sha256%3A{digest}"));
    assert_eq!(closing, [("PUT".to_owned(), 0)]);
}

#[test]
fn an_upload_that_the_registry_forgot_begins_anew() {
    let image = sample();
    for forgotten in [Reply::new(404), Reply::new(204), Reply::new(204).header("Range", "0-0")] {
        let puts = AtomicUsize::new(0);
        let server = Scripted::start(move |seen| {
            if is_layer(seen, "PUT") && puts.fetch_add(1, Ordering::SeqCst) == 0 {
                return Reply::new(500).ending(Ending::HangUpAfter(100_000));
            }
            if seen.method == "GET" && seen.path == SESSION { forgotten.clone() } else { take(seen) }
        });
        push(&image, &server).unwrap();
        let layer = format!("{SESSION}&digest=sha256%3A{}", image.manifest.layers[0].digest.hex());
        assert_eq!(requests(&server, &layer), [("PUT".to_owned(), 100_000), ("PUT".to_owned(), 400_000)]);
    }
}

#[test]
fn uploads_that_never_succeed_end() {
    let image = sample();
    for ending in [Ending::HangUpAfter(1000), Ending::Nothing, Ending::Whole] {
        let server = Scripted::start(move |seen| match is_layer(seen, "PUT") {
            true => Reply::new(502).ending(ending),
            false => take(seen),
        });
        let error = push(&image, &server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("after 3 attempts"), "{error}");
        let manifests = requests(&server, "/v2/a/b/manifests/");
        assert!(manifests.is_empty(), "no manifest without its blobs");
    }
}

#[test]
fn a_registry_that_takes_nothing_is_left() {
    let image = sample();
    let server = Scripted::start(move |seen| match is_layer(seen, "PUT") {
        true => Reply::new(201).ending(Ending::Silence),
        false => take(seen),
    });
    let idle = std::time::Duration::from_millis(20);
    let options = ClientOptions { plain_http: true, idle, attempts: 2, ..options().0 };
    let error = push_with(&image, &server, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled, "{error}");
}

#[test]
fn registries_that_answer_nonsense_are_refused() {
    let image = sample();
    let other = Digest::of(b"other");
    let cases: [(&str, Reply, ErrorKind); 7] = [
        ("POST", Reply::new(202), ErrorKind::Protocol),
        ("POST", Reply::new(202).header("Location", "ftp://x/"), ErrorKind::Protocol),
        ("POST", Reply::new(307).header("Location", "http://127.0.0.1:1/"), ErrorKind::Protocol),
        ("POST", Reply::new(403), ErrorKind::Denied),
        ("PUT", Reply::new(201).header("Docker-Content-Digest", other.to_string()), ErrorKind::Corrupt),
        ("PUT", Reply::new(413), ErrorKind::TooLarge),
        ("PUT", Reply::new(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#), ErrorKind::Protocol),
    ];
    for (method, reply, kind) in cases {
        let server =
            Scripted::start(move |seen| if seen.method == method { reply.clone() } else { take(seen) });
        let error = push(&image, &server).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with("cannot push `127.0.0.1:"), "{error}");
        assert!(requests(&server, "/v2/a/b/manifests/").is_empty(), "no manifest without its blobs");
    }
}

#[test]
fn an_upload_elsewhere_takes_no_login_along() {
    let image = sample();
    let elsewhere = Scripted::start(take);
    let foreign = format!("http://{}/upload?signed=1", elsewhere.host());
    let server = Scripted::start(move |seen| match (seen.header("authorization"), seen.method.as_str()) {
        (None, _) => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
        (_, "POST") => Reply::new(202).header("Location", &foreign),
        _ => take(seen),
    });
    let logins = [(server.host(), Credentials::password("me", "hush-hush"))];
    let options = ClientOptions { plain_http: true, credentials: logins.into(), ..options().0 };
    push_with(&image, &server, options).unwrap();
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn a_store_without_all_of_it_sends_no_manifest() {
    let (image, here) = (sample(), TestStore::new());
    let session = here.store.session().unwrap();
    session.put(&image.bytes).unwrap();
    session.put(&image.config).unwrap();
    let server = Scripted::start(take);
    let client = Client::new(ClientOptions { plain_http: true, ..options().0 }).unwrap();
    let name = reference(format!("{}/a/b:1", server.host()));
    let error = client.push(&here.store, &image.digest, &name, &Silent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert!(requests(&server, "/v2/a/b/manifests/").is_empty());
}
