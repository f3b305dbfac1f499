//! Logins: where they are kept, what is sent for them, and to whom.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod registry_kit;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use registry_kit::{TestImage, TestStore, image, keep, options, reference, serve};
use samara_package::registry::{Client, ClientOptions, Credentials, Error, ErrorKind, Silent, credentials};
use samara_test::registry::{DockerRegistry, Ending, Reply, Scripted, Seen, Setup};

const REGISTRY: &str = "registry.example:5000";

fn logged_in(server: &Scripted, login: Credentials) -> ClientOptions {
    ClientOptions { plain_http: true, credentials: [(server.host(), login)].into(), ..options().0 }
}

fn me() -> Credentials {
    Credentials::password("me", "hush-hush")
}

fn pull(server: &Scripted, options: ClientOptions) -> Result<(), Error> {
    let there = TestStore::new();
    let session = there.store.session().unwrap();
    let name = reference(format!("{}/a/b:1", server.host()));
    Client::new(options)?.begin_pull(&session, &name)?.layers(&Silent)
}

/// A registry that wants tokens, of which `good` says whether one is good.
fn with_tokens(
    image: TestImage,
    tokens_at: String,
    good: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |seen| {
        let token = seen.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        match token.is_some_and(&good) {
            true => serve(&image, seen),
            false => Reply::new(401).header(
                "WWW-Authenticate",
                format!(
                    r#"Bearer realm="{tokens_at}/token?x=1",service="r e&g",scope="repository:a/b:pull""#
                ),
            ),
        }
    })
}

/// A server that gives out `token-1`, `token-2` and so on.
fn token_server() -> Scripted {
    let count = AtomicUsize::new(0);
    Scripted::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::new(200).body(format!(r#"{{"token":"token-{number}","expires_in":300}}"#))
    })
}

fn address(server: &Scripted) -> String {
    format!("http://{}", server.host())
}

#[test]
fn a_token_is_fetched_once_and_used_for_all() {
    let tokens = token_server();
    let server = with_tokens(image(&[b"wasm", b"files"]), address(&tokens), |token| token == "token-1");
    pull(&server, logged_in(&server, me())).unwrap();
    let asked = tokens.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/token?x=1&service=r%20e%26g&scope=repository%3Aa%2Fb%3Apull");
    assert_eq!(asked[0].header("authorization"), Some("Basic bWU6aHVzaC1odXNo"));
    let with_password =
        |seen: &Seen| seen.header("authorization").is_some_and(|login| login.starts_with("Basic"));
    assert!(!server.seen().iter().any(with_password));
}

#[test]
fn without_a_login_a_token_is_fetched_too() {
    let tokens = token_server();
    let server = with_tokens(image(&[b"wasm"]), address(&tokens), |token| token == "token-1");
    pull(&server, ClientOptions { plain_http: true, ..options().0 }).unwrap();
    assert_eq!(tokens.seen()[0].header("authorization"), None);
}

#[test]
fn an_identity_token_is_exchanged() {
    let tokens = Scripted::start(|_| Reply::new(200).body(r#"{"access_token":"fresh"}"#));
    let server = with_tokens(image(&[b"wasm"]), address(&tokens), |token| token == "fresh");
    pull(&server, logged_in(&server, Credentials::IdentityToken("kept/token".to_owned()))).unwrap();
    let asked = &tokens.seen()[0];
    assert_eq!(asked.method, "POST");
    assert_eq!(
        String::from_utf8_lossy(&asked.body),
        "grant_type=refresh_token&client_id=samara&service=r%20e%26g&scope=repository%3Aa%2Fb%3Apull&refresh_token=kept%2Ftoken"
    );
}

#[test]
fn a_token_that_ended_is_renewed_once() {
    let tokens = token_server();
    let used = AtomicUsize::new(0);
    // The first is good for two requests.
    let server = with_tokens(image(&[b"wasm", b"files"]), address(&tokens), move |token| match token {
        "token-1" => used.fetch_add(1, Ordering::SeqCst) < 2,
        token => token == "token-2",
    });
    pull(&server, logged_in(&server, me())).unwrap();
    assert_eq!(tokens.seen().len(), 2);

    let tokens = token_server();
    let server = with_tokens(image(&[b"wasm"]), address(&tokens), |_| false);
    let error = pull(&server, logged_in(&server, me())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!((server.seen().len(), tokens.seen().len()), (2, 1));
}

#[test]
fn broken_token_servers_are_reported() {
    for (reply, kind) in [
        (Reply::new(401).body(r#"{"details":"bad login"}"#), ErrorKind::Unauthorized),
        (Reply::new(403), ErrorKind::Unauthorized),
        (Reply::new(404), ErrorKind::Protocol),
        (Reply::new(500), ErrorKind::Unavailable),
        (Reply::new(302).header("Location", "/elsewhere"), ErrorKind::Protocol),
        (Reply::new(200).body("nonsense"), ErrorKind::Protocol),
        (Reply::new(200).body("{}"), ErrorKind::Protocol),
        (Reply::new(200).body(r#"{"token":"a\r\nX-Evil: 1"}"#), ErrorKind::Protocol),
        (Reply::new(200).body(vec![b' '; 9999]).ending(Ending::Endless), ErrorKind::TooLarge),
        (Reply::new(200).ending(Ending::Nothing), ErrorKind::Unavailable),
    ] {
        let shown = format!("{reply:?}");
        let tokens = Scripted::start(move |_| reply.clone());
        let server = with_tokens(image(&[b"wasm"]), address(&tokens), |_| true);
        // `|_| true` would take any token: none ever comes.
        let error = pull(&server, logged_in(&server, me())).unwrap_err();
        assert_eq!(error.kind(), kind, "{error} for {}", &shown[..shown.len().min(300)]);
        assert!(tokens.seen().iter().all(|seen| seen.path.starts_with("/token")));
    }
    for realm in ["", "nonsense", "file:///etc/passwd", "http://me:x@127.0.0.1"] {
        let server = with_tokens(image(&[b"wasm"]), realm.to_owned(), |_| true);
        let error = pull(&server, logged_in(&server, me())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    }
}

#[test]
fn what_is_sent_is_never_said() {
    // A registry that says back what it was told.
    let server = Scripted::start(|seen| match seen.header("authorization") {
        None => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
        Some(login) => Reply::new(403)
            .body(format!(r#"{{"errors":[{{"code":"NO","message":"{login} hush-hush here"}}]}}"#)),
    });
    let options = logged_in(&server, me());
    let shown = format!("{options:?}");
    let error = pull(&server, options).unwrap_err();
    let text = format!("{error} {error:?} {shown}");
    assert!(text.contains("NO: Basic [redacted] [redacted] here"), "{text}");
    assert!(!text.contains("hush-hush") && !text.contains("bWU6aHVzaC1odXNo"), "{text}");
    let tokens = token_server();
    let server = Scripted::start({
        let realm = address(&tokens);
        move |seen| match seen.header("authorization") {
            None => Reply::new(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\"")),
            Some(login) => Reply::new(403).body(login.to_owned()),
        }
    });
    let error = pull(&server, logged_in(&server, me())).unwrap_err();
    assert!(error.to_string().contains("Bearer [redacted]"), "{error}");
}

#[test]
fn a_login_that_nobody_asked_for_is_not_sent() {
    let image = image(&[b"wasm"]);
    let server = Scripted::start(move |seen| serve(&image, seen));
    pull(&server, logged_in(&server, me())).unwrap();
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
    // One that is asked for in another way cannot be given.
    let server = Scripted::start(|_| Reply::new(401).header("WWW-Authenticate", "Negotiate, NTLM"));
    let error = pull(&server, logged_in(&server, me())).unwrap_err();
    assert_eq!((error.kind(), server.seen().len()), (ErrorKind::Unauthorized, 1));
}

#[test]
fn nothing_secret_leaves_a_secure_registry_in_the_open() {
    let thief = Scripted::start(|_| Reply::new(200).body(r#"{"token":"x"}"#));
    let at = address(&thief);
    let setup = Setup { tls: true, tokens_at: Some(&at), ..Setup::default() };
    let Some(registry) = DockerRegistry::start(&setup) else { return };
    let login = |registry: &DockerRegistry| ClientOptions {
        ca_files: vec![registry.authority()],
        credentials: [(registry.host().to_owned(), me())].into(),
        ..options().0
    };
    let client = Client::new(login(&registry)).unwrap();
    let error = client.resolve(&reference(format!("{}/a:1", registry.host()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");

    let setup = Setup { tls: true, blobs_at: Some(&at), ..Setup::default() };
    let Some(registry) = DockerRegistry::start(&setup) else { return };
    let client = Client::new(login(&registry)).unwrap();
    let (here, there, image) = (TestStore::new(), TestStore::new(), image(&[b"wasm"]));
    keep(&here.store, &image);
    let name = reference(format!("{}/a:1", registry.host()));
    client.push(&here.store, &image.digest, &name, &Silent).unwrap();
    let session = there.store.session().unwrap();
    let error = client.begin_pull(&session, &name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    assert!(thief.seen().is_empty());
}

#[test]
fn logins_are_kept_in_dockers_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker/config.json");
    let load = |registry: &str| credentials::load(Some(&path), registry).unwrap();
    assert_eq!(load(REGISTRY), None);
    assert!(!credentials::erase(Some(&path), REGISTRY).unwrap());
    credentials::save(Some(&path), REGISTRY, &me()).unwrap();
    credentials::save(Some(&path), "other.example", &Credentials::IdentityToken("kept".into())).unwrap();
    credentials::save(Some(&path), "docker.io", &Credentials::password("hub", "a:b")).unwrap();
    assert_eq!(load(REGISTRY), Some(me()));
    assert_eq!(load("other.example"), Some(Credentials::IdentityToken("kept".into())));
    assert_eq!(load("docker.io"), Some(Credentials::password("hub", "a:b")));
    assert!(read(&path).contains(r#""https://index.docker.io/v1/""#));
    assert!(credentials::erase(Some(&path), REGISTRY).unwrap());
    assert_eq!(load(REGISTRY), None);
    assert!(!credentials::erase(Some(&path), REGISTRY).unwrap());
    assert!(load("other.example").is_some());
}

#[test]
fn what_else_is_in_dockers_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("real.json"), folder.path().join("config.json"));
    let text = r#"{"HttpHeaders":{"X":"1"},"auths":{"https://registry.example:5000/v1/":{"auth":"YTpi"},
        "b.example":{"auth":"YTpi","email":"b@b"}},"future":[1,2.5,{"x":null}]}"#;
    std::fs::write(&path, text).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(credentials::load(Some(&link), REGISTRY).unwrap(), Some(Credentials::password("a", "b")));
    credentials::save(Some(&link), "new.example", &me()).unwrap();
    assert!(credentials::erase(Some(&link), REGISTRY).unwrap());
    let document: serde_json::Value = serde_json::from_str(&read(&path)).unwrap();
    let expected = serde_json::json!({"HttpHeaders":{"X":"1"},"auths":{
        "b.example":{"auth":"YTpi","email":"b@b"},"new.example":{"auth":"bWU6aHVzaC1odXNo"}},
        "future":[1,2.5,{"x":null}]});
    assert_eq!(document, expected);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_damaged_file_is_an_error_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    for text in [
        "{\"auths\": \"hush-hush",
        "[\"hush-hush\"]",
        "{\"auths\":\"hush-hush\"}",
        "{\"credsStore\":\"../hush-hush x\"}",
    ] {
        std::fs::write(&path, text).unwrap();
        let error = credentials::save(Some(&path), REGISTRY, &me()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
        assert_eq!(read(&path), text);
    }
    for text in [
        "hush-hush",
        "{\"auths\":\"hush-hush\"}",
        "{\"auths\":{\"registry.example:5000\":{\"auth\":\"hush-hush\"}}}",
    ] {
        std::fs::write(&path, text).unwrap();
        let options = ClientOptions { docker_config: Some(path.clone()), ..options().0 };
        let client = Client::new(options).unwrap();
        let error = client.resolve(&reference(format!("{REGISTRY}/a:1"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
        assert!(!format!("{error} {error:?}").contains("hush-hush"), "{error}");
    }
}

#[test]
fn helper_programs_keep_logins() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "$1" >> asked
case "$1" in
store) cat > kept ;;
get) read server; test "$server" = broken.example && { echo "hush-hush is broken"; exit 1; }
     test -f kept || { echo "credentials not found in native keychain"; exit 1; }; cat kept ;;
erase) rm kept ;;
esac
"#;
    let helper = folder.path().join("docker-credential-samara-test");
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = r#"{"credsStore":"samara-test","credHelpers":{"gone.example":"samara-gone"}}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    // Another process has another environment.
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inside_another_environment", "--nocapture"])
        .env("PATH", path)
        .env("DOCKER_CONFIG", folder.path())
        .env("SAMARA_TEST_INSIDE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("the helper was asked"), "{said}");
    assert_eq!(read(&folder.path().join("asked")), "get\nstore\nget\nget\nerase\nget\nget\n");
    assert_eq!(read(&folder.path().join("config.json")), config);
}

/// The other half of `helper_programs_keep_logins`.
#[test]
fn inside_another_environment() {
    if std::env::var_os("SAMARA_TEST_INSIDE").is_none() {
        return;
    }
    let load = || credentials::load(None, REGISTRY).unwrap();
    assert_eq!(load(), None);
    credentials::save(None, REGISTRY, &me()).unwrap();
    assert_eq!(load(), Some(me()));
    assert!(credentials::erase(None, REGISTRY).unwrap());
    assert!(!credentials::erase(None, REGISTRY).unwrap());
    let error = credentials::load(None, "broken.example").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(!format!("{error} {error:?}").contains("hush-hush"), "{error}");
    let error = credentials::save(None, "gone.example", &me()).unwrap_err();
    assert!(error.to_string().contains("`docker-credential-samara-gone store` fails"), "{error}");
    eprintln!("the helper was asked");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
