//! What happens to containers: told to end while they answer, killed, their shim
//! killed, many at a time.

use std::process::{Command, Stdio};

use crate::functions::{answer, digits};
use crate::images::project;
use crate::node::{Node, Version};
use crate::on_every_containerd;

on_every_containerd!(
    a_request_that_runs_is_answered_when_the_pod_ends,
    a_killed_container_says_so,
    a_killed_shim_leaves_a_node_that_works,
    many_start_at_once,
);

fn a_request_that_runs_is_answered_when_the_pod_ends(node: &Node) {
    let limits = "[limits]\ndeadline = \"3s\"\n";
    let folder = project(node, "endless", &samara_test::guest("function_loop"), limits);
    let image = node.pack(&folder, "endless");
    node.launch(&["--env", "SAMARA_DRAIN_DELAY=0"], &image, "e", &[]);
    node.ready("e");
    let (pid, _) = node.task("e").unwrap();
    let body = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;
    let asked = Command::new("nsenter")
        .args([&format!("--net=/proc/{pid}/ns/net"), "curl", "--silent", "--write-out", " %{http_code}"])
        .args(["--data", body, "http://127.0.0.1:8080/v2/models/endless/infer"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let running = || {
        let metrics = node.ask("e", &[], "/metrics").unwrap_or_default();
        metrics.lines().any(|line| line.starts_with("samara_requests_in_flight") && line.ends_with(" 1"))
    };
    node.until("the request runs", running);
    node.ctr(&["task", "kill", "--signal", "SIGTERM", "e"]).good();
    let answered = asked.wait_with_output().unwrap();
    let answered = String::from_utf8(answered.stdout).unwrap();
    // Its own deadline ends it: the pod's end does not.
    assert!(answered.contains("3s") && answered.ends_with(" 504"), "{answered}");
    assert_eq!(node.ended("e"), 0);
}

fn a_killed_container_says_so(node: &Node) {
    let image = node.pack(digits(), "digits");
    node.launch(&[], &image, "k", &[]);
    node.ready("k");
    node.ctr(&["task", "kill", "--signal", "SIGKILL", "k"]).good();
    assert_eq!(node.ended("k"), 137);
}

fn a_killed_shim_leaves_a_node_that_works(node: &Node) {
    let image = node.pack(digits(), "digits");
    node.launch(&[], &image, "one", &[]);
    node.ready("one");
    for pid in node.shims() {
        Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    node.ended("one");
    // containerd notices by and by that the shim is gone, and cleans up.
    node.until("the container is gone", || {
        node.ctr(&["task", "delete", "--force", "one"]);
        node.ctr(&["container", "delete", "one"]);
        let is_listed = !node.ctr(&["container", "ls", "--quiet"]).good().is_empty();
        !is_listed && !node.bundle("one").exists() && !node.remembers("one")
    });
    // Of the same name: nothing of the first one is in its way.
    node.launch(&[], &image, "one", &[]);
    node.ready("one");
    assert!(answer(node, "one").contains(r#""data":[7]"#));
}

fn many_start_at_once(node: &Node) {
    // On 1.6 each of them compiles for itself.
    let many = if node.version == Version::V1_6 { 10 } else { 50 };
    let image = node.pack(digits(), "digits");
    let ids: Vec<String> = (0..many).map(|number| format!("m{number}")).collect();
    std::thread::scope(|scope| {
        for id in &ids {
            scope.spawn(|| node.launch(&[], &image, id, &[]));
        }
    });
    for id in &ids {
        node.ready(id);
        assert!(answer(node, id).contains(r#""data":[7]"#));
    }
    let listed = node.ctr(&["task", "ls", "--quiet"]).good();
    assert_eq!(listed.split_whitespace().count(), many);
    assert_eq!(node.shims().len(), many);
}
