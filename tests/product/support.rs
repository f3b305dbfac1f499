//! Running the `samara` program.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use samara_test::onnx::{FP32, Model};
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

    /// The standard error of a run that failed, and said nothing else.
    pub(crate) fn bad(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        self.stderr
    }

    /// The standard error of a run that failed with this exit code.
    #[track_caller]
    pub(crate) fn bad_with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stderr
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

/// As [`samara_test::has_gpu`], by what the program finds.
pub(crate) fn has_gpu() -> bool {
    let backends = samara(&["backends", "--allow-software-gpu", "--output", "json"]).response();
    let mut listed = backends["backends"].as_array().unwrap().iter();
    let wgpu = listed.find(|backend| backend["name"] == "wgpu").unwrap();
    samara_test::has_gpu(wgpu["reason"].as_str())
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
    command.output().unwrap().into()
}

impl From<Output> for Ran {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        Self {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Arguments with a store in front.
pub(crate) fn at<'a>(store: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--store", store], arguments].concat()
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

/// What the model of a [`Place::tiny`] project makes of the input of its test,
/// as [`Place::answer`] gives it.
pub(crate) const TINY_ANSWER: [f64; 3] = [2.0, -3.0, 0.5];

/// A custom section for the end of a component: its digest becomes another,
/// and nothing else.
pub(crate) const EMPTY_SECTION: &[u8] = &[0, 2, 1, b'v'];

/// A folder of a test's own. Its stores, keys and logins are in there, and
/// nothing that belongs to the user of the machine is looked at.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// In memory where that can be, for what a disk would make slow.
    pub(crate) fn in_memory() -> Self {
        Self::within(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn within(folder: tempfile::TempDir) -> Self {
        let place = Self { folder };
        place.store("store");
        place
    }

    /// A store for `--store NAME` that knows the code which other tests have
    /// compiled: unoptimised, a compiler takes seconds for a component.
    pub(crate) fn store(&self, name: &str) {
        let code = scratch("store").join("code");
        std::fs::create_dir_all(&code).unwrap();
        std::fs::create_dir_all(self.path(name)).unwrap();
        std::os::unix::fs::symlink(code, self.path(name).join("code")).unwrap();
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub(crate) fn write(&self, inside: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn append(&self, inside: &str, more: &[u8]) {
        let content = [&std::fs::read(self.path(inside)).unwrap(), more].concat();
        self.write(inside, content);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.folder.path());
        self.settle(&mut command);
        command.env("SAMARA_STORE", self.path("store")).args(arguments);
        command
    }

    /// Lets a program know this place as its user's.
    pub(crate) fn settle(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).env("DOCKER_CONFIG", self.path("docker"));
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(variable, self.path("home"));
        }
        for variable in ["SAMARA_KEY_PASSWORD", "COSIGN_PASSWORD"] {
            command.env(variable, "word of the key");
        }
        for variable in ["SAMARA_POLICY", "SAMARA_CA_FILE"] {
            command.env_remove(variable);
        }
    }

    pub(crate) fn samara(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// Runs `samara` with text on its standard input.
    pub(crate) fn samara_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A run that fails early reads no input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::from(child.wait_with_output().unwrap())
    }

    /// What a command that goes well says to programs.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.samara(&[arguments, &["--output", "json", "-q"]].concat()).response()
    }

    /// The digest that a command prints, of an image.
    pub(crate) fn digest(&self, arguments: &[&str]) -> String {
        let printed = self.samara(arguments).good();
        let digest = printed.trim_end();
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{printed}");
        digest.to_owned()
    }

    /// What `run` answers to the first test of a [`tiny`](Self::tiny) project,
    /// wherever it is packed.
    pub(crate) fn answer(&self, arguments: &[&str]) -> Vec<f64> {
        numbers(&self.json(&[&["run"], arguments].concat()), "y")
    }

    /// A project of one component and one model of `4 weights` bytes, which
    /// is there as `DIR/samara.toml`.
    pub(crate) fn tiny(&self, folder: &str, weights: usize) {
        let file = |name: &str| format!("{folder}/{name}");
        self.write(
            &file("samara.toml"),
            "[function]\nname = \"tiny\"\nversion = \"1.0.0\"\ncomponent = \"tiny.wasm\"\n\
             [model.m]\npath = \"m.onnx\"\n\
             [[test]]\nname = \"three\"\ninputs = \"in.json\"\nexpect = \"out.json\"\n",
        );
        self.write(&file("tiny.wasm"), std::fs::read(samara_test::guest("function_model")).unwrap());
        self.write(&file("m.onnx"), doubling(weights));
        let tensor = |name: &str, data: &[f64]| serde_json::json!({"name": name, "datatype": "FP32", "shape": [3], "data": data});
        let halves = TINY_ANSWER.map(|number| number / 2.0);
        self.write(&file("in.json"), serde_json::json!({"inputs": [tensor("x", &halves)]}).to_string());
        let expected = serde_json::json!({"model_name": "tiny", "outputs": [tensor("y", &TINY_ANSWER)]});
        self.write(&file("out.json"), expected.to_string());
    }

    /// Lets a tiny project take its model from an image.
    pub(crate) fn model_from(&self, folder: &str, image: &str) {
        let path = self.path(folder).join("samara.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"m.onnx\"", &format!("\"oci://{image}\""))).unwrap();
        std::fs::remove_file(self.path(folder).join("m.onnx")).unwrap();
    }

    /// The files of the blobs of a store, by their digests.
    pub(crate) fn blobs(&self, store: &str) -> Vec<PathBuf> {
        let Ok(entries) = self.path(store).join("blobs/sha256").read_dir() else { return Vec::new() };
        let mut blobs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        blobs.sort();
        blobs
    }

    /// The file of one blob.
    pub(crate) fn blob(&self, store: &str, digest: &str) -> PathBuf {
        self.path(store).join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }
}

/// `y = 2 x` for any number of numbers, where the 2 is the least of so many
/// weights.
fn doubling(weights: usize) -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["count"])
        .floats("w", &[i64::try_from(weights).unwrap()], &vec![2.0; weights])
        .node("ReduceMin", &["w"], &["two"])
        .node("Mul", &["x", "two"], &["y"])
        .output("y", FP32, &["count"])
        .bytes()
}
