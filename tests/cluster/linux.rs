//! Ordinary Linux containers, as side-cars and pause are, through the same shim.

use std::process::Command;

use crate::images;
use crate::node::{Node, ran};
use crate::on_every_containerd;

on_every_containerd!(a_linux_program_runs_through_the_shim);

fn a_linux_program_runs_through_the_shim(node: &Node) {
    let source = node.folder().join("hello.c");
    let program = node.folder().join("hello");
    std::fs::write(&source, "#include <stdio.h>\nint main(void) { puts(\"hello from Linux\"); return 7; }\n")
        .unwrap();
    let [from, to] = [&source, &program].map(|path| path.display().to_string());
    ran(Command::new("cc").args(["-static", "-o", &to, &from])).good();
    let image = images::linux(node, "hello", &[(&program, "/hello")]);
    let ran = node.run(&[], &image, "l", &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "hello from Linux\n"), "{}", ran.stderr);
}
