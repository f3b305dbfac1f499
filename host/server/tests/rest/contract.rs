//! The server against its own description, by a program that sends what the
//! description allows and what it does not.

use std::process::Command;

use samara_server::RepositoryControl;
use samara_test::onnx::ready;

use crate::common::{Builder, Item};

/// Deadlines are part of what the description allows, and short ones pass.
/// Headers that a description does not name are no fault of a request.
const SETTINGS: &str = r#"[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 504]
[generation]
allow-extra-parameters = false
"#;

/// Which names and shapes a function takes is not for the description to say,
/// so what it allows may still be refused.
const NOT_CHECKED: &str = "positive_data_acceptance";

#[test]
fn the_server_keeps_to_what_its_description_says() {
    let Some(python) = samara_test::python() else { return };
    let server = Builder::new()
        .serve(Item::model("double", ready::double()))
        .serve(Item::guest("text", "function_text"))
        .config(|config| config.repository = RepositoryControl::ReadOnly)
        .start();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("schemathesis.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let output = Command::new(python.with_file_name("schemathesis"))
        .arg("--config-file")
        .arg(&settings)
        .args(["run", "--checks", "all", "--exclude-checks", NOT_CHECKED])
        .args(["--max-examples", "15", "--seed", "1", "--no-color", "--request-timeout", "60"])
        .arg(format!("http://{}/openapi.json", server.address))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}
