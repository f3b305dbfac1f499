//! Commands: run to their end as any program in a container.

use crate::images::project;
use crate::node::Node;
use crate::on_every_containerd;

on_every_containerd!(
    a_command_gets_its_arguments_and_environment,
    a_command_ends_with_its_own_code,
    a_command_reads_and_writes_what_is_mounted,
);

fn a_command_gets_its_arguments_and_environment(node: &Node) {
    let folder = project(node, "args", &samara_test::command("cli_args"), "");
    let image = node.pack(&folder, "args");
    let ran = node.run(&["--env", "COLOUR=red"], &image, "a", &["/main.wasm", "one", "two words"]);
    let said = ran.good();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["one", "two words"], "{said}");
    assert!(lines.contains(&"COLOUR=red"), "{said}");
}

/// The exit of WASI 0.2 tells success from failure, and no more.
fn a_command_ends_with_its_own_code(node: &Node) {
    let folder = project(node, "exit", &samara_test::command("cli_exit"), "");
    let image = node.pack(&folder, "exit");
    for (asked, code) in [("0", 0), ("3", 1)] {
        let ran = node.run(&[], &image, &format!("e{asked}"), &["/main.wasm", asked]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    }
}

fn a_command_reads_and_writes_what_is_mounted(node: &Node) {
    let data = node.folder().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("notes"), "first\n").unwrap();
    let folder = project(node, "files", &samara_test::command("cli_files"), "");
    let image = node.pack(&folder, "files");
    let mount = format!("type=bind,src={},dst=/data,options=rbind:rw", data.display());
    let ran = node.run(&["--mount", &mount], &image, "f", &["/main.wasm", "/data/notes", "second"]);
    assert_eq!(ran.good(), "first\n");
    assert_eq!(std::fs::read_to_string(data.join("notes")).unwrap(), "first\nsecond\n");
}
