//! Models that are images of their own, mounted into pods.

use crate::cri::Wanted;
use crate::functions::digits;
use crate::images;
use crate::node::Node;
use crate::on_containerd;
use crate::pods::{answers_seven, kubelet};

// containerd mounts images from 2.1 on.
on_containerd!(containerd_2, V2, Pods: a_model_may_be_an_image);

fn a_model_may_be_an_image(node: &Node) {
    let kubelet = kubelet(node);
    let image = node.pack(digits(), "digits");
    let model = images::linux(node, "model", &[(&digits().join("digits.onnx"), "/other.onnx")]);
    let pod = kubelet.run_pod("volume");
    let wanted = Wanted {
        image: &image,
        environment: &[("SAMARA_MODEL_DIGITS", "/model/other.onnx")],
        volumes: &[(&model, "/model")],
        ..Wanted::default()
    };
    let container = kubelet.run(&pod, &wanted).unwrap();
    answers_seven(node, &pod);
    let process = kubelet.process(&container);
    let mapped = std::fs::read_to_string(format!("/proc/{process}/mounts")).unwrap();
    let mount = mapped.lines().find(|line| line.split(' ').nth(1) == Some("/model"));
    let options = mount.unwrap().split(' ').nth(3).unwrap();
    assert!(options.split(',').any(|option| option == "ro"), "{mapped}");
    kubelet.stop(&container, 30);
    assert_eq!(kubelet.status(&container).exit_code, 0);
    kubelet.remove_pod(&pod);
}
