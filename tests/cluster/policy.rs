//! The policy of a node: no container of an image that lacks the signatures that
//! it asks for.

use std::path::{Path, PathBuf};
use std::process::Command;

use samara_test::registry::DockerRegistry;

use crate::cri::Wanted;
use crate::functions::digits;
use crate::images;
use crate::node::{Node, ran};
use crate::on_containerd;
use crate::pods::{answers_seven, kubelet};

on_containerd!(containerd_1_6, V1_6, Guarded: only_what_is_signed_runs);
on_containerd!(containerd_1_7, V1_7, Guarded: only_what_is_signed_runs);
on_containerd!(containerd_2, V2, Guarded: only_what_is_signed_runs);

fn only_what_is_signed_runs(node: &Node) {
    let Some(registry) = DockerRegistry::start(&Default::default()) else { return };
    let kubelet = kubelet(node);
    let [signed, unsigned, later] =
        ["signed", "unsigned", "later"].map(|name| format!("{}/team/{name}:1", registry.host()));
    samara(node, &["sign", "--new-key", "team"]);
    // No two of them are the same image.
    publish(node, digits(), &signed, true);
    publish(node, &command(node, "unsigned"), &unsigned, false);
    publish(node, &command(node, "later"), &later, false);
    for image in [&signed, &unsigned, &later] {
        kubelet.pull(image).unwrap();
    }
    // The pause container's image is the machine's choice.
    std::fs::write(node.policy(), "default = \"refuse\"\n").unwrap();
    let pod = kubelet.run_pod("policy");
    let run = |image: &str| kubelet.run(&pod, &Wanted { image, ..Wanted::default() });

    assert_refused(&run(&signed), "is refused: no rule of");
    std::fs::write(node.policy(), "default = \"maybe\"\n").unwrap();
    assert_refused(&run(&signed), "no container can run without the node's policy: ");

    let rule = format!("[[rule]]\nreference = \"{}/team/*\"\nrequire = \"signature\"\n", registry.host());
    std::fs::write(node.policy(), format!("default = \"refuse\"\n{rule}keys = [\"team.pub\"]\n")).unwrap();
    let because = format!("`{unsigned}` is refused: sha256:");
    assert_refused(&run(&unsigned), &because);
    assert_refused(&run(&unsigned), "is not signed, by the rule");
    let container = run(&signed).unwrap();
    answers_seven(node, &pod);
    kubelet.stop(&container, 30);
    kubelet.remove(&container);

    // What was signed since is fetched, and what is known needs no registry.
    samara(node, &["sign", &later, "--key", "team.key"]);
    samara(node, &["push", &later]);
    let container = run(&later).unwrap();
    kubelet.stop(&container, 30);
    kubelet.remove(&container);
    drop(registry);
    let container = run(&signed).unwrap();
    answers_seven(node, &pod);
    kubelet.stop(&container, 30);
    kubelet.remove(&container);
    assert_refused(&run(&unsigned), "note: its signatures cannot be fetched: ");
    kubelet.remove_pod(&pod);
}

#[track_caller]
fn assert_refused(outcome: &Result<String, String>, because: &str) {
    let error = outcome.as_ref().unwrap_err();
    assert!(error.contains(because), "{error}");
}

/// A function that ends by itself.
fn command(node: &Node, name: &str) -> PathBuf {
    images::project(node, name, &samara_test::command("cli_args"), "")
}

fn publish(node: &Node, folder: &Path, image: &str, is_signed: bool) {
    samara(node, &["pack", &folder.display().to_string(), "-t", image, "--form", node.version.form()]);
    if is_signed {
        samara(node, &["sign", image, "--key", "team.key"]);
    }
    samara(node, &["push", image]);
}

fn samara(node: &Node, arguments: &[&str]) -> String {
    let mut command = Command::new(samara_test::samara());
    command.current_dir(node.folder()).env("SAMARA_KEY_PASSWORD", "secret");
    ran(command.arg("--store").arg(node.folder().join("store")).args(arguments)).good()
}
