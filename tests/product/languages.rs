//! Functions in Python and in JavaScript: what `samara new` writes, the examples,
//! and all that their SDKs carry between the host and them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Ran, command, ran, root, samara_in};

/// A language's template, and what its project needs of the tests' tools.
struct Language {
    template: &'static str,
    function: &'static str,
    example: &'static str,
}

const PYTHON: Language = Language { template: "python", function: "function.py", example: "digits-python" };
const JS: Language = Language { template: "js", function: "src/function.js", example: "digits-js" };

impl Language {
    /// A new project that can be built; `None` where the tools are missing.
    fn project(&self, folder: &Path) -> Option<PathBuf> {
        samara_in(folder, &["new", "f", "--template", self.template]).good();
        let project = folder.join("f");
        self.install(&project, &project.join("sdk/js"))?;
        Some(project)
    }

    /// What a user installs by hand.
    fn install(&self, project: &Path, sdk: &Path) -> Option<()> {
        match self.template {
            "python" => samara_test::install_python(project),
            _ => samara_test::install_js(project, sdk),
        }
    }

    fn template_runs_as_it_comes(&self, unit_tests: &mut Command) {
        let folder = tempfile::tempdir().unwrap();
        let Some(project) = self.project(folder.path()) else { return };
        let tests = ran(unit_tests.current_dir(&project));
        assert_eq!(tests.code, Some(0), "{}{}", tests.stdout, tests.stderr);
        let built = samara_in(&project, &["build"]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        let tested = samara_in(&project, &["test"]).good();
        assert!(tested.contains("2 passed, 0 failed"), "{tested}");
        // Nothing was changed: `run` builds nothing again.
        let again = samara_in(&project, &["run"]);
        assert!(!again.stderr.contains("Building"), "{}", again.stderr);
        let empty = r#"{"inputs":[{"name":"rows","datatype":"FP32","shape":[0,2],"data":[]}]}"#;
        let refused = call(&project, empty);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("there is no row; give at least one"), "{}", refused.stderr);
    }

    fn everything_goes_through(&self) {
        let folder = tempfile::tempdir().unwrap();
        let Some(project) = self.project(folder.path()) else { return };
        let extension = Path::new(self.function).extension().unwrap().to_str().unwrap();
        let every = root().join(format!("tests/product/languages/every.{extension}"));
        fs::copy(every, project.join(self.function)).unwrap();
        fs::copy(root().join("examples/digits/digits.onnx"), project.join("digits.onnx")).unwrap();
        let manifest = project.join("samara.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, format!("{text}\n[model.digits]\npath = \"digits.onnx\"\n")).unwrap();
        let built = samara_in(&project, &["build"]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);

        for asked in ["as they are", "values"] {
            let response = call(&project, &request(asked)).response();
            for (name, datatype, data) in tensors() {
                let output = output(&response, &format!("{name}-out"));
                assert_eq!((&output["datatype"], &output["data"]), (&json!(datatype), &data), "{asked}");
            }
        }
        let response = call(&project, &request("model")).response();
        let answer = output(&response, "answer")["data"].as_array().unwrap();
        let sum: f64 = answer.iter().map(|value| value.as_f64().unwrap()).sum();
        assert!(answer.len() == 10 && (sum - 1.0).abs() < 1e-5, "{answer:?}");

        for (asked, words) in [
            ("crash", "nothing is there"),
            ("bad model input", "model `digits`: tensor `pixels`: the signature asks for shape"),
            ("no model", "no model `letters` is granted to this function"),
            ("wrong shape", "output `answer`: FP32[2, 1] "),
            ("NOT_FOUND", "you asked for NOT_FOUND"),
        ] {
            let refused = call(&project, &request(asked)).bad();
            assert!(refused.contains(words), "{asked}: {refused}");
        }
    }

    fn example_reads_a_digit(&self) {
        let folder = tempfile::tempdir().unwrap();
        let examples = folder.path().join("examples");
        let example = examples.join(self.example);
        copy(&root().join("examples").join(self.example), &example);
        symlink(root().join("guest-sdk"), folder.path().join("guest-sdk")).unwrap();
        if self.install(&example, &root().join("guest-sdk/js")).is_none() {
            return;
        }
        let built = samara_in(&example, &["build"]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        let tested = samara_in(&example, &["test"]).good();
        assert!(tested.contains(" passed, 0 failed"), "{tested}");
    }

    fn without_its_tools_it_says_what_to_install(&self, words: &str) {
        let folder = tempfile::tempdir().unwrap();
        samara_in(folder.path(), &["new", "f", "--template", self.template]).good();
        let mut build = command(&folder.path().join("f"));
        // Its programs, and no other's.
        let path = PathBuf::from("/usr/bin:/bin");
        let refused = ran(build.arg("build").env("PATH", path));
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
}

#[test]
fn a_new_python_project_runs_as_it_comes() {
    let mut unit_tests = Command::new("python3");
    unit_tests.args(["-m", "unittest"]).env("PYTHONPATH", "sdk/python").env("PYTHONDONTWRITEBYTECODE", "1");
    PYTHON.template_runs_as_it_comes(&mut unit_tests);
}

#[test]
fn a_new_js_project_runs_as_it_comes() {
    JS.template_runs_as_it_comes(Command::new("node").args(["--test", "src/"]));
}

#[test]
fn every_datatype_and_error_goes_through_python() {
    PYTHON.everything_goes_through();
}

#[test]
fn every_datatype_and_error_goes_through_js() {
    JS.everything_goes_through();
}

#[test]
fn the_python_example_reads_a_digit() {
    PYTHON.example_reads_a_digit();
}

#[test]
fn the_js_example_reads_a_digit() {
    JS.example_reads_a_digit();
}

#[test]
fn a_project_without_its_tools_says_what_to_install() {
    PYTHON.without_its_tools_it_says_what_to_install("pip install -r requirements.txt");
    if samara_test::program("npm").is_some() {
        JS.without_its_tools_it_says_what_to_install("samara-componentize");
    }
}

#[test]
fn the_sdks_pass_their_own_tests() {
    let sdk = root().join("guest-sdk");
    let python = ran(Command::new("python3")
        .args(["-m", "unittest", "discover", "-s", "tests"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", ".")
        .current_dir(sdk.join("python")));
    assert_eq!(python.code, Some(0), "{}", python.stderr);
    let js = ran(Command::new("node").args(["--test", "tests/"]).current_dir(sdk.join("js")));
    assert_eq!(js.code, Some(0), "{}{}", js.stdout, js.stderr);
}

/// One of each datatype; the numbers are ones that it holds exactly.
fn tensors() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("bool", "BOOL", json!([true, false])),
        ("uint8", "UINT8", json!([0, 255])),
        ("uint16", "UINT16", json!([0, 65535])),
        ("uint32", "UINT32", json!([0, u32::MAX])),
        ("uint64", "UINT64", json!([0, u64::MAX])),
        ("int8", "INT8", json!([-128, 127])),
        ("int16", "INT16", json!([-32768, 32767])),
        ("int32", "INT32", json!([i32::MIN, i32::MAX])),
        ("int64", "INT64", json!([i64::MIN, i64::MAX])),
        ("fp16", "FP16", json!([1.5, -65504.0, 0.25, 0.0009765625])),
        ("bf16", "BF16", json!([1.5, -3.0, 0.0078125])),
        ("fp32", "FP32", json!([0.5, -0.1])),
        ("fp64", "FP64", json!([0.1, 1e300])),
        ("bytes", "BYTES", json!(["", "Grüße", "tail"])),
    ]
}

fn request(asked: &str) -> String {
    let mut inputs = vec![json!({ "name": "ask", "datatype": "BYTES", "shape": [1], "data": [asked] })];
    inputs.extend(tensors().into_iter().map(|(name, datatype, data)| {
        json!({ "name": name, "datatype": datatype, "shape": [data.as_array().unwrap().len()], "data": data })
    }));
    json!({ "inputs": inputs }).to_string()
}

fn output<'r>(response: &'r Value, name: &str) -> &'r Value {
    let outputs = response["outputs"].as_array().unwrap();
    outputs.iter().find(|output| output["name"] == name).unwrap()
}

/// Calls the function of a folder with a request on standard input.
fn call(project: &Path, request: &str) -> Ran {
    // Hidden, so that it is no source of the project.
    let file = project.join(".request.json");
    fs::write(&file, request).unwrap();
    let request = fs::File::open(&file).unwrap();
    ran(command(project).args(["run", ".", "--output", "json"]).stdin(request))
}

/// A copy of a folder without what was built or installed there.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if ["target", "node_modules", ".venv", "__pycache__"].iter().any(|left| name == *left) {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(name)),
            false => drop(fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}
