//! Devices that containers are given through the Container Device Interface, as
//! GPUs are.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::cri::{Kubelet, Pod, Wanted};
use crate::functions::digits;
use crate::node::{Node, ran};
use crate::on_containerd;
use crate::pods::{answers_seven, ask, kubelet};

// containerd 1.6 has no such interface.
on_containerd!(
    containerd_1_7, V1_7, Pods:
    a_device_comes_with_all_it_needs,
    a_hook_that_fails_is_told,
    a_model_runs_on_the_gpu_of_a_driver,
);
on_containerd!(
    containerd_2, V2, Pods:
    a_device_comes_with_all_it_needs,
    a_hook_that_fails_is_told,
    a_model_runs_on_the_gpu_of_a_driver,
);

/// The driver that computes on the CPU, as Debian installs it, and what describes it.
const DRIVER: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so", "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"];

/// Describes a device `samara.dev/gpu=one`, as drivers of GPUs do, with a hook of
/// one kind only.
fn describe(node: &Node, kind: &str, hook: &str) {
    let models = node.folder().join("models");
    std::fs::create_dir_all(&models).unwrap();
    std::fs::copy(digits().join("digits.onnx"), models.join("other.onnx")).unwrap();
    let device = json!({
        "deviceNodes": [{ "path": "/dev/fake-gpu", "hostPath": "/dev/null", "permissions": "rw" }],
        "env": ["SAMARA_MODEL_DIGITS=/gpu/other.onnx", "SAMARA_NAME=numbers"],
        "mounts": [{ "hostPath": models, "containerPath": "/gpu", "options": ["rbind", "ro"] }],
        "hooks": [{ "hookName": kind, "path": "/bin/sh", "args": ["sh", "-c", hook] }],
    });
    write(node, &device);
}

fn write(node: &Node, device: &Value) {
    let all = json!({
        "cdiVersion": "0.5.0",
        "kind": "samara.dev/gpu",
        "devices": [{ "name": "one", "containerEdits": device }],
    });
    let folder = node.folder().join("cdi");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("samara.json"), all.to_string()).unwrap();
}

fn run(kubelet: &Kubelet, pod: &Pod, image: &str) -> Result<String, String> {
    kubelet.run(pod, &Wanted { image, devices: &["samara.dev/gpu=one"], ..Wanted::default() })
}

fn a_device_comes_with_all_it_needs(node: &Node) {
    let kubelet = kubelet(node);
    let image = node.pack(digits(), "digits");
    for kind in ["createContainer", "prestart"] {
        let hooked = node.folder().join(kind);
        describe(node, kind, &format!("cat >> {0}; echo >> {0}", hooked.display()));
        let pod = kubelet.run_pod("device");
        let container = run(&kubelet, &pod, &image).unwrap();
        // The variables have named it, and the mount has its model.
        node.until("the pod is ready", || ask(&pod, &["--fail"], "/v2/models/numbers/ready").is_some());

        let process = kubelet.process(&container);
        let device = std::fs::metadata(format!("/proc/{process}/root/dev/fake-gpu")).unwrap();
        assert_eq!(device.rdev(), std::fs::metadata("/dev/null").unwrap().rdev());

        let states = std::fs::read_to_string(&hooked).unwrap();
        assert_eq!(states.lines().count(), 1, "a hook runs once: {states}");
        let state: Value = serde_json::from_str(&states).unwrap();
        assert_eq!(state["id"], json!(container));
        let bundle = state["bundle"].as_str().unwrap();
        assert!(Path::new(bundle).join("config.json").exists(), "{state}");

        kubelet.stop(&container, 30);
        assert_eq!(kubelet.status(&container).exit_code, 0);
        kubelet.remove_pod(&pod);
    }
}

fn a_hook_that_fails_is_told(node: &Node) {
    let kubelet = kubelet(node);
    let image = node.pack(digits(), "digits");
    describe(node, "createContainer", "exit 3");
    let pod = kubelet.run_pod("broken");
    let said = run(&kubelet, &pod, &image).unwrap_err();
    assert!(said.contains("hook"), "{said}");
    // The pod is none the worse for it.
    describe(node, "createContainer", "true");
    let container = run(&kubelet, &pod, &image).unwrap();
    node.until("the pod is ready", || ask(&pod, &["--fail"], "/v2/models/numbers/ready").is_some());
    kubelet.stop(&container, 30);
    kubelet.remove_pod(&pod);
}

/// Of the driver, files come into the container as a vendor's do; what loads drivers is
/// the node's.
fn a_model_runs_on_the_gpu_of_a_driver(node: &Node) {
    if DRIVER.iter().any(|file| !Path::new(file).exists()) {
        let reason = "there is no driver that computes on the CPU: install `mesa-vulkan-drivers`";
        assert!(!samara_test::must_have_everything(), "{reason}");
        eprintln!("skipped: {reason}");
        return;
    }
    let linked = ran(Command::new("ldd").arg(DRIVER[0])).good();
    let linked = linked.lines().filter_map(|line| line.split_once("=> ")?.1.split(' ').next());
    let mount = |file: &str| {
        let real = std::fs::canonicalize(file).unwrap();
        json!({ "hostPath": real, "containerPath": file, "options": ["rbind", "ro"] })
    };
    let mounts: Vec<Value> = DRIVER.into_iter().chain(linked).map(mount).collect();
    let variables = ["SAMARA_TARGET=gpu", "SAMARA_ALLOW_SOFTWARE_GPU=true"];
    write(node, &json!({ "env": variables, "mounts": mounts }));

    let kubelet = kubelet(node);
    let image = node.pack(digits(), "digits");
    let pod = kubelet.run_pod("gpu");
    let container = run(&kubelet, &pod, &image).unwrap();
    answers_seven(node, &pod);
    let metrics = ask(&pod, &[], "/metrics").unwrap();
    assert!(metrics.contains(r#"target="gpu:0""#) || metrics.contains(r#"target="gpu""#), "{metrics}");
    kubelet.stop(&container, 30);
    kubelet.remove_pod(&pod);
}
