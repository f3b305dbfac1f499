//! TLS, tokens, pages of other origins, several addresses: who is let in, as
//! clients see it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use samara_test::server::Server;
use serde_json::Value;

use super::{IRIS, ROW, agrees, curl, curled, script, serve, serving};
use crate::support::{command, ran, root};

const TOKEN: &str = "word-of-the-clients";

#[test]
fn tls_and_tokens_let_in_who_may() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    if samara_test::write_certificates(folder.path()).is_none() {
        return;
    }
    std::fs::write(file("tokens"), format!("another\n{TOKEN}\n")).unwrap();
    let server = Server::start_at(
        &mut serving(&[
            IRIS,
            "--tls-cert",
            &file("server.crt"),
            "--tls-key",
            &file("server.key"),
            "--token-file",
            &file("tokens"),
        ]),
        &["127.0.0.1:0", "127.0.0.1:0"],
    );
    assert!(server.urls().iter().all(|url| url.starts_with("https://")), "{:?}", server.urls());
    curl_is_let_in(&server, &file("ca.crt"));
    the_bench_is_let_in(&server, folder.path());
    let arguments = [server.address(), &file("ca.crt"), TOKEN];
    if let Some(ran) = script("clients/secure.py", arguments) {
        agrees("clients with TLS and tokens", &ran);
    }
    let (status, said) = server.stop();
    assert!(status.success() && !said.contains(TOKEN), "{said}");
}

/// Over both versions of HTTP, at both addresses.
fn curl_is_let_in(server: &Server, authority: &str) {
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for url in server.urls() {
        for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let url = format!("{url}/v2/models/iris/infer");
            let asked =
                ["--cacert", authority, flag, "--json", ROW, "--write-out", "\n%{http_version} %{http_code}"];
            let asked = [&asked[..], &[&url]].concat();
            let Some(printed) = curled([&asked[..], &["--header", &bearer]].concat()) else { return };
            let (answer, end) = printed.rsplit_once('\n').unwrap();
            assert_eq!(end, format!("{version} 200"), "{printed}");
            let answer: Value = serde_json::from_str(answer).unwrap();
            assert_eq!(answer["outputs"][0]["name"], "probabilities", "{answer}");
            let refused = curled(asked).unwrap();
            assert!(refused.ends_with(&format!("{version} 401")) && refused.contains("token"), "{refused}");
        }
    }
    let mut untrusting = curl().unwrap();
    let stranger = ran(untrusting.arg(format!("{}/v2", server.url())));
    assert!(stranger.bad_with(60).contains("certificate"), "a certificate of nobody's is not trusted");
    // Probes carry no token.
    let ready =
        curled(["--cacert", authority, "--fail", &format!("{}/v2/health/ready", server.url())]).unwrap();
    assert_eq!(ready, r#"{"ready":true}"#);
}

fn the_bench_is_let_in(server: &Server, folder: &Path) {
    let grpc = server.url().replace("https", "grpcs");
    let bench = |url: &str, more: &[&str]| {
        let mut bench = command(root());
        bench.args(["bench", "--url", url, "--requests", "8", "--warm-up", "0s", "--output", "json", "-q"]);
        bench.arg("--ca-file").arg(folder.join("ca.crt")).args(more);
        ran(&mut bench)
    };
    let tokens = folder.join("token");
    std::fs::write(&tokens, TOKEN).unwrap();
    for (url, code) in [(server.url(), "401"), (&grpc, "UNAUTHENTICATED")] {
        let let_in = ["--token-file", tokens.to_str().unwrap(), "--fail-if", "errors>0"];
        let report = bench(url, &let_in).response();
        assert_eq!(report["passed"], true, "{report}");
        let refused = bench(url, &[]).bad();
        assert!(refused.contains(code) && refused.contains("token"), "{refused}");
    }
}

#[test]
fn pages_of_other_origins_ask_where_they_may() {
    let Some(chromium) = samara_test::program("chromium") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Browsers connect before they have anything to ask.
            std::thread::spawn(|| answer_with_a_page(stream));
        }
    });
    // The same page by another name is of another origin.
    let (friend, stranger) = (format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}"));
    let server = serve(&[IRIS, "--cors", &friend]);
    let arguments =
        [&friend, &stranger, server.url(), "--chromium", chromium.to_str().unwrap()].map(str::to_owned);
    let Some(ran) = script("clients/other_origin.py", arguments) else { return };
    agrees("pages of other origins", &ran);
}

/// An empty page, whatever is asked.
fn answer_with_a_page(mut stream: std::net::TcpStream) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let page = "<!doctype html><title>another origin</title>";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        page.len()
    );
    let _ = stream.write_all(format!("{head}{page}").as_bytes());
}
