//! Paths, ids, tokens and other words of clients that mean no good.

use samara_server::Token;

use crate::common::{Builder, Item};
use crate::{GOOD, is_as_new, says_to, server, status};

#[test]
fn no_path_leads_out_of_the_server() {
    let server = server(|_| {});
    let long = format!("/v2/models/{}/infer", "%41".repeat(10_000));
    let deep = "/v2/..".repeat(5000);
    for path in [
        "/page/../../../etc/passwd",
        "/page/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/../page/main.js",
        "/page//main.js",
        "/page/main.js/",
        "/page/main.js%00.css",
        "/v2/models/../models/wait",
        "/v2/models/%",
        "/v2/models/%zz",
        "/v2/models/%ff%fe",
        "/v2/models/%00",
        "/v2/models/wait%00",
        "/v2/models/wait/versions/../infer",
        "/v2/models/wait/versions/%2e%2e",
        "/v2/models/wait/versions/18446744073709551616",
        "/v2/models//infer",
        "/v2/models/WAIT",
        "/v2/%6dodels/none",
        "/api/functions/%ff/tests/a",
        "/api/functions/wait/tests/..%2f..%2fetc%2fpasswd",
        "/api/",
        "/metrics/",
        "/metrics/../v2/none",
        &long,
        &deep,
    ] {
        let said = says_to(
            &server,
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
        );
        let status = status(&said);
        assert!(matches!(status, Some(400 | 404 | 405)), "{path:.80}: {said:.300}");
        assert!(said.contains(r#"{"error":"#), "{path:.80}: {said:.300}");
    }
    is_as_new(&server);
}

#[test]
fn methods_that_nobody_knows_are_refused() {
    let server = server(|_| {});
    for method in ["TRACE", "DELETE", "PROPFIND", "get", "X"] {
        for path in ["/", "/v2", "/v2/models/wait/infer", "/metrics", "/api/live", "/none"] {
            let said = says_to(
                &server,
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
            );
            assert!(matches!(status(&said), Some(404 | 405)), "{method} {path}: {said}");
        }
    }
    is_as_new(&server);
}

#[test]
fn what_a_client_calls_itself_is_not_repeated_blindly() {
    let server = server(|_| {});
    server.gate.open();
    let ask = |headers: &[(&str, &str)], body: &str| {
        server.client().send("POST", "/v2/models/wait/infer", headers, body.as_bytes())
    };
    let huge = "i".repeat(20_000);
    for id in ["a b", "\u{e4}", &huge, "\"", ""] {
        let answer = ask(&[("x-request-id", id)], GOOD);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.header("x-request-id").unwrap();
        assert!(told.len() <= 128 && (told != id || id == "\""), "{told}");
    }
    // In JSON, any text is an id; in a header, it could end the header.
    let id = "1\r\nset-cookie: evil=1";
    let answer = ask(&[], &GOOD.replacen('{', &format!("{{\"id\":{},", serde_json::json!(id)), 1));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["id"], id);
    assert_eq!(answer.header("set-cookie"), None);
    for traceparent in ["", "00", "zz-zz-zz-zz", "00-0-0-0", &huge, "00-\u{e9}"] {
        assert_eq!(ask(&[("traceparent", traceparent), ("tracestate", &huge)], GOOD).status, 200);
    }
    for timeout in ["0", "-1", "1e9", "99999999999999999999999999", "NaN", &huge] {
        let answer = ask(&[("x-request-timeout-ms", timeout)], GOOD);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.error().contains("milliseconds above 0"), "{:.200}", answer.error());
    }
    let answer = ask(&[("x-request-timeout-ms", "18446744073709551615")], GOOD);
    assert_eq!(answer.status, 200, "{}", answer.text());
    is_as_new(&server);
}

#[test]
fn tokens_are_not_guessed() {
    let server = Builder::new()
        .serve(Item::gated("wait"))
        .config(|config| config.tokens = vec![Token::new("right")])
        .start();
    let get = |headers: &[(&str, &str)]| server.client().send("GET", "/v2/models/wait", headers, b"").status;
    let huge = format!("Bearer {}", "x".repeat(20_000));
    for guess in
        ["Bearer", "Bearer ", "Bearer righ", "Bearer rightt", "Bearer  right", "Basic right", "right", &huge]
    {
        assert_eq!(get(&[("authorization", guess)]), 401, "{guess:.40}");
    }
    // The first of two is the one that counts.
    assert_eq!(get(&[("authorization", "Bearer x"), ("authorization", "Bearer right")]), 401);
    assert_eq!(get(&[("authorization", "Bearer right")]), 200);
    // What says nothing about functions needs none, and nothing else goes by
    // its name.
    for (path, expected) in [
        ("/v2/health/live", 200),
        ("/v2/health/../models/wait", 404),
        ("/v2/health/", 404),
        ("/v2/models/wait?/v2/health/", 401),
        ("/metrics", 401),
        ("/api/functions", 401),
    ] {
        assert_eq!(server.get(path).status, expected, "{path}");
    }
}

#[test]
fn pages_of_strangers_are_not_let_in() {
    let server = Builder::new()
        .serve(Item::gated("wait"))
        .config(|config| config.cors = vec!["https://friend.example".to_owned()])
        .start();
    let preflight = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        let answer = server.client().send("OPTIONS", "/v2/models/wait/infer", &headers, b"");
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(preflight("https://friend.example").as_deref(), Some("https://friend.example"));
    for origin in [
        "https://evil.example",
        "null",
        "*",
        "",
        "https://friend.example.evil",
        "https://friend.example:443",
        "http://friend.example",
        "HTTPS://FRIEND.EXAMPLE",
        "https://friend.example, https://evil.example",
        "https://friend.example/",
    ] {
        assert_eq!(preflight(origin), None, "{origin}");
    }
}
