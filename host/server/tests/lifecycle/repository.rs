//! Functions that clients load and unload.

use samara_server::RepositoryControl;

use crate::common::client::Reply;
use crate::common::{Builder, Item, Server};
use crate::{ask, doubling, expect_doubled, expect_row};

fn change(server: &Server, name: &str, what: &str) -> Reply {
    server.post(&format!("/v2/repository/models/{name}/{what}"), "")
}

fn states(server: &Server) -> Vec<(String, String)> {
    let index = server.post("/v2/repository/index", "{}").json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    index.as_array().unwrap().iter().map(|item| (text(&item["state"]), text(&item["reason"]))).collect()
}

fn controlled(control: RepositoryControl) -> Server {
    Builder::new().serve(doubling("f")).config(|config| config.repository = control).start()
}

#[test]
fn a_function_that_is_unloaded_finishes_what_runs_and_comes_back() {
    let server = Builder::new().serve(Item::gated("slow")).start();
    let mut running = ask(&server, "slow", 1, "");
    server.gate.wait_for(1);
    assert_eq!(change(&server, "slow", "unload").status, 200);
    assert_eq!(server.post("/v2/models/slow/infer", &crate::row(2)).status, 404);
    assert_eq!(server.get("/v2/models/slow/ready").status, 503);
    assert_eq!(states(&server), [("UNAVAILABLE".to_owned(), "unloaded".to_owned())]);
    server.gate.open();
    expect_row(&mut running, 1);
    assert_eq!(change(&server, "slow", "load").status, 200);
    expect_row(&mut ask(&server, "slow", 3, ""), 3);
}

#[test]
fn a_load_that_fails_leaves_the_old_version_answering() {
    let server = controlled(RepositoryControl::Configured);
    let ready = || vec![("READY".to_owned(), String::new())];
    server.shelf.spoil("f:", "the disk is on fire");
    let failed = change(&server, "f", "load");
    assert_eq!((failed.status, failed.error().as_str()), (400, "`f:` cannot be loaded: the disk is on fire"));
    expect_doubled(&server, "f");
    assert_eq!(states(&server), ready());
    // One that does not answer says why.
    assert_eq!(change(&server, "f", "unload").status, 200);
    assert_eq!(change(&server, "f", "load").status, 400);
    let (state, reason) = states(&server).remove(0);
    assert_eq!(state, "UNAVAILABLE");
    assert!(reason.contains("the disk is on fire"), "{reason}");
    server.shelf.put("f:", doubling("f"));
    assert_eq!(change(&server, "f", "load").status, 200);
    expect_doubled(&server, "f");
    assert_eq!(states(&server), ready());
}

#[test]
fn loading_again_swaps_while_requests_run() {
    let server = Builder::new().serve_as("it", Item::gated("f"), |_| {}).start();
    let mut old = ask(&server, "f", 1, "");
    server.gate.wait_for(1);
    server.shelf.put("it", doubling("f"));
    assert_eq!(change(&server, "f", "load").status, 200);
    expect_doubled(&server, "f");
    server.gate.open();
    expect_row(&mut old, 1);
}

#[test]
fn clients_may_do_what_the_settings_say() {
    let image = r#"{"parameters":{"samara_image":"other"}}"#;
    let load_other = |server: &Server| server.post("/v2/repository/models/g/load", image);
    let server = controlled(RepositoryControl::ReadOnly);
    for refused in [change(&server, "f", "load"), change(&server, "f", "unload"), load_other(&server)] {
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    expect_doubled(&server, "f");

    let server = controlled(RepositoryControl::Configured);
    assert_eq!(change(&server, "f", "load").status, 200);
    assert_eq!(change(&server, "g", "load").status, 404);
    assert_eq!(change(&server, "g", "unload").status, 404);
    assert_eq!(load_other(&server).status, 403);

    let server = controlled(RepositoryControl::Any);
    assert_eq!(load_other(&server).status, 400);
    server.shelf.put("other", doubling("own name"));
    assert_eq!(load_other(&server).status, 200);
    expect_doubled(&server, "g");
    expect_doubled(&server, "f");
    assert_eq!(change(&server, "g", "unload").status, 200);
    assert_eq!(states(&server).len(), 2);
}
