//! `samara bench` against a function in its own process, and against a small
//! server of the Open Inference Protocol.

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc;

use serde_json::{Value, json};
use support::server::{ANSWER, Reply, Server};
use support::{Place, Run};

/// Runs `samara bench` at a server, without a warm-up, and with JSON out.
fn bench(server: &Server, args: &[&str]) -> Run {
    bench_in(&Place::new(), server, args)
}

fn bench_in(place: &Place, server: &Server, args: &[&str]) -> Run {
    let url = server.url();
    let fixed = ["bench", "--url", &url, "--warm-up", "0s", "--output", "json"];
    place.samara(&[&fixed[..], args].concat())
}

fn right() -> Server {
    Server::start(|_, _| Reply::new(200, ANSWER))
}

fn refused(run: &Run, code: i32, words: &str) {
    assert_eq!((run.code, run.out.as_str()), (code, ""), "{}", run.err);
    assert!(run.err.contains(words), "{}", run.err);
}

/// Every path of keys in a value.
fn paths(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                paths(value, &format!("{at}.{key}"), into);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| paths(entry, &format!("{at}[]"), into)),
        _ => {
            into.insert(at.trim_start_matches('.').to_owned());
        }
    }
}

#[test]
fn the_json_keeps_its_form() {
    let run = bench(&right(), &["-n", "5", "--fail-if", "errors>0"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let report = run.json();
    let mut found = BTreeSet::new();
    paths(&report, "", &mut found);
    let latency = ["mean", "min", "p50", "p90", "p95", "p99", "p99_9", "max"];
    let expected: BTreeSet<String> = [
        "format",
        "target.kind",
        "target.what",
        "target.function",
        "target.version",
        "request.source",
        "request.encoding",
        "request.rows",
        "request.bytes",
        "steps[].loop",
        "steps[].connections",
        "steps[].rate",
        "steps[].seconds",
        "steps[].answers",
        "steps[].errors.total",
        "steps[].throughput.answers_per_s",
        "steps[].throughput.rows_per_s",
        "steps[].bytes.sent",
        "steps[].bytes.received",
        "steps[].schedule",
        "steps[].split_ms",
        "conditions[].condition",
        "passed",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(latency.map(|name| format!("steps[].latency_ms.{name}")))
    .collect();
    assert_eq!(found, expected);
    assert_eq!(report["format"], 1);
    assert_eq!(report["conditions"], json!([{"condition": "errors>0", "holds_for": []}]));
}

#[test]
fn a_server_gets_exactly_the_requests_that_were_asked_for() {
    let server = right();
    let run = bench(&server, &["-n", "20", "--connections", "3", "--input", "[[1,2],[3,4]]"]);
    let report = run.json();
    assert_eq!(run.code, 0, "{}", run.err);
    let infers = server.infers();
    // The first one is a check.
    assert_eq!(infers.len(), 21);
    let body: Value = serde_json::from_slice(&infers[0].body).unwrap();
    assert_eq!(
        body,
        json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2.0, 3.0, 4.0]}]})
    );
    assert!(infers.iter().all(|infer| infer.body == infers[0].body));
    assert_eq!(infers[0].line, "POST /v2/models/double/infer HTTP/1.1");
    assert!(infers[0].headers.contains("content-type: application/json\r\n"), "{}", infers[0].headers);
    let step = &report["steps"][0];
    assert_eq!((&step["answers"], &step["errors"]["total"]), (&json!(20), &json!(0)));
    assert_eq!(step["bytes"]["sent"], json!(20 * infers[0].body.len()));
    assert_eq!(step["bytes"]["received"], json!(20 * ANSWER.len()));
    assert_eq!((&report["request"]["rows"], &report["request"]["source"]), (&json!(2), &json!("input")));
    let rates = &step["throughput"];
    let ratio = rates["rows_per_s"].as_f64().unwrap() / rates["answers_per_s"].as_f64().unwrap();
    assert!((ratio - 2.0).abs() < 0.01, "{rates}");
}

#[test]
fn values_are_made_up_from_the_metadata_with_rows() {
    let server = right();
    let run = bench(&server, &["-n", "1", "--rows", "3"]);
    assert!(run.err.contains("its values are made up from the signature"), "{}", run.err);
    let body: Value = serde_json::from_slice(&server.infers()[0].body).unwrap();
    assert_eq!(body["inputs"][0]["shape"], json!([3, 2]));
    assert_eq!(run.json()["request"]["rows"], 3);
}

#[test]
fn tensors_travel_as_bytes_when_asked_to() {
    let server = Server::start(|_, request| {
        assert!(request.headers.contains("inference-header-content-length: "), "{}", request.headers);
        let head = r#"{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]}"#;
        let mut body = head.as_bytes().to_vec();
        body.extend([2f32.to_le_bytes(), 4f32.to_le_bytes()].concat());
        let headers = format!("inference-header-content-length: {}\r\n", head.len());
        Reply { status: 200, headers, body }
    });
    let place = Place::new();
    place.write("expect.json", ANSWER);
    let run =
        bench_in(&place, &server, &["-n", "3", "--binary", "--input", "1,2", "--expect", "expect.json"]);
    assert_eq!((run.code, &run.json()["steps"][0]["answers"]), (0, &json!(3)), "{}", run.err);
    assert!(server.infers()[0].body.ends_with(&[1f32.to_le_bytes(), 2f32.to_le_bytes()].concat()));
    assert_eq!(run.json()["request"]["encoding"], "binary");
}

#[test]
fn a_request_of_the_user_is_sent_as_it_is() {
    let text = r#"{ "id" : "a", "parameters": {"priority": 1}, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}"#;
    let (place, server) = (Place::new(), right());
    place.write("request.json", text);
    let run = bench_in(&place, &server, &["-n", "1", "--request", "request.json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(server.infers()[1].body, text.as_bytes());
    assert_eq!(run.json()["request"]["source"], "request");
}

#[test]
fn errors_are_counted_by_kind() {
    // Right, refused, right, refused, …, and one answer before the connection ends.
    let server = Server::start(|number, _| match number {
        _ if number % 2 == 1 => Reply::new(503, r#"{"error": "no room"}"#),
        4 => Reply { headers: "connection: close\r\n".to_owned(), ..Reply::new(200, ANSWER) },
        _ => Reply::new(200, ANSWER),
    });
    let run = bench(&server, &["-n", "10", "--fail-if", "errors>5", "--fail-if", "errors>49%"]);
    let report = run.json();
    assert_eq!(report["steps"][0]["errors"], json!({"total": 5, "by_kind": {"status_503": 5}}));
    assert_eq!((&report["steps"][0]["answers"], &report["passed"]), (&json!(5), &json!(false)));
    assert_eq!(report["conditions"][0]["holds_for"], json!([]));
    assert_eq!(report["conditions"][1]["holds_for"], json!([0]));
    assert_eq!(run.code, 1);
    assert!(run.err.ends_with("error: `errors>49%` holds at 1 connection: it is 50.000%\n"), "{}", run.err);
}

#[test]
fn nothing_but_errors_is_a_failure() {
    let server = Server::start(|number, _| match number {
        0 => Reply::new(200, ANSWER),
        _ => Reply::new(500, ""),
    });
    let run = bench(&server, &["-n", "2"]);
    assert_eq!((run.code, &run.json()["steps"][0]["latency_ms"]), (1, &Value::Null));
    assert!(run.err.ends_with("error: not one right answer came at 1 connection\n"), "{}", run.err);
}

#[test]
fn answers_that_do_not_come_time_out() {
    // Held back until the server is dropped.
    let (release, hold) = mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let server = Server::start(move |number, _| {
        if number == 1 {
            let _ = hold.lock().unwrap().recv();
        }
        Reply::new(200, ANSWER)
    });
    let run = bench(&server, &["-n", "2", "--timeout", "2s"]);
    drop(release);
    assert_eq!(run.json()["steps"][0]["errors"], json!({"total": 1, "by_kind": {"timeout": 1}}));
    assert_eq!(run.json()["steps"][0]["answers"], 1);
}

#[test]
fn wrong_answers_are_errors() {
    let (place, wrong) = (Place::new(), ANSWER.replace("[2, 4]", "[2, 5]"));
    place.write("expect.json", ANSWER);
    let other = wrong.clone();
    let server = Server::start(move |number, _| match number {
        2 => Reply::new(200, other.as_bytes()),
        _ => Reply::new(200, ANSWER),
    });
    let run = bench_in(&place, &server, &["-n", "4", "--expect", "expect.json"]);
    assert_eq!(run.json()["steps"][0]["errors"], json!({"total": 1, "by_kind": {"wrong_answer": 1}}));
    let server = Server::start(move |_, _| Reply::new(200, wrong.as_bytes()));
    refused(
        &bench_in(&place, &server, &["-n", "4", "--expect", "expect.json"]),
        1,
        "the first answer is not the one that is expected: output `y`: element 1: expected 4, got 5",
    );
}

#[test]
fn an_open_loop_sends_by_the_clock() {
    let server = right();
    let run = bench(&server, &["--rate", "500,1000", "-n", "20", "--connections", "4"]);
    let report = run.json();
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(server.infers().len(), 41);
    for (index, rate) in [(0, 500.0), (1, 1000.0)] {
        let step = &report["steps"][index];
        assert_eq!(
            (&step["loop"], &step["rate"], &step["answers"]),
            (&json!("open"), &json!(rate), &json!(20))
        );
        assert_eq!(step["schedule"]["dropped"], 0);
        // The last one is due after 19 distances, and not sent before.
        assert!(step["seconds"].as_f64().unwrap() >= 19.0 / rate, "{step}");
    }
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let (place, server) = (Place::new(), right());
    place.write("token", "s3cret\n");
    let run = bench_in(&place, &server, &["-n", "1", "-v", "--token-file", "token"]);
    assert!(server.infers()[0].headers.contains("authorization: Bearer s3cret\r\n"));
    assert!(!run.err.contains("s3cret") && !run.out.contains("s3cret"));
}

#[test]
fn functions_are_found_or_told() {
    let server = right();
    let place = Place::new();
    let run = |args: &[&str]| place.samara(&[&["bench", "-n", "1", "--warm-up", "0s"], args].concat());
    let url = server.url();
    // The only one that is ready, by name, by URL.
    for args in [
        vec!["--url", &url],
        vec!["--url", &url, "--function", "double"],
        vec!["--url", &format!("{url}/v2/models/double")],
    ] {
        let run = run(&args);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.starts_with("double at http://127.0.0.1:"), "{}", run.out);
    }
    refused(
        &run(&["--url", &url, "--function", "treble"]),
        1,
        "the server does not know `treble` of `http://127.0.0.1:",
    );
    assert!(run(&["--url", &url, "--function", "treble"]).err.ends_with("hint: the server has `double`\n"));
    refused(
        &run(&["--url", &format!("{url}/v2/models/double"), "--function", "double"]),
        2,
        "the URL names a function already",
    );
    let several = Server::with(
        |_, _| Reply::new(200, ANSWER),
        |_| Reply::new(200, r#"[{"name": "b"}, {"name": "a"}]"#),
    );
    refused(
        &run(&["--url", &several.url()]),
        2,
        "has 2 functions: `a`, `b`\nhint: name one with `--function NAME`",
    );
}

#[test]
fn what_is_no_server_of_the_protocol_is_told() {
    let place = Place::new();
    let run = |url: &str| place.samara(&["bench", "--url", url, "-n", "1"]);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    refused(
        &run(&format!("{closed}/v2/models/m")),
        1,
        &format!("cannot reach `{closed}`\n  caused by: no connection: "),
    );
    let other = Server::with(|_, _| Reply::new(404, ""), |_| Reply::new(404, "<h1>Not Found</h1>\n"));
    for url in [other.url(), format!("{}/v2/models/m", other.url())] {
        refused(&run(&url), 1, "is no server of the Open Inference Protocol: `http://127.0.0.1:");
    }
    let garbage = Server::with(|_, _| Reply::new(200, "{}"), |_| Reply::new(200, "[1]"));
    refused(
        &run(&format!("{}/v2/models/m", garbage.url())),
        1,
        "is no server of the Open Inference Protocol",
    );
    let silent = Server::start(|_, _| Reply::new(200, r#"{"predictions": []}"#));
    refused(
        &run(&silent.url()),
        1,
        "is no response of the Open Inference Protocol\n  caused by: missing field `outputs`",
    );
    let full = Server::start(|_, _| Reply::new(400, r#"{"error": "wrong shape"}"#));
    refused(&run(&full.url()), 1, "the first request was refused: 400 Bad Request: wrong shape");
}

#[test]
fn flags_that_do_not_go_together_are_wrong_usage() {
    let place = Place::new();
    let url = "http://127.0.0.1:1";
    let cases: [(&[&str], &str); 10] = [
        (&[".", "--url", url], "cannot be used with"),
        (&[".", "--binary"], "`--binary` is for a server\nhint: name it with `--url`"),
        (&[".", "--connections", "1,2", "--rate", "1,2"], "may be a list, not both"),
        (&[".", "--connections", "0"], "0 is not in 1..=10000"),
        (&[".", "--rate=-1"], "a rate is a number of requests per second"),
        (&[".", "--duration", "10"], "`10` is no time; write e.g. `250us`"),
        (&[".", "--duration", "1s", "-n", "1"], "cannot be used with"),
        (&[".", "--fail-if", "p98>1ms"], "`p98` is not measured"),
        (&["--url", url, "--model", "a=b"], "with `--url` the server decides"),
        (&["--url", "ftp://127.0.0.1:1"], "`ftp`, which cannot be driven"),
    ];
    for (args, words) in cases {
        refused(&place.samara(&[&["bench"], args].concat()), 2, words);
    }
}

#[cfg(feature = "tract")]
mod local {
    use super::*;

    fn place() -> Place {
        let place = Place::new();
        let run = place.samara(&["new", "m", "--template", "model"]);
        assert_eq!(run.code, 0, "{}", run.err);
        place
    }

    #[test]
    fn a_function_is_driven_in_this_process() {
        let args = [
            "bench",
            "m",
            "--backend",
            "tract",
            "--input",
            "0,0,1",
            "-n",
            "50",
            "--warm-up",
            "0s",
            "--connections",
            "1,3",
            "--output",
            "json",
        ];
        let run = place().samara(&args);
        assert_eq!(run.code, 0, "{}", run.err);
        let report = run.json();
        assert_eq!(
            report["target"],
            json!({"kind": "local", "what": "m", "function": "m", "version": "0.1.0"})
        );
        assert_eq!(
            report["request"],
            json!({"source": "input", "encoding": "tensors", "rows": 1, "bytes": 12})
        );
        for (index, connections) in [(0, 1), (1, 3)] {
            let step = &report["steps"][index];
            assert_eq!((&step["connections"], &step["answers"]), (&json!(connections), &json!(50)));
            let split = &step["split_ms"];
            let sum: f64 =
                ["queue", "compute", "guest"].map(|part| split[part].as_f64().unwrap()).iter().sum();
            let mean = step["latency_ms"]["mean"].as_f64().unwrap();
            assert!(sum > 0.0 && sum <= mean + 0.001, "{step}");
        }
    }

    #[test]
    fn the_table_has_a_line_per_step_and_conditions_decide() {
        let place = place();
        let args =
            ["bench", "m/model.onnx", "--rows", "4", "-n", "10", "--warm-up", "0s", "--connections", "1,2"];
        let run = place.samara(&args);
        assert_eq!(run.code, 0, "{}", run.err);
        let lines: Vec<&str> = run.out.lines().collect();
        assert_eq!(
            lines[0],
            "model in this process: 4 rows, 48 bytes as tensors per request, 10 requests per step; times in ms"
        );
        assert!(
            lines[1].starts_with("connections   answers/s      rows/s      mean       p50"),
            "{}",
            lines[1]
        );
        assert!(lines[2].starts_with("          1 ") && lines[3].starts_with("     of it: "), "{}", run.out);
        assert!(lines[4].starts_with("          2 ") && lines.len() == 6, "{}", run.out);
        let run = place.samara(&[&args[..], &["--fail-if", "throughput<1000000000"]].concat());
        assert_eq!(run.code, 1);
        assert!(
            run.err.contains("error: `throughput<1000000000` holds at 1 connection: it is "),
            "{}",
            run.err
        );
        assert!(run.err.contains("holds at 2 connections: it is "), "{}", run.err);
    }

    #[test]
    fn the_test_of_a_function_is_its_request_and_its_answer() {
        let place = place();
        place.write(
            "m/in.json",
            r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0, 0, 0]}]}"#,
        );
        let manifest = std::fs::read_to_string(place.path("m/samara.toml")).unwrap();
        let test =
            "[[test]]\nname = \"bench-it\"\ninputs = \"in.json\"\nexpect = \"out.json\"\ntolerance = 0.001\n";
        // The first of several is the one.
        let manifest = manifest.replacen("[[test]]", &format!("{test}[[test]]"), 1);
        place.write("m/samara.toml", manifest);
        let expect = |value: &str| {
            format!(
                r#"{{"outputs": [{{"name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": [{value}, 0.3333, 0.3333]}}]}}"#
            )
        };
        let run = || place.samara(&["bench", "m", "-n", "5", "--warm-up", "0s", "--output", "json"]);
        place.write("m/out.json", expect("0.3333"));
        let good = run();
        assert_eq!((good.code, &good.json()["request"]["source"]), (0, &json!("test")), "{}", good.err);
        assert!(good.err.contains("this is the test `bench-it` of `samara.toml`"), "{}", good.err);
        place.write("m/out.json", expect("0.5"));
        refused(
            &run(),
            1,
            "the first answer is not the one that is expected: output `probabilities`: element 0",
        );
    }

    #[test]
    fn rows_need_a_free_axis_and_inputs_must_fit() {
        let place = place();
        refused(&place.samara(&["bench", "m", "-n", "1", "--input", "1,2"]), 1, "cannot read input `x`");
        refused(&place.samara(&["bench", "nowhere.onnx", "-n", "1"]), 1, "`nowhere.onnx` does not exist");
    }
}
