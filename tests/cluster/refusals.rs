//! What cannot run says why, in its log and its termination message, and ends.

use std::net::TcpListener;

use crate::functions::digits;
use crate::images::{self, project};
use crate::node::Node;
use crate::on_every_containerd;

on_every_containerd!(
    an_image_that_is_no_function,
    a_missing_model,
    a_wrong_setting,
    a_taken_port,
    a_component_that_needs_what_nobody_grants,
);

/// Runs a container that is refused: its exit code, its last words, and what the
/// termination message holds.
fn refused(node: &Node, options: &[&str], image: &str) -> (i32, String, String) {
    let message = node.folder().join("termination");
    std::fs::write(&message, "").unwrap();
    let mount = format!("type=bind,src={},dst=/dev/termination-log,options=rbind:rw", message.display());
    let options = [&["--mount", mount.as_str()], options].concat();
    let ran = node.run(&options, image, "r", &[]);
    (ran.code.unwrap(), ran.stderr, std::fs::read_to_string(&message).unwrap())
}

#[track_caller]
fn check(node: &Node, options: &[&str], image: &str, code: i32, words: &[&str]) {
    let (found, stderr, message) = refused(node, options, image);
    assert_eq!(found, code, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is not in the log: {stderr}");
        assert!(message.contains(word), "`{word}` is not in the termination message: {message}");
    }
}

fn an_image_that_is_no_function(node: &Node) {
    let file = node.folder().join("notes");
    std::fs::write(&file, "words").unwrap();
    let image = images::linux(node, "notes", &[(&file, "/notes")]);
    check(node, &[], &image, 1, &["neither a Linux program", "samara pack"]);
}

fn a_missing_model(node: &Node) {
    let image = node.pack(digits(), "digits");
    let options = ["--env", "SAMARA_MODEL_DIGITS=/models/none.onnx"];
    check(
        node,
        &options,
        &image,
        1,
        &["the model `digits` is missing", "/models/none.onnx", "SAMARA_MODEL_DIGITS"],
    );
}

fn a_wrong_setting(node: &Node) {
    let image = node.pack(digits(), "digits");
    check(node, &["--env", "SAMARA_THREADS=many"], &image, 2, &["`SAMARA_THREADS=many`: write a number"]);
}

fn a_taken_port(node: &Node) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("SAMARA_LISTEN={}", taken.local_addr().unwrap());
    let image = node.pack(digits(), "digits");
    check(node, &["--net-host", "--env", &listen], &image, 1, &["cannot listen on `127.0.0.1:", "in use"]);
}

fn a_component_that_needs_what_nobody_grants(node: &Node) {
    let folder = project(node, "http", &samara_test::command("cli_http"), "");
    let image = node.pack(&folder, "http");
    check(node, &[], &image, 1, &["HTTP requests to other hosts", "SAMARA_ALLOW_HTTP"]);
}
