//! The guide "From notebook to registry", followed word by word against a real
//! registry.

use std::path::Path;
use std::process::{Command, Stdio};

use samara_test::registry::{DockerRegistry, Setup};

use crate::documents::{Shown, shown};
use crate::support::root;

/// Where the guide says that the registry is.
const WRITTEN: &str = "localhost:5000";

/// Ends the output of each command of the script; the exit code follows.
const MARK: &str = "@@exit";

#[test]
fn the_guide_does_what_it_shows() {
    let Some(registry) =
        DockerRegistry::start(&Setup { login: Some(("team", "word-of-the-team")), ..Setup::default() })
    else {
        return;
    };
    let text = std::fs::read_to_string(root().join("host/docs/from-notebook-to-registry.md")).unwrap();
    let steps = shown(&text.replace(WRITTEN, registry.host()));
    assert!(steps.len() > 25, "only {} commands were found", steps.len());
    let folder = tempfile::tempdir().unwrap();
    for file in ["digits.onnx", "eight.png"] {
        std::fs::copy(root().join("examples/digits").join(file), folder.path().join(file)).unwrap();
    }
    let (printed, log) = follow(&steps, folder.path());
    let mut outputs = printed.split_inclusive(MARK);
    for step in &steps {
        let output = outputs.next().unwrap_or_default().trim_end_matches(MARK);
        // The exit code of the step before stands first.
        let (code, output) = output.split_once('\n').unwrap_or(("", output));
        assert!(matches!(code, "" | " 0"), "before `{}`: exit code {code}\n{printed}\n{log}", step.command);
        assert_eq!(spaced(output), spaced(&step.output), "`{}`\n{log}", step.command);
    }
    assert_eq!(outputs.next().map(str::trim), Some("0"), "{log}");
}

/// Runs the commands in one shell; gives its standard output and error.
fn follow(steps: &[Shown], folder: &Path) -> (String, String) {
    let mut script = String::from("echo\n");
    for step in steps {
        script.push_str(&format!("{}\necho {MARK} $?\n", step.command));
    }
    let samara = samara_test::samara();
    let programs = std::env::join_paths(
        [samara.parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("PATH", programs.unwrap())
        .env("HOME", folder)
        .env("DOCKER_CONFIG", folder.join("docker"))
        .env("SAMARA_STORE", folder.join("store"))
        .env("REGISTRY_PASSWORD", "word-of-the-team")
        .env("SAMARA_KEY_PASSWORD", "word of the key")
        .env_remove("SAMARA_POLICY")
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Lines with runs of spaces as one: columns are as wide as their widest text.
fn spaced(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_end().lines().map(line).collect()
}
