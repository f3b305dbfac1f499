//! Clients of the Open Inference Protocol, a browser and tools for load and
//! metrics: what they expect of a server.

use std::process::{Command, Stdio};

use samara_test::server::Server;
use serde_json::Value;

use super::{IRIS, ROW, agrees, curled, fixture, named_guest, script, serve};
use crate::support::{Ran, command, ran, root};

#[test]
fn clients_and_tools_find_what_they_expect() {
    let server = serve(&[IRIS, &named_guest("datatypes", "function_datatypes")]);
    for client in ["triton_http.py", "triton_grpc.py", "kserve_clients.py"] {
        // Each takes `iris` out of service and back, so one after the other.
        let repository = (client != "kserve_clients.py").then_some("--repository");
        let arguments = [server.address()].into_iter().chain(repository);
        let Some(ran) = script(&format!("clients/{client}"), arguments) else { return };
        agrees(client, &ran);
        assert!(ran.stdout.contains(" checks, 0 differ"), "{client} checked nothing: {}", ran.stdout);
    }
    wrk_gets_right_answers(&server);
    the_bench_gets_right_answers(&server);
    promtool_accepts_the_metrics(&server);
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
}

/// Eight connections, each answer looked at.
fn wrk_gets_right_answers(server: &Server) {
    let Some(wrk) = samara_test::program("wrk") else { return };
    let mut command = Command::new(wrk);
    command.args(["--threads", "1", "--connections", "8", "--duration", "1s", "--script"]);
    command.arg(fixture("wrk_answers.lua")).arg(format!("{}/v2/models/iris/infer", server.url()));
    let printed = ran(command.env("BODY", ROW)).good();
    let found = printed.lines().find_map(|line| line.strip_prefix("answers: "));
    let found: Value = serde_json::from_str(found.unwrap_or_else(|| panic!("{printed}"))).unwrap();
    assert!(found["right"].as_u64() > Some(0), "{printed}");
    assert_eq!((&found["wrong"], &found["errors"]), (&0.into(), &0.into()), "{printed}");
}

fn the_bench_gets_right_answers(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (request, expect) = (folder.path().join("in.json"), folder.path().join("out.json"));
    std::fs::write(&request, ROW).unwrap();
    let url = format!("{}/v2/models/iris", server.url());
    let Some(answer) = curled(["--json", ROW, &format!("{url}/infer")]) else { return };
    std::fs::write(&expect, answer).unwrap();
    let grpc = format!("grpc://{}/iris", server.address());
    for (url, form) in [(&url, &[][..]), (&url, &["--binary"]), (&grpc, &[])] {
        let mut bench = command(root());
        bench.args(["bench", "--url", url, "--requests", "64", "--connections", "4", "--warm-up", "0s"]);
        bench.arg("--request").arg(&request).arg("--expect").arg(&expect).args(form);
        let report = ran(bench.args(["--fail-if", "errors>0", "--output", "json", "-q"])).response();
        assert_eq!(report["passed"], true, "{report}");
    }
}

/// After everything that was counted before.
fn promtool_accepts_the_metrics(server: &Server) {
    let Some(metrics) = curled([format!("{}/metrics", server.url())]) else { return };
    assert!(metrics.contains("samara_requests_total{"), "{metrics}");
    let Some(promtool) = samara_test::program("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics");
    std::fs::write(&file, metrics).unwrap();
    let mut check = Command::new(promtool);
    let output = check.args(["check", "metrics"]).stdin(Stdio::from(std::fs::File::open(file).unwrap()));
    let said = Ran::from(output.output().unwrap());
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "promtool:\n{}", said.stdout);
}

#[test]
fn the_server_does_what_its_document_says() {
    // Else it would take the function out of service, and call that a failure.
    let server = serve(&[IRIS, "--repository", "read-only"]);
    let Some(ran) = script("clients/openapi.py", [server.address()]) else { return };
    agrees("schemathesis", &ran);
    // A function is there, and the server still answers.
    let Some(answer) = curled(["--json", ROW, &format!("{}/v2/models/iris/infer", server.url())]) else {
        return;
    };
    assert!(answer.contains("probabilities"), "{answer}");
    let (status, said) = server.stop();
    assert!(status.success() && !said.contains("panicked"), "{said}");
}

#[test]
fn a_browser_clicks_through_the_page() {
    let Some(chromium) = samara_test::program("chromium") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "word-of-the-page\n").unwrap();
    let datatypes = named_guest("datatypes", "function_datatypes");
    let server = serve(&["examples/digits", IRIS, &datatypes, "--token-file", tokens.to_str().unwrap()]);
    let arguments = [server.url(), "--token", "word-of-the-page", "--chromium", chromium.to_str().unwrap()];
    let Some(ran) = script("page.py", arguments) else { return };
    agrees("the page", &ran);
}
