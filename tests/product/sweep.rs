//! `samara sweep`: grids over commands and functions, the tables that they make, and
//! the Jobs that do the same on a cluster.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use samara_test::onnx::{FP32, Model};
use serde_json::{Value, json};

use crate::documents::shown;
use crate::guide::{compare, programs};
use crate::support::{Place, Ran, ran, root};

/// A place with a sweep of the tests' own command.
fn trial(sweep: &str) -> Place {
    let place = Place::new();
    let guest = std::fs::read(samara_test::command("cli_trial")).unwrap();
    place.write("trial.wasm", guest);
    place.write("sweep.toml", format!("function = \"trial.wasm\"\n{sweep}"));
    place
}

/// The rows that a run with `--output json` prints, however it ends.
fn rows(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}\n{}", ran.stdout, ran.stderr))
}

/// A function of two numbers and a row: `loss = (x - 3)² + |y| + max(data)`.
fn bowl(place: &Place) {
    let model = Model::new()
        .input("x", FP32, &["one"])
        .input("y", FP32, &["one"])
        .input("data", FP32, &["many"])
        .floats("three", &[1], &[3.0])
        .node("Sub", &["x", "three"], &["off"])
        .node("Mul", &["off", "off"], &["square"])
        .node("Abs", &["y"], &["far"])
        .node("Add", &["square", "far"], &["sum"])
        .node("ReduceMax", &["data"], &["most"])
        .node("Add", &["sum", "most"], &["loss"])
        .output("loss", FP32, &["one"])
        .output("data_again", FP32, &["many"])
        .node("Mul", &["data", "three"], &["data_again"])
        .bytes();
    place.write("bowl.onnx", model);
    let data = json!({"inputs": [{"name": "data", "datatype": "FP32", "shape": [2], "data": [0.5, 1.5]}]});
    place.write("in/data.json", data.to_string());
}

const BOWL: &str = "function = \"bowl.onnx\"\nobjective = \"loss\"\ngoal = \"min\"\ninputs = \"in/data.json\"\n\
                    [parameters]\nx = { from = 0, to = 6, step = 1 }\ny = [-1.0, 0.5]\n";

#[test]
fn a_command_is_told_each_point_and_its_last_object_is_the_row() {
    let place = trial(
        "objective = \"rate\"\ngoal = \"max\"\n[parameters]\nrate = [0.5, 2.0, 1.0]\nkind = [\"a\", \"b c\"]\n",
    );
    let table = place.samara(&["sweep", "sweep.toml", "-q"]).good();
    assert_eq!(
        table,
        "index  rate  kind  result.rate  result.kind\n\
         0      0.5   a     0.5          a\n\
         1      0.5   b c   0.5          b c\n\
         2      2.0   a     2            a\n\
         3      2.0   b c   2            b c\n\
         4      1.0   a     1            a\n\
         5      1.0   b c   1            b c\n"
    );
    let told = place.samara(&["sweep", "sweep.toml"]);
    assert!(told.stderr.contains("Best row 2: rate 2 with rate=2.0 kind=a\n"), "{}", told.stderr);
    let csv = place.samara(&["sweep", "--output", "csv", "-j", "1"]).good();
    assert_eq!(csv.lines().nth(4), Some("3,2.0,b c,2,b c,"), "{csv}");
}

#[test]
fn rows_are_the_same_however_many_run_side_by_side() {
    let place = trial(
        "objective = \"rate\"\ngoal = \"max\"\n[random]\ncount = 24\nseed = 4\n[parameters]\nrate = { from = 0.001, to = 1.0, scale = \"log\" }\ndepth = { from = 1, to = 1000 }\n",
    );
    let of = |jobs: &str| place.samara(&["sweep", "--output", "json", "-q", "--jobs", jobs]).good();
    let alone = of("1");
    for jobs in ["2", "7", "24"] {
        assert_eq!(of(jobs), alone, "{jobs} jobs");
    }
    let rows: Value = serde_json::from_str(&alone).unwrap();
    for (index, row) in rows["rows"].as_array().unwrap().iter().enumerate() {
        assert_eq!(row["index"], index);
        assert_eq!(row["result"]["depth"], row["parameters"]["depth"], "{row}");
    }
    let rates = rows["rows"].as_array().unwrap().iter().map(|row| row["result"]["rate"].as_f64().unwrap());
    assert_eq!(rows["best"]["result"]["rate"], rates.fold(0.0, f64::max));
}

#[test]
fn a_row_that_fails_says_why_and_the_others_go_on() {
    let place = trial(
        "objective = \"x\"\ngoal = \"max\"\n[parameters]\nx = [1, 2, 3]\nfail = \"\"\n[[point]]\nx = 9\nfail = \"no data, none\"\n",
    );
    let ran = place.samara(&["sweep", "--output", "json", "--out", "rows.csv"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let rows = rows(&ran);
    assert_eq!((&rows["failed"], &rows["best"]["index"]), (&json!(1), &json!(2)));
    assert_eq!(rows["rows"][3]["error"], "exit code 1: error: no data, none");
    assert!(ran.stderr.contains("warning: 1 of 4 rows have no result"), "{}", ran.stderr);
    let csv = std::fs::read_to_string(place.path("rows.csv")).unwrap();
    assert!(csv.ends_with("\n3,9,\"no data, none\",,,\"exit code 1: error: no data, none\"\n"), "{csv}");
    let without = trial("objective = \"loss\"\ngoal = \"min\"\n[parameters]\nx = 1\n");
    let said = without.samara(&["sweep"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("the result has no `loss`, which is the objective"), "{}", said.stdout);
}

#[test]
fn variables_files_and_deadlines_are_as_the_file_says() {
    let variables =
        trial("pass = \"environment\"\narguments = [\"--fixed=7\"]\n[parameters]\nlearning-rate = [0.5]\n");
    let json = variables.json(&["sweep"]);
    assert_eq!(json["rows"][0]["result"], json!({"env.LEARNING_RATE": 0.5, "fixed": 7}));
    assert_eq!(json["best"], Value::Null);
    let files = trial(
        "result = \"/out/result.json\"\narguments = [\"--into=/out/result.json\"]\n[parameters]\nx = [1, 2, 3]\n",
    );
    let json = files.json(&["sweep", "-j", "3"]);
    let found: Vec<&Value> = json["rows"].as_array().unwrap().iter().map(|row| &row["result"]["x"]).collect();
    assert_eq!(found, [1, 2, 3]);
    let endless = trial("timeout = \"100ms\"\n[parameters]\nloop = [true]\n");
    let ran = endless.samara(&["sweep", "--output", "json"]);
    assert!(rows(&ran)["rows"][0]["error"].as_str().unwrap().contains("deadline"), "{}", ran.stdout);
}

#[test]
fn a_function_of_tensors_gets_parameters_as_inputs() {
    let place = Place::new();
    bowl(&place);
    place.write("sweep.toml", BOWL);
    let json = place.json(&["sweep"]);
    assert_eq!(json["rows"].as_array().unwrap().len(), 14);
    assert_eq!(json["best"], json!({"index": 7, "parameters": {"x": 3, "y": 0.5}, "result": {"loss": 2.0}}));
    // The flag's data stand for the file's.
    let other = place.json(&["sweep", "--input", "data=10,0"]);
    assert_eq!(other["best"]["result"]["loss"], 10.5);
    place.write("sweep.toml", BOWL.replace("y = [-1.0, 0.5]", "z = 1"));
    let said = place.samara(&["sweep"]).bad();
    assert!(
        said.contains("the parameter `z` is no input of `bowl`; its inputs are `x`, `y`, `data`"),
        "{said}"
    );
    place.write("sweep.toml", BOWL.replace("inputs = \"in/data.json\"", "pass = \"environment\""));
    let said = place.samara(&["sweep", "--input", "data=1"]).bad();
    assert!(said.contains("the sweep has `pass`, which is not for `bowl`: it is a function"), "{said}");
    place.write("sweep.toml", BOWL.replace("\"loss\"", "\"los\""));
    assert!(place.samara(&["sweep"]).bad().contains("its outputs are `loss`, `data_again`"));
}

#[test]
fn one_index_is_one_line() {
    let place = trial("[parameters]\nx = [1, 2, 3]\nfail = \"\"\n[[point]]\nx = 4\nfail = \"burned\"\n");
    let line = place.samara(&["sweep", "--index", "2"]);
    assert!(line.stderr.contains("{\"epoch\":1}\n"), "its words are heard: {}", line.stderr);
    assert_eq!(
        line.good(),
        "{\"index\":2,\"parameters\":{\"x\":3,\"fail\":\"\"},\"result\":{\"fail\":\"\",\"x\":3}}\n"
    );
    let pod = ran(place.command(&["sweep", "--index", "auto"]).env("JOB_COMPLETION_INDEX", "3"));
    assert_eq!(pod.code, Some(1));
    assert!(pod.stdout.ends_with("\"error\":\"exit code 1: error: burned\"}\n"), "{}", pod.stdout);
    let said = ran(place.command(&["sweep", "--index", "auto"]).env_remove("JOB_COMPLETION_INDEX")).bad();
    assert!(said.contains("`JOB_COMPLETION_INDEX` is not set\nhint: "), "{said}");
    assert!(
        place.samara(&["sweep", "--index", "4"]).bad().contains("the sweep has no point 4; its 4 points")
    );
}

#[test]
fn logs_of_pods_make_the_table_of_a_run_here() {
    let place = trial("objective = \"x\"\ngoal = \"max\"\n[parameters]\nx = [1, 3, 2]\n");
    let here = place.samara(&["sweep", "--output", "json", "-q"]).good();
    for index in ["0", "1", "2"] {
        let pod = place.samara(&["sweep", "--index", index]);
        let log = format!("{}[pod/sweep-{index}/sweep] {}", pod.stderr, pod.stdout);
        place.write(&format!("logs/{index}.log"), log);
    }
    assert_eq!(place.samara(&["sweep", "--collect", "logs", "--output", "json", "-q"]).good(), here);
    std::fs::remove_file(place.path("logs/1.log")).unwrap();
    let lacking = place.samara(&["sweep", "--output", "json", "--collect", "logs/0.log", "logs/2.log"]);
    assert_eq!(lacking.code, Some(1));
    assert_eq!(rows(&lacking)["rows"][1]["error"], "no log has this row");
    assert_eq!(rows(&lacking)["best"]["index"], 2);
}

#[test]
fn a_run_goes_on_where_another_ended() {
    let place = trial("[parameters]\nx = [1, 2, 3]\n");
    let first = place.samara(&["sweep", "--out", "rows.json", "-q"]).good();
    let text = std::fs::read_to_string(place.path("rows.json")).unwrap();
    // As if the last had not run yet, and what is kept were known.
    let mut rows: Value = serde_json::from_str(&text).unwrap();
    rows["rows"].as_array_mut().unwrap().pop();
    rows["rows"][0]["result"]["x"] = json!(100);
    place.write("rows.json", rows.to_string());
    let second = place.samara(&["sweep", "--out", "rows.json", "--resume", "-q"]).good();
    assert_eq!(second, first.replace("0      1  1\n", "0      1  100\n"));
    let other = place.samara(&["sweep", "--out", "rows.csv", "--resume"]).bad_with(2);
    assert!(other.contains("name a `.json` with `--out`"), "{other}");
}

#[test]
fn an_interrupt_leaves_the_rows_that_are_done() {
    let place = trial("[parameters]\nx = [1, 2]\nloop = false\n[[point]]\nx = 3\nloop = true\n");
    let mut command = place.command(&["sweep", "--jobs", "1", "--out", "rows.json", "-v"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let done = interrupted_after(child, "looping\n");
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert!(done.stderr.contains("interrupted: 1 row did not run to their end"), "{}", done.stderr);
    let rows: Value =
        serde_json::from_str(&std::fs::read_to_string(place.path("rows.json")).unwrap()).unwrap();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 2, "{rows}");
}

/// Interrupts a program once it has said these words on standard error.
fn interrupted_after(mut child: Child, words: &str) -> Ran {
    let mut errors = child.stderr.take().unwrap();
    let (mut said, mut piece) = (Vec::new(), [0u8; 256]);
    while !String::from_utf8_lossy(&said).contains(words) {
        let count = errors.read(&mut piece).unwrap();
        assert!(count > 0, "it ended first: {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&piece[..count]);
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    errors.read_to_end(&mut said).unwrap();
    let mut ran = Ran::from(child.wait_with_output().unwrap());
    ran.stderr = String::from_utf8_lossy(&said).into_owned();
    ran
}

#[test]
fn what_is_wrong_with_a_sweep_is_told_before_anything_runs() {
    let place = trial("[parameters]\nx = []\n");
    let said = place.samara(&["sweep"]).bad();
    assert!(said.contains("sweep.toml:3:5: `x = []`: it needs a value at least"), "{said}");
    assert!(place.samara(&["sweep", "none.toml"]).bad().contains("cannot read `none.toml`"));
    let place = trial("inputs = \"in.json\"\n[parameters]\nx = 1\n");
    assert!(place.samara(&["sweep"]).bad().contains("which is not for `trial`: it is a command"));
    assert!(place.samara(&["sweep", "--out", "rows.txt"]).bad_with(2).contains("name a `.csv` or a `.json`"));
    assert!(
        place.samara(&["sweep", "--index", "0", "--jobs", "2"]).bad_with(2).contains("cannot be used with")
    );
    assert!(place.samara(&["images", "--output", "csv"]).bad_with(2).contains("only `samara sweep`"));
}

/// The guide, and the example that it shows.
#[test]
fn the_guide_to_sweeps_does_what_it_shows() {
    let text = std::fs::read_to_string(root().join("host/docs/sweep.md")).unwrap();
    let steps = shown(&text);
    assert!(steps.len() >= 4, "only {} commands were found", steps.len());
    let place = Place::new();
    std::fs::create_dir(place.path("examples")).unwrap();
    // With the times of the files, by which the component is newer than its sources.
    let example = root().join("examples/tune-digits");
    ran(Command::new("cp").arg("-a").arg(example).arg(place.path("examples"))).good();
    let mut shell = Command::new("bash");
    shell.stdin(Stdio::null());
    place.settle(&mut shell);
    shell.env("PATH", programs(&[])).env("SAMARA_STORE", place.path("store")).env_remove("CARGO_TARGET_DIR");
    compare(&steps, &mut shell, str::to_owned);
    assert!(place.path("rows.csv").exists());
}
