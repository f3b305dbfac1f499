//! containerd that ends and comes back, while its containers go on.

use crate::cri::{Kubelet, Wanted};
use crate::functions::{answer, answer_of, digits};
use crate::node::Node;
use crate::pods::{answers_seven, kubelet};
use crate::{on_containerd, on_every_containerd};

on_every_containerd!(a_function_outlives_containerd, a_container_that_was_being_made_leaves_nothing);

mod pods {
    use super::{a_pod_outlives_containerd, on_containerd};

    on_containerd!(containerd_1_6, V1_6, Pods: a_pod_outlives_containerd);
    on_containerd!(containerd_1_7, V1_7, Pods: a_pod_outlives_containerd);
    on_containerd!(containerd_2, V2, Pods: a_pod_outlives_containerd);
}

fn a_function_outlives_containerd(node: &Node) {
    let image = node.pack(digits(), "digits");
    // A second time: what was left of the first is in nobody's way.
    for _ in 0..2 {
        node.launch(&[], &image, "d", &[]);
        node.ready("d");
        let task = node.task("d").unwrap();
        node.crash();
        assert!(answer_of(node, task.0).contains(r#""data":[7]"#), "it needs no containerd to answer");
        assert_ne!(node.ended("d"), 0, "containerd's client ends with it");
        node.resume();
        assert_eq!(node.task("d"), Some(task));
        assert!(answer(node, "d").contains(r#""data":[7]"#));

        node.ctr(&["task", "kill", "--signal", "SIGTERM", "d"]).good();
        node.until("the container ends", || node.task("d").unwrap().1 == "STOPPED");
        // It ends as the container did.
        assert_eq!(node.ctr(&["task", "delete", "d"]).code, Some(0));
        node.ctr(&["container", "delete", "d"]).good();
        node.until("its shim ends", || node.shims().is_empty());
        assert!(!node.bundle("d").exists() && !node.remembers("d"));
    }
}

fn a_container_that_was_being_made_leaves_nothing(node: &Node) {
    let image = node.pack(digits(), "digits");
    // What there is when containerd ends: a folder, a shim, what the runtime knows of
    // the container, its process.
    let moments: [fn(&Node) -> bool; 4] = [
        |node| node.bundle("c").exists(),
        |node| !node.shims().is_empty(),
        |node| node.remembers("c"),
        |node| node.bundle("c").join("init.pid").exists() || !node.said("c").is_empty(),
    ];
    for moment in moments {
        node.launch(&[], &image, "c", &[]);
        node.moment(moment);
        node.crash();
        node.ended("c");
        node.resume();
        node.until("the container is gone", || {
            node.remove("c");
            let is_listed = !node.ctr(&["container", "ls", "--quiet"]).good().is_empty();
            !is_listed && !node.bundle("c").exists() && !node.remembers("c") && node.shims().is_empty()
        });
    }
    node.launch(&[], &image, "c", &[]);
    node.ready("c");
    assert!(answer(node, "c").contains(r#""data":[7]"#));
}

fn a_pod_outlives_containerd(node: &Node) {
    let before = kubelet(node);
    let image = node.pack(digits(), "digits");
    let pod = before.run_pod("digits");
    let container = before.run(&pod, &Wanted { image: &image, ..Wanted::default() }).unwrap();
    answers_seven(node, &pod);
    let process = before.process(&container);
    node.crash();
    answers_seven(node, &pod);
    node.resume();
    let kubelet = Kubelet::connect(node.socket(), node.folder().join("logs"));
    node.until("containerd serves pods", || kubelet.is_ready());
    assert_eq!(kubelet.process(&container), process);
    answers_seven(node, &pod);
    kubelet.stop(&container, 30);
    let status = kubelet.status(&container);
    assert_eq!((status.exit_code, status.reason.as_str()), (0, "Completed"));
    // Another container in the same pod.
    kubelet.remove(&container);
    let container = kubelet.run(&pod, &Wanted { image: &image, ..Wanted::default() }).unwrap();
    answers_seven(node, &pod);
    kubelet.stop(&container, 30);
    kubelet.remove_pod(&pod);
}
