//! Manifests for Kubernetes: those that `samara k8s` prints, and those of
//! `k8s/manifests`, against the schemas of Kubernetes itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, ran, root, samara, scratch};

/// Packs a folder under a name with a registry, to which it is never sent.
fn packed(folder: &Path, name: &str) -> String {
    let reference = format!("registry.example.com/k8s/{name}:1");
    samara(&["pack", &folder.display().to_string(), "-t", &reference]).good();
    reference
}

/// A function of one component of the tests' guests.
fn project(name: &str, component: &Path, more: &str) -> PathBuf {
    let folder = scratch("k8s").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(component, folder.join("main.wasm")).unwrap();
    let manifest = format!("[function]\nname = \"{name}\"\ncomponent = \"main.wasm\"\n{more}");
    std::fs::write(folder.join("samara.toml"), manifest).unwrap();
    folder
}

/// Checks objects against the schemas of Kubernetes; of resources that others
/// define there are none.
fn validate(name: &str, manifest: &str) {
    let Some(python) = samara_test::python() else { return };
    let file = scratch("k8s-manifests").join(format!("{name}.yaml"));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, manifest).unwrap();
    let script = root().join("tests/fixtures/validate_manifests.py");
    let said = ran(Command::new(python).arg(script).arg(&file)).good();
    assert!(said.contains("valid: "), "{said}");
}

/// `kubectl kustomize` of a folder of `k8s/manifests`.
fn rendered(folder: &str) -> Option<String> {
    let kubectl = samara_test::trixie_path("kubectl")?;
    let folder = root().join("k8s/manifests").join(folder);
    let Ran { code, stdout, stderr } = ran(Command::new(kubectl).arg("kustomize").arg(folder));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    Some(stdout)
}

#[test]
fn a_function_is_a_deployment_and_a_service() {
    let image = packed(&root().join("examples/read-digits"), "read-digits");
    let manifest = samara(&["k8s", &image]).good();
    assert!(manifest.contains("kind: Deployment") && manifest.contains("kind: Service"), "{manifest}");
    assert!(manifest.contains("image: \"registry.example.com/k8s/read-digits@sha256:"), "{manifest}");
    assert!(!manifest.contains("PodDisruptionBudget"), "one pod has no budget: {manifest}");
    validate("function", &manifest);
    let more = samara(&["k8s", &image, "--replicas", "3", "--name", "seven"]).good();
    assert!(more.contains("kind: PodDisruptionBudget") && more.contains("  name: seven\n"), "{more}");
    validate("replicas", &more);
}

#[test]
fn a_command_is_a_job() {
    let folder = project("args", &samara_test::command("cli_args"), "");
    let manifest = samara(&["k8s", &packed(&folder, "args")]).good();
    assert!(manifest.contains("kind: Job") && manifest.contains(r#"command: ["/main.wasm"]"#), "{manifest}");
    validate("job", &manifest);
}

#[test]
fn what_a_function_asks_for_is_left_to_whoever_applies_it() {
    let asks = "[capabilities]\nhttp = [\"api.example.com\"]\nenvironment = [\"LEVEL\"]\n";
    let folder = project("env", &samara_test::guest("function_env"), asks);
    let manifest = samara(&["k8s", &packed(&folder, "env")]).good();
    let marked: Vec<&str> = manifest.lines().filter(|line| line.trim_start().starts_with("# ")).collect();
    assert!(marked.iter().any(|line| line.contains("SAMARA_ALLOW_HTTP")), "{manifest}");
    assert!(marked.iter().any(|line| line.contains("LEVEL")), "{manifest}");
    validate("asks", &manifest);
    // As somebody would who grants it.
    let granted = manifest
        .replace("          # ", "          ")
        .replace("          The function asks", "          # The function asks");
    validate("granted", &granted);
}

#[test]
fn a_sweep_is_an_indexed_job_with_its_points() {
    let folder = project("trial", &samara_test::command("cli_trial"), "");
    let sweep = folder.join("sweep.toml");
    let text =
        "function = \".\"\nresult = \"/out/r.json\"\n\n[parameters]\nx = [1, 2, 3]\nword = \"a: b # c\"\n";
    std::fs::write(&sweep, text).unwrap();
    let image = packed(&folder, "trial");
    let sweep = sweep.display().to_string();
    let manifest = samara(&["k8s", &image, "--sweep", &sweep, "--parallelism", "2"]).good();
    for words in [
        "  completionMode: Indexed\n  completions: 3\n  parallelism: 2\n",
        "image: \"registry.example.com/k8s/trial@sha256:",
        "command: [\"/main.wasm\"]\n",
        "    word = \"a: b # c\"\n",
        "mountPath: /tmp\n",
    ] {
        assert!(manifest.contains(words), "`{words}` in {manifest}");
    }
    validate("sweep", &manifest);
    // A function of tensors, whose inputs travel with the sweep, tabs and all.
    let folder = project("sum", &samara_test::guest("function_sum"), "");
    let request = r#"{"inputs":[{"name":"b","datatype":"FP32","shape":[1],"data":[1]}]}"#;
    std::fs::write(folder.join("in.json"), format!("{request}\t")).unwrap();
    std::fs::write(
        folder.join("sweep.toml"),
        "function = \".\"\ninputs = \"in.json\"\n[parameters]\na = [1, 2]\n",
    )
    .unwrap();
    let sweep = folder.join("sweep.toml").display().to_string();
    let manifest = samara(&["k8s", &packed(&folder, "sum-sweep"), "--sweep", &sweep]).good();
    assert!(manifest.contains("path: \"in.json\"\n") && !manifest.contains("command:"), "{manifest}");
    validate("sweep-of-tensors", &manifest);
    let said = samara(&["k8s", &image, "--parallelism", "2"]).bad_with(2);
    assert!(said.contains("--sweep"), "{said}");
}

#[test]
fn what_a_cluster_cannot_have_is_refused() {
    let said = samara(&["k8s", "digits:1"]).bad_with(2);
    assert!(said.contains("names no registry") && said.contains("samara push"), "{said}");
    let folder = project("args", &samara_test::command("cli_args"), "");
    let said = samara(&["k8s", &packed(&folder, "named"), "--name", "Not_One"]).bad_with(2);
    assert!(said.contains("Kubernetes takes no `Not_One` for a name"), "{said}");
}

#[test]
fn the_manifests_render_and_are_valid() {
    let examples = [
        "examples/digits",
        "examples/canary",
        "examples/image-volume",
        "examples/job",
        "examples/kserve",
        "examples/sweep",
    ];
    for folder in ["runtime", "base", "node-installer"].into_iter().chain(examples) {
        let Some(manifest) = rendered(folder) else { return };
        validate(&folder.replace('/', "-"), &manifest);
    }
    let sweep = rendered("examples/sweep").unwrap();
    let text = std::fs::read_to_string(root().join("k8s/manifests/examples/sweep/sweep.toml")).unwrap();
    let points =
        samara(&["sweep", "examples/tune-digits/sweep.toml", "--output", "csv", "-q"]).good().lines().count()
            - 1;
    assert!(sweep.contains(&format!("  completions: {points}\n")), "{sweep}");
    let beside = std::fs::read_to_string(root().join("examples/tune-digits/sweep.toml")).unwrap();
    assert_eq!(text.split_once('\n').unwrap().1, beside.split_once('\n').unwrap().1, "the same points");
    let canary = rendered("examples/canary").unwrap();
    assert!(canary.contains("name: function-canary\n") && canary.contains("weight: 10"), "{canary}");
    let autoscaled = rendered("examples/digits").unwrap();
    assert!(
        autoscaled.contains("    name: digits-function\n"),
        "the autoscaler finds its deployment: {autoscaled}"
    );
    let volume = rendered("examples/image-volume").unwrap();
    assert!(volume.contains("reference: registry.example.com/digits-model:1\n"), "{volume}");
}
