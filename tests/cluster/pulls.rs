//! Which forms of images which containerd pulls from a registry and runs.

use std::path::Path;
use std::process::Command;

use samara_test::registry::DockerRegistry;

use crate::cri::Wanted;
use crate::functions::digits;
use crate::images::project;
use crate::node::{Node, ran};
use crate::on_containerd;
use crate::pods::{answers_seven, ask, kubelet};

on_containerd!(containerd_1_6, V1_6, Pods: pods_come_from_a_registry, a_plain_artifact_is_refused);
on_containerd!(containerd_1_7, V1_7, Pods: pods_come_from_a_registry, a_pod_is_a_plain_artifact);
on_containerd!(containerd_2, V2, Pods: pods_come_from_a_registry, a_pod_is_a_plain_artifact);

/// Packs a folder in a form, and sends it to the registry.
fn push(node: &Node, registry: &DockerRegistry, folder: &Path, form: &str) -> String {
    let image = format!("{}/team/{form}:1", registry.host());
    let store = node.folder().join("store").display().to_string();
    let samara = |arguments: &[&str]| {
        ran(Command::new(samara_test::samara()).args(["--store", &store]).args(arguments)).good()
    };
    samara(&["pack", &folder.display().to_string(), "-t", &image, "--form", form]);
    samara(&["push", &image]);
    image
}

fn pods_come_from_a_registry(node: &Node) {
    let Some(registry) = DockerRegistry::start(&Default::default()) else { return };
    let kubelet = kubelet(node);
    for form in ["mixed", "tar"] {
        let image = push(node, &registry, digits(), form);
        kubelet.pull(&image).unwrap();
        let pod = kubelet.run_pod(form);
        let container = kubelet.run(&pod, &Wanted { image: &image, ..Wanted::default() }).unwrap();
        answers_seven(node, &pod);
        // The first form's components are handed over, and compiled once.
        assert_eq!(node.compiled(), 2);
        kubelet.stop(&container, 30);
        kubelet.remove_pod(&pod);
    }
}

/// What other tools make of a component: no samara is needed to pack it.
fn a_pod_is_a_plain_artifact(node: &Node) {
    let Some(registry) = DockerRegistry::start(&Default::default()) else { return };
    let kubelet = kubelet(node);
    let folder = project(node, "sum", &samara_test::guest("function_sum"), "");
    let image = push(node, &registry, &folder, "wasm");
    kubelet.pull(&image).unwrap();
    let pod = kubelet.run_pod("artifact");
    // It has none of its own.
    let command = ["/sum.wasm"];
    let container =
        kubelet.run(&pod, &Wanted { image: &image, command: &command, ..Wanted::default() }).unwrap();
    node.until("the pod is ready", || ask(&pod, &["--fail"], "/v2/health/ready").is_some());
    let body = r#"{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[1]},{"name":"b","datatype":"FP32","shape":[1],"data":[2]}]}"#;
    let answer = ask(&pod, &["--data", body], "/v2/models/main/infer").unwrap();
    assert!(answer.contains(r#""data":[3"#), "{answer}");
    kubelet.stop(&container, 30);
    kubelet.remove_pod(&pod);
}

fn a_plain_artifact_is_refused(node: &Node) {
    let Some(registry) = DockerRegistry::start(&Default::default()) else { return };
    let folder = project(node, "sum", &samara_test::guest("function_sum"), "");
    let said = kubelet(node).pull(&push(node, &registry, &folder, "wasm")).unwrap_err();
    assert!(said.contains("mismatched image rootfs and manifest layers"), "{said}");
}
