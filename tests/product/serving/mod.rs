//! `samara serve` as a user meets it: the program, on real functions, asked
//! over real connections by programs that nobody here wrote.

mod clients;
mod gpu;
mod guide;
mod http_functions;
mod learned;
mod read_digits;
mod security;
mod telemetry;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use samara_test::server::Server;

use crate::support::{Ran, command, ran, root};

/// A model that is a function: `features` FP32[-1,4] to `probabilities`
/// FP32[-1,3].
const IRIS: &str = "iris=examples/score-csv/iris.onnx";
/// A request for `iris`, and the class that is the answer.
const ROW: &str =
    r#"{"inputs":[{"name":"features","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;

/// A server of functions from the repository's folder, with flags.
fn serve(arguments: &[&str]) -> Server {
    Server::start(&mut serving(arguments))
}

fn serving(arguments: &[&str]) -> Command {
    let mut command = command(root());
    command.arg("serve").args(arguments);
    command
}

/// `NAME=PATH` of a guest of the tests.
fn named_guest(name: &str, guest: &str) -> String {
    format!("{name}={}", samara_test::guest(guest).display())
}

/// curl, that says nothing but answers and errors, and gives up what hangs;
/// `None` as for [`samara_test::program`].
fn curl() -> Option<Command> {
    let mut command = Command::new(samara_test::program("curl")?);
    command.args(["--silent", "--show-error", "--max-time", "120", "--noproxy", "*"]).stdin(Stdio::null());
    Some(command)
}

/// What curl prints; it must have gone well.
fn curled<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Option<String> {
    Some(ran(curl()?.args(arguments)).good())
}

/// Runs a script of `tests/fixtures` in the tests' Python; `None` as for
/// [`samara_test::python`].
fn script<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Option<Ran> {
    let mut command = Command::new(samara_test::python()?);
    // What it says is then in the order in which it was said, also when it ends early.
    command.arg("-u").arg(fixture(name)).args(arguments).stdin(Stdio::null());
    Some(ran(&mut command))
}

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

/// What a script printed; where something differs, the test fails with its words.
#[track_caller]
fn agrees(name: &str, ran: &Ran) {
    assert!(ran.code == Some(0), "{name} ended with {:?}:\n{}\n{}", ran.code, ran.stdout, ran.stderr);
}
