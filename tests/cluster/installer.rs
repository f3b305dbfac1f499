//! The node's installer on a node that runs: its containerd reads what is written
//! when it is restarted.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cri::{Kubelet, Wanted};
use crate::functions::digits;
use crate::node::{Node, Ran};
use crate::on_containerd;
use crate::pods::{answers_seven, kubelet};

/// What is said where all is as it is to be.
const NOTHING: &str = "{\"changed\":[],\"restart\":\"not-needed\"}\n";
const INSTALLED: &str = concat!(
    r#"{"changed":["/opt/samara/bin/containerd-shim-samara-v1","/etc/containerd/config.toml"],"restart":"done"}"#,
    "\n"
);

on_containerd!(containerd_1_6, V1_6, Installed: a_node_gets_the_runtime_and_loses_it);
on_containerd!(containerd_1_7, V1_7, Installed: a_node_gets_the_runtime_and_loses_it);
on_containerd!(containerd_2, V2, Installed: a_node_gets_the_runtime_and_loses_it);

fn a_node_gets_the_runtime_and_loses_it(node: &Node) {
    let before = std::fs::read(node.configuration()).unwrap();
    let shim = samara_test::shim().display().to_string();
    let refused = kubelet(node).try_run_pod("early").err().unwrap();
    assert!(refused.contains("samara"), "{refused}");

    let installed = installer(node, &["install", "--shim", &shim]);
    assert_eq!(installed.restarts, ["--target 1 --mount -- systemctl restart containerd"]);
    assert_eq!(installed.ran.good(), INSTALLED);
    answers(node, "first");

    let again = installer(node, &["install", "--shim", &shim]);
    assert_eq!((again.ran.good().as_str(), again.restarts.len()), (NOTHING, 0));

    let removed = installer(node, &["uninstall"]);
    removed.ran.good();
    assert_eq!(removed.restarts.len(), 1);
    assert_eq!(std::fs::read(node.configuration()).unwrap(), before);
    assert!(!node.folder().join("opt/samara").exists());
    assert!(fresh(node).try_run_pod("late").is_err());
}

fn fresh(node: &Node) -> Kubelet {
    let kubelet = Kubelet::connect(node.socket(), node.folder().join("logs"));
    node.until("containerd serves pods", || kubelet.is_ready());
    kubelet
}

fn answers(node: &Node, name: &str) {
    let kubelet = fresh(node);
    let image = node.pack(digits(), "digits");
    let pod = kubelet.run_pod(name);
    let container = kubelet.run(&pod, &Wanted { image: &image, ..Wanted::default() }).unwrap();
    answers_seven(node, &pod);
    kubelet.stop(&container, 30);
    kubelet.remove_pod(&pod);
}

struct Installed {
    ran: Ran,
    /// What was asked of the node to restart containerd.
    restarts: Vec<String>,
}

/// Runs the installer on the node. What reaches into a node to restart a service
/// is a program that leaves it to this test.
fn installer(node: &Node, arguments: &[&str]) -> Installed {
    let folder = node.folder().join("restart");
    std::fs::create_dir_all(&folder).unwrap();
    reach(&folder);
    let mut running = Command::new(samara_test::installer())
        .args(arguments)
        .args(["--output", "json", "--host-root"])
        .arg(node.folder())
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (asked, done) = (folder.join("asked"), folder.join("done"));
    let mut restarts = Vec::new();
    while running.try_wait().unwrap().is_none() {
        if let Ok(words) = std::fs::read_to_string(&asked) {
            std::fs::remove_file(&asked).unwrap();
            restarts.push(words.trim().to_owned());
            node.crash();
            node.resume();
            std::fs::write(&done, "").unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Installed { ran: running.wait_with_output().unwrap().into(), restarts }
}

/// Makes the program that says what it was asked, and waits until it is done.
fn reach(folder: &Path) {
    let program = folder.join("nsenter");
    let script = format!(
        "#!/bin/sh\ncd {}\nrm -f done\necho \"$*\" > words && mv words asked\n\
         until [ -e done ]; do sleep 0.05; done\n",
        folder.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
}
