//! Running the `samara` program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The standard output of a run that went well.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The response of a run with `--output json` that went well.
    pub(crate) fn response(self) -> Value {
        serde_json::from_str(&self.good()).unwrap()
    }
}

/// The program, with a store of the tests' own, in the repository's folder.
pub(crate) fn samara(arguments: &[&str]) -> Ran {
    samara_in(root(), arguments)
}

pub(crate) fn samara_in(folder: &Path, arguments: &[&str]) -> Ran {
    ran(command(folder).args(arguments))
}

pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(samara_test::samara());
    command.current_dir(folder).stdin(Stdio::null()).env("SAMARA_STORE", scratch("store"));
    // Builds that a test starts must not inherit what cargo set for the test.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "SAMARA_ONNXRUNTIME"] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ran {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A folder that outlives the test run, for what is costly to make.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// An output of a response, as numbers.
pub(crate) fn numbers(response: &Value, output: &str) -> Vec<f64> {
    let outputs = response["outputs"].as_array().unwrap();
    let found = outputs.iter().find(|found| found["name"] == output);
    let found = found.unwrap_or_else(|| panic!("no output `{output}` in {response}"));
    found["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}
