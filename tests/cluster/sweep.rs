//! Pods of an indexed Job: each runs the point of its index.

use serde_json::{Value, json};

use crate::images::project;
use crate::node::{Node, Ran};
use crate::on_every_containerd;

on_every_containerd!(a_container_runs_the_point_of_its_index, a_function_is_called_with_its_point);

/// Runs the container of an index, with a folder mounted as its sweep.
fn row(node: &Node, image: &str, index: &str, arguments: &[&str]) -> Ran {
    let mount = format!(
        "type=bind,src={},dst=/etc/samara/sweep,options=rbind:ro",
        node.folder().join("sweep").display()
    );
    let index_variable = format!("JOB_COMPLETION_INDEX={index}");
    let options =
        ["--mount", &mount, "--env", "SAMARA_SWEEP=/etc/samara/sweep/sweep.toml", "--env", &index_variable];
    node.run(&options, image, &format!("row-{index}"), arguments)
}

fn write(node: &Node, name: &str, text: &str) {
    let folder = node.folder().join("sweep");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}

/// The line of the row, among what else a log has.
fn line(ran: &Ran) -> Value {
    let rows = ran.stdout.lines().filter(|line| line.starts_with("{\"index\":"));
    let [row] = rows.collect::<Vec<_>>()[..] else { panic!("{}\n{}", ran.stdout, ran.stderr) };
    serde_json::from_str(row).unwrap()
}

fn a_container_runs_the_point_of_its_index(node: &Node) {
    let folder = project(node, "trial", &samara_test::command("cli_trial"), "");
    let image = node.pack(&folder, "trial");
    write(
        node,
        "sweep.toml",
        "function = \".\"\nresult = \"/result/r.json\"\narguments = [\"--into=/result/r.json\"]\n\
         [parameters]\nrate = [0.5, 1.0]\nfail = [\"\", \"burned\"]\n",
    );
    let good = row(node, &image, "2", &["/main.wasm", "--told=1"]);
    assert_eq!(good.code, Some(0), "{}\n{}", good.stdout, good.stderr);
    let said = line(&good);
    assert_eq!((&said["index"], &said["parameters"]), (&json!(2), &json!({"rate": 1.0, "fail": ""})));
    assert_eq!((&said["result"]["rate"], &said["result"]["told"]), (&json!(1), &json!(1)));
    let bad = row(node, &image, "1", &["/main.wasm"]);
    assert_eq!(bad.code, Some(1), "{}", bad.stderr);
    assert_eq!(line(&bad)["error"], "exit code 1: error: burned");
    let none = row(node, &image, "4", &["/main.wasm"]);
    assert_eq!(none.code, Some(1));
    assert!(
        none.stderr.contains("the sweep has no point 4; its 4 points are counted from 0"),
        "{}",
        none.stderr
    );
}

fn a_function_is_called_with_its_point(node: &Node) {
    let folder = project(node, "sum", &samara_test::guest("function_sum"), "");
    let image = node.pack(&folder, "sum");
    write(
        node,
        "sweep.toml",
        "function = \".\"\nobjective = \"sum\"\ngoal = \"max\"\ninputs = \"in/b.json\"\n[parameters]\na = [1, 2]\n",
    );
    let without = row(node, &image, "1", &[]);
    assert_eq!(without.code, Some(1));
    assert!(
        without.stderr.contains("cannot use the inputs `/etc/samara/sweep/in/b.json`"),
        "{}",
        without.stderr
    );
    std::fs::create_dir_all(node.folder().join("sweep/in")).unwrap();
    let request = json!({"inputs": [{"name": "b", "datatype": "FP32", "shape": [1], "data": [0.5]}]});
    write(node, "in/b.json", &request.to_string());
    let ran = row(node, &image, "1", &[]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(line(&ran)["result"], json!({"sum": 2.5}));
}
