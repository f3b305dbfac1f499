//! The guide "From notebook to registry", followed word by word against a real
//! registry.

use std::ffi::OsString;
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
    let mut shell = Command::new("bash");
    shell
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .env("PATH", programs(&[]))
        .env("HOME", folder.path())
        .env("DOCKER_CONFIG", folder.path().join("docker"))
        .env("SAMARA_STORE", folder.path().join("store"))
        .env("REGISTRY_PASSWORD", "word-of-the-team")
        .env("SAMARA_KEY_PASSWORD", "word of the key")
        .env_remove("SAMARA_POLICY");
    compare(&steps, &mut shell, str::to_owned);
}

/// Runs commands in one shell, and compares what they print with what is shown,
/// line by line, each `settled` before.
pub(crate) fn compare(steps: &[Shown], shell: &mut Command, settled: fn(&str) -> String) {
    let (printed, log) = follow(steps, shell);
    let lines = |text: &str| spaced(text).iter().map(|line| settled(line)).collect::<Vec<_>>();
    let mut outputs = printed.split_inclusive(MARK);
    for step in steps {
        let output = outputs.next().unwrap_or_default().trim_end_matches(MARK);
        // The exit code of the step before stands first.
        let (code, output) = output.split_once('\n').unwrap_or(("", output));
        assert!(matches!(code, "" | " 0"), "before `{}`: exit code {code}\n{printed}\n{log}", step.command);
        assert_eq!(lines(output), lines(&step.output), "`{}`\n{log}", step.command);
    }
    assert_eq!(outputs.next().map(str::trim), Some("0"), "{log}");
}

/// Gives the standard output and error of the commands.
fn follow(steps: &[Shown], shell: &mut Command) -> (String, String) {
    // What runs beside the commands ends with them.
    let mut script = String::from("trap 'kill $(jobs -p) 2> /dev/null' EXIT\necho\n");
    for step in steps {
        script.push_str(&format!("{}\necho {MARK} $?\n", step.command));
    }
    let output = shell.args(["-c", &script]).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The `PATH` of a shell that is to find `samara`, and more before it.
pub(crate) fn programs(first: &[&Path]) -> OsString {
    let samara = samara_test::samara();
    let folders = first.iter().copied().chain(samara.parent()).map(Path::to_owned);
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(folders.chain(std::env::split_paths(&others))).unwrap()
}

/// Lines with runs of spaces as one: columns are as wide as their widest text.
fn spaced(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_end().lines().map(line).collect()
}
