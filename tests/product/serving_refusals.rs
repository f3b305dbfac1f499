//! Settings that `samara serve` cannot serve by: each is told in words that
//! name the place, before anything answers.

use std::net::TcpListener;

use samara_test::onnx::ready;

use crate::support::{Place, Ran};

fn place() -> Place {
    let place = Place::new();
    place.write("double.onnx", ready::double());
    place
}

fn serve(place: &Place, arguments: &[&str]) -> Ran {
    place.samara(&[&["serve", "--backend", "tract", "--listen", "127.0.0.1:0"], arguments].concat())
}

/// What is said to a configuration file.
fn refused(place: &Place, text: &str) -> String {
    place.write("serve.toml", text);
    let ran = serve(place, &["--config", "serve.toml"]);
    assert_ne!(ran.code, Some(0), "{text}");
    assert_eq!(ran.stdout, "");
    ran.stderr
}

#[test]
fn a_wrong_file_is_told_with_its_line_and_key() {
    let place = place();
    let cases = [
        ("listn = []", 1, "listn"),
        ("listen = 8080", 1, "listen"),
        ("instances = -1", 1, "instances"),
        ("threads = \"two\"", 1, "threads"),
        ("repository = \"everything\"", 1, "everything"),
        ("log-format = \"xml\"", 1, "xml"),
        ("cors = \"*\"", 1, "cors"),
        ("[tls]\ncertificates = \"a\"", 1, "key"),
        ("[tls]\ncertificates = \"a\"\nkey = \"b\"\nca = \"c\"", 4, "ca"),
        ("[limits]\nbody = \"much\"", 2, "body"),
        ("[limits]\nbody = \"0B\"", 2, "body"),
        ("[limits]\nheaders = 3", 2, "headers"),
        ("[limits]\nconcurrency = 0", 2, "concurrency"),
        ("[limits]\nfunction-concurrency = 0", 2, "function-concurrency"),
        ("[limits]\nfunction-queue = -1", 2, "function-queue"),
        ("[limits]\nconnections = 0", 2, "connections"),
        ("[limits]\nheader-timeout = \"1\"", 2, "header-timeout"),
        ("[limits]\nbody-timeout = \"0s\"", 2, "body-timeout"),
        ("[limits]\ndeadline = \"0s\"", 2, "deadline"),
        ("[limits]\ntimeout = \"1s\"", 2, "timeout"),
        ("[drain]\ndelay = \"-1s\"", 2, "delay"),
        ("[drain]\ntimeout = 3", 2, "timeout"),
        ("[telemetry]\nsample = \"all\"", 2, "sample"),
        ("[[function]]\nname = \"d\"", 1, "what"),
        ("[[function]]\nwhat = \"double.onnx\"\nconcurrency = 0", 3, "concurrency"),
        ("[[function]]\nwhat = \"double.onnx\"\nallow-all-requested = \"yes\"", 3, "allow-all-requested"),
        ("[[function]]\nwhat = \"double.onnx\"\nqueue = 1.5", 3, "queue"),
        ("[[function]\n", 1, "function"),
    ];
    for (text, line, key) in cases {
        let said = refused(&place, text);
        for part in ["serve.toml", &format!("line {line}"), key] {
            assert!(said.contains(part), "no {part:?} for {text:?} in:\n{said}");
        }
    }
}

#[test]
fn what_a_file_asks_for_is_checked_too() {
    let place = place();
    let one = "[[function]]\nwhat = \"double.onnx\"\n";
    let cases = [
        (format!("token-file = \"none\"\n{one}"), ["cannot read the tokens in", "none"]),
        (format!("{one}[telemetry]\nsample = 2.0\n"), ["a share of 2", "0 to 1"]),
        (format!("listen = [\"nowhere\"]\n{one}"), ["cannot listen on", "nowhere"]),
        (format!("{one}target = \"moon\"\n"), ["moon", "cpu"]),
        (format!("{one}allow-dir = [\"x:y:z:w\"]\n"), ["double", "x:y:z:w"]),
        (format!("{one}route = \"/d\"\n"), ["double", "it answers below no route such as `/d`"]),
        (format!("{one}{one}"), ["version 1 is there twice", "hint"]),
        ("[[function]]\nwhat = \"none.onnx\"\n".to_owned(), ["none.onnx", "cannot be loaded"]),
        (String::new(), ["there is nothing to serve", "samara serve digits:1"]),
    ];
    for (text, parts) in cases {
        let listen = text.contains("listen");
        place.write("serve.toml", &text);
        let arguments = ["serve", "--backend", "tract", "--config", "serve.toml"];
        let ran = if listen { place.samara(&arguments) } else { serve(&place, &arguments[3..]) };
        assert_ne!(ran.code, Some(0), "{text}");
        for part in parts {
            assert!(ran.stderr.contains(part), "no {part:?} for {text:?} in:\n{}", ran.stderr);
        }
    }
    let none = serve(&place, &["double.onnx", "--config", "none.toml"]).bad();
    assert!(none.contains("cannot read `none.toml`"), "{none}");
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_loaded() {
    let place = place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = place.samara(&["serve", "none.onnx", "--listen", &address]).bad();
    assert!(said.contains(&format!("cannot listen on `{address}`")), "{said}");
    assert!(said.contains("hint: ") && !said.contains("none.onnx"), "{said}");
}

#[test]
fn secrets_that_cannot_be_used_are_named() {
    let place = place();
    place.write("empty", "\n");
    place.write("junk.pem", "junk");
    let said = serve(&place, &["double.onnx", "--token-file", "empty"]).bad();
    assert!(said.contains("`empty` holds no token"), "{said}");
    let said = serve(&place, &["double.onnx", "--token-file", "none"]).bad();
    assert!(said.contains("cannot read the tokens in `none`"), "{said}");
    let tls = |certificates: &str| {
        serve(&place, &["double.onnx", "--tls-cert", certificates, "--tls-key", "junk.pem"]).bad()
    };
    assert!(tls("none.pem").contains("cannot use `none.pem` for TLS"));
    assert!(tls("junk.pem").contains("cannot use `junk.pem` for TLS"));
    let alone = serve(&place, &["double.onnx", "--tls-cert", "junk.pem"]);
    assert_eq!(alone.code, Some(2), "{}", alone.stderr);
}

#[test]
fn routes_that_are_taken_are_refused_in_words() {
    let place = place();
    let hello = samara_test::guest("http_hello").display().to_string();
    let serve = |arguments: &[&str]| serve(&place, arguments).bad();
    let (one, two) = (format!("one={hello}"), format!("two={hello}"));
    let clash = serve(&[&one, &two, "--route", "one=/hi", "--route", "two=/hi/"]);
    assert!(clash.contains("`two` cannot be loaded: `one` answers at `/hi` already"), "{clash}");
    let taken = serve(&[&one, "--route", "one=/api/one"]);
    assert!(taken.contains("the server itself answers at `/api`"), "{taken}");
    assert!(taken.contains("hint: give it another route"), "{taken}");
    let named = serve(&[&format!("v2={hello}")]);
    assert!(named.contains("the server itself answers at `/v2`"), "{named}");
    let unknown = place.samara(&["serve", &one, "--route", "three=/three"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("no function is named `three` here"), "{}", unknown.stderr);
}
