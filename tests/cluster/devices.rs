//! Devices that containers are given through the Container Device Interface, as
//! GPUs are.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::cri::{Kubelet, Pod, Wanted};
use crate::functions::digits;
use crate::node::Node;
use crate::on_containerd;
use crate::pods::{ask, kubelet};

// containerd 1.6 has no such interface.
on_containerd!(containerd_1_7, V1_7, Pods: a_device_comes_with_all_it_needs, a_hook_that_fails_is_told);
on_containerd!(containerd_2, V2, Pods: a_device_comes_with_all_it_needs, a_hook_that_fails_is_told);

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
