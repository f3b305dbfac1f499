//! `samara bench` over gRPC, against a small server of the Open Inference
//! Protocol.

mod support;

use std::sync::{Mutex, mpsc};

use samara_nn::Tensor;
use samara_protocol::grpc::client;
use samara_protocol::grpc::request::Form;
use serde_json::json;
use support::grpc::{Server, Told, answer, other, right};
use support::server::{ANSWER, Reply};
use support::{Place, Run};

fn bench(server: &Server, args: &[&str]) -> Run {
    bench_in(&Place::new(), server, args)
}

/// Runs `samara bench` at a server, without a warm-up, and with JSON out.
fn bench_in(place: &Place, server: &Server, args: &[&str]) -> Run {
    let url = server.url();
    let fixed = ["bench", "--url", &url, "--warm-up", "0s", "--output", "json"];
    place.samara(&[&fixed[..], args].concat())
}

fn refused(run: &Run, code: i32, words: &str) {
    assert_eq!((run.code, run.out.as_str()), (code, ""), "{}", run.err);
    assert!(run.err.contains(words), "{}", run.err);
}

#[test]
fn a_server_gets_exactly_the_requests_that_were_asked_for() {
    let server = Server::start(|_| right(Form::Raw));
    let run = bench(&server, &["-n", "20", "--connections", "3", "--input", "[[1,2],[3,4]]"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let (report, asked) = (run.json(), server.asked());
    // The first one is a check.
    assert_eq!(asked.len(), 21);
    let tensor = Tensor::from_vec([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let mut expected = client::request(&[("x".to_owned(), tensor)], &[]);
    expected.model_name = "double".to_owned();
    assert!(asked.iter().all(|asked| asked.message == expected), "{asked:?}");
    assert_eq!(asked[0].headers["te"], "trailers");
    let target = json!({"kind": "grpc", "what": server.url(), "function": "double", "version": null});
    assert_eq!(report["target"], target);
    assert_eq!((&report["request"]["encoding"], &report["request"]["rows"]), (&json!("raw"), &json!(2)));
    let (step, sent) = (&report["steps"][0], report["request"]["bytes"].as_u64().unwrap());
    assert_eq!((&step["answers"], &step["errors"]["total"]), (&json!(20), &json!(0)));
    assert_eq!(step["bytes"]["sent"], json!(20 * sent));
    assert_eq!(step["bytes"]["received"], json!(20 * (5 + right(Form::Raw).unwrap().len())));
}

#[test]
fn answers_of_both_forms_are_compared() {
    let place = Place::new();
    place.write("expect.json", ANSWER);
    let args = ["-n", "4", "--input", "1,2", "--expect", "expect.json"];
    for form in [Form::Raw, Form::Typed] {
        let run = bench_in(&place, &Server::start(move |_| right(form)), &args);
        assert_eq!((run.code, &run.json()["steps"][0]["answers"]), (0, &json!(4)), "{}", run.err);
    }
    let wrong =
        || answer(vec![("y".to_owned(), Tensor::from_vec([1, 2], vec![2.0f32, 5.0]).unwrap())], Form::Raw);
    let server = Server::start(move |number| if number == 2 { wrong() } else { right(Form::Raw) });
    let run = bench_in(&place, &server, &args);
    assert_eq!(run.json()["steps"][0]["errors"], json!({"total": 1, "by_kind": {"wrong_answer": 1}}));
    refused(
        &bench_in(&place, &Server::start(move |_| wrong()), &args),
        1,
        "the first answer is not the one that is expected: output `y`: element 1: expected 4, got 5",
    );
}

#[test]
fn errors_are_counted_by_their_code() {
    let server = Server::start(|number| match number % 3 {
        1 => Err((8, "no room")),
        2 => Err((14, "")),
        _ => right(Form::Raw),
    });
    let run = bench(&server, &["-n", "6", "--fail-if", "errors>50%"]);
    let errors = json!({"total": 4, "by_kind": {"resource_exhausted": 2, "unavailable": 2}});
    assert_eq!(run.json()["steps"][0]["errors"], errors);
    assert_eq!((run.code, &run.json()["steps"][0]["answers"]), (1, &json!(2)));
}

#[test]
fn answers_that_do_not_come_time_out() {
    // Held back until the server is dropped.
    let (release, hold) = mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let server = Server::start(move |number| {
        if number == 1 {
            let _ = hold.lock().unwrap().recv();
        }
        right(Form::Raw)
    });
    let run = bench(&server, &["-n", "2", "--timeout", "2s"]);
    drop(release);
    assert_eq!(run.json()["steps"][0]["errors"], json!({"total": 1, "by_kind": {"timeout": 1}}));
    assert_eq!(run.json()["steps"][0]["answers"], 1);
}

#[test]
fn functions_are_found_or_told() {
    let server = Server::start(|_| right(Form::Raw));
    let place = Place::new();
    let run = |args: &[&str]| place.samara(&[&["bench", "-n", "1", "--warm-up", "0s"], args].concat());
    let url = server.url();
    let (named, whole) = (format!("{url}/double"), format!("{url}/double/3"));
    for args in [vec!["--url", &url], vec!["--url", &url, "--function", "double"], vec!["--url", &named]] {
        let run = run(&args);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.starts_with("double at grpc://127.0.0.1:"), "{}", run.out);
    }
    assert!(run(&["--url", &whole]).out.starts_with("double version 3 at grpc://"));
    assert_eq!(server.asked().last().unwrap().message.model_version, "3");
    refused(
        &run(&["--url", &named, "--function", "double"]),
        2,
        "the URL says already what `--function` says",
    );
    refused(&run(&["--url", &url, "--binary"]), 2, "over gRPC, tensors always travel as bytes");
    let unknown = Server::with(
        |_| right(Form::Raw),
        |method| match method {
            "ModelMetadata" => Err((5, "no%20such%20model")),
            other => self::other(other),
        },
    );
    let unknown = run(&["--url", &format!("{}/treble", unknown.url())]);
    refused(&unknown, 1, "the server does not know `treble` of `grpc://127.0.0.1:");
    assert!(unknown.err.contains("NOT_FOUND: no such model"), "{}", unknown.err);
    assert!(unknown.err.ends_with("hint: the server has `double`\n"), "{}", unknown.err);
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let (place, server) = (Place::new(), Server::start(|_| right(Form::Raw)));
    place.write("token", "s3cret\n");
    let run = bench_in(&place, &server, &["-n", "1", "-v", "--token-file", "token"]);
    assert_eq!(server.asked()[0].headers["authorization"], "Bearer s3cret");
    assert!(!run.err.contains("s3cret") && !run.out.contains("s3cret"));
}

#[test]
fn what_is_no_server_of_the_protocol_is_told() {
    let place = Place::new();
    let run = |url: &str| place.samara(&["bench", "--url", url, "-n", "1", "--timeout", "20s"]);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("grpc://{}", listener.local_addr().unwrap())
    };
    let cannot = format!("cannot reach `{closed}` over gRPC\n  caused by: no connection: ");
    refused(&run(&format!("{closed}/m")), 1, &cannot);
    let stranger = Server::with(|_| Err((12, "")), |_| Err((12, "")));
    for url in [stranger.url(), format!("{}/m", stranger.url())] {
        refused(&run(&url), 1, "is no server of the Open Inference Protocol: it answers");
    }
    // One of REST, at its own port.
    let rest = support::server::Server::start(|_, _| Reply::new(200, ANSWER));
    refused(&run(&format!("{}/m", rest.url().replace("http", "grpc"))), 1, "over gRPC\n  caused by: ");
    let garbage = Server::start(|_| Told::Ok(vec![0xff].into()));
    refused(&run(&garbage.url()), 1, "is no response of the Open Inference Protocol\n  caused by: ");
    let full = Server::start(|_| Err((3, "wrong%20shape")));
    refused(&run(&full.url()), 1, "the first request was refused: INVALID_ARGUMENT: wrong shape");
}
