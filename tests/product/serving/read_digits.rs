//! The example `read-digits`: an HTTP function as a user would write one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use samara_test::server::Server;

use super::{curled, serve};
use crate::documents::shown;
use crate::guide::compare;
use crate::support::root;

/// Longer than any answer takes: only a server that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the example's page says that the server listens.
const WRITTEN: &str = "localhost:8080";

fn folder() -> PathBuf {
    root().join("examples/read-digits")
}

fn example() -> Server {
    serve(&["examples/read-digits"])
}

#[test]
fn it_answers_as_its_page_shows() {
    if samara_test::program("curl").is_none() {
        return;
    }
    let server = example();
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let steps = shown(&text.replace(WRITTEN, server.address()));
    assert!(steps.len() >= 3, "only {} commands were found", steps.len());
    let mut shell = Command::new("bash");
    shell.current_dir(folder()).stdin(Stdio::null()).env("no_proxy", "*");
    compare(&steps, &mut shell, str::to_owned);
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
}

#[test]
fn a_browser_gets_a_form_and_rows() {
    let server = example();
    let url = format!("{}/read-digits", server.url());
    let Some(form) = curled([&url]) else { return };
    assert!(form.contains("enctype=\"multipart/form-data\""), "{form}");
    let three = format!("image=@{};filename=<b>.png", root().join("examples/digits/three.png").display());
    let page = curled(["--header", "accept: text/html", "--form", &three, &url]).unwrap();
    assert!(page.starts_with(&form), "{page}");
    let (_, rows) = page.split_once("<table>").unwrap();
    assert!(
        rows.contains("<tr><td>&lt;b&gt;.png<td>3<td>") && rows.trim_end().ends_with("</table>"),
        "{rows}"
    );
    let nothing = curled(["--form", "note=hello", &url]).unwrap();
    assert!(nothing.contains("has no file"), "{nothing}");
    let refused = curled(["--include", "--request", "DELETE", &url]).unwrap().to_lowercase();
    assert!(refused.contains(" 405 ") && refused.contains("allow: get, head, post"), "{refused}");
    assert!(curled(["--include", &format!("{url}/x")]).unwrap().contains(" 404 "));
}

#[test]
fn a_picture_is_answered_while_the_next_one_is_on_its_way() {
    let server = example();
    let mut stream = BufReader::new(TcpStream::connect(server.address()).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /read-digits HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\
                content-type: multipart/form-data; boundary=next\r\n\r\n";
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    send(&mut stream, b"--next");
    for (file, digit) in [("three.png", 3), ("seven.png", 7), ("zero.png", 0)] {
        let disposition = format!("\r\nContent-Disposition: form-data; name=image; filename={file}\r\n\r\n");
        let picture = std::fs::read(root().join("examples/digits").join(file)).unwrap();
        send(&mut stream, &[disposition.as_bytes(), &picture, b"\r\n--next"].concat());
        let line = stream.by_ref().lines().map(Result::unwrap).find(|line| line.starts_with('{')).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&answer["image"], &answer["digit"]), (&file.into(), &digit.into()), "{line}");
    }
    // Cut short: what was answered stays, and the rest is told.
    send(&mut stream, b"");
    let line = stream.by_ref().lines().map(Result::unwrap).find(|line| line.starts_with('{')).unwrap();
    assert_eq!(line, r#"{"error":"the form is cut short"}"#);
}

/// A piece of the body; an empty one ends it.
fn send(stream: &mut BufReader<TcpStream>, piece: &[u8]) {
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    stream.get_mut().write_all(&chunk).unwrap();
}

#[test]
fn to_run_it_is_to_serve_it() {
    let told = crate::support::samara(&["run", "examples/read-digits"]).bad();
    assert!(told.contains("is an HTTP function, which answers requests"), "{told}");
    assert!(told.contains("hint: serve it: `samara serve examples/read-digits`"), "{told}");
}

#[test]
fn it_has_the_model_that_digits_trained() {
    let model =
        |example: &str| std::fs::read(root().join("examples").join(example).join("digits.onnx")).unwrap();
    assert!(model("read-digits") == model("digits"));
}
