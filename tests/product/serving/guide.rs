//! The guide "Serving" and the page of an example that is served, followed word by
//! word.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::documents::{Shown, shown};
use crate::guide::{compare, programs};
use crate::support::{root, scratch};

/// Where the documents' servers listen.
const WRITTEN: &str = "localhost:8080";

#[test]
fn the_guide_of_serving_does_what_it_shows() {
    let needed = ["curl", "openssl"].map(samara_test::program);
    let (Some(python), [Some(_), Some(_)]) = (samara_test::python(), needed) else { return };
    let port = free_port();
    let steps = steps("host/docs/serving.md", port);
    assert!(steps.len() > 30, "only {} commands were found", steps.len());
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("examples/score-csv/iris.onnx"), folder.path().join("iris.onnx")).unwrap();
    let mut shell = shell(folder.path(), folder.path(), port);
    shell.env("PATH", programs(&[python.parent().unwrap()]));
    compare(&steps, &mut shell, settled);
}

#[test]
fn the_page_of_tabular_does_what_it_shows() {
    if samara_test::program("curl").is_none() {
        return;
    }
    let port = free_port();
    let steps = steps("examples/tabular/README.md", port);
    assert!(steps.len() > 5, "only {} commands were found", steps.len());
    let home = tempfile::tempdir().unwrap();
    compare(&steps, &mut shell(root(), home.path(), port), settled);
}

/// The commands of a document, with the server on this port.
fn steps(document: &str, port: u16) -> Vec<Shown> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    shown(&text.replace(WRITTEN, &format!("localhost:{port}")))
}

fn shell(folder: &Path, home: &Path, port: u16) -> Command {
    let mut shell = Command::new("bash");
    shell.current_dir(folder).stdin(Stdio::null());
    shell.env("PATH", programs(&[])).env("HOME", home);
    shell.env("SAMARA_STORE", scratch("store")).env("SAMARA_LISTEN", format!("127.0.0.1:{port}"));
    for variable in ["SAMARA_POLICY", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        shell.env_remove(variable);
    }
    shell
}

/// A port that no other program is given meanwhile: below those that the system
/// hands out.
fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..32_000).find(is_free).unwrap()
}

/// A line without what differs from run to run and from machine to machine:
/// times, and the last digits of numbers.
fn settled(line: &str) -> String {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | '-' | '+');
    let mut settled = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let (number, after) = from.split_at(from.find(|c| !is_number(c)).unwrap_or(from.len()));
        settled.push_str(before);
        match number.parse::<f64>() {
            _ if before.ends_with("_us\":") => settled.push_str("TIME"),
            Ok(value) if number.contains('.') => settled.push_str(&format!("{value:.2e}")),
            _ => settled.push_str(number),
        }
        rest = after;
    }
    settled + rest
}
