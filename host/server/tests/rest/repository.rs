//! The repository: what could be served, and changes of what is.

use samara_server::RepositoryControl;
use samara_test::onnx::ready;
use serde_json::{Value, json};

use crate::common::{Builder, Item, Server};

fn builder() -> Builder {
    Builder::new()
        .serve(Item::model("double", ready::double()))
        .serve(Item::model("double", ready::double()).version("2"))
        .serve(Item::model("add", ready::add()))
}

fn index(server: &Server, request: &str) -> Value {
    let reply = server.post("/v2/repository/index", request);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn entry(name: &str, version: &str, state: &str, reason: &str) -> Value {
    json!({"name": name, "version": version, "state": state, "reason": reason})
}

#[test]
fn the_index_lists_what_could_be_served() {
    let server = builder().start();
    let all = json!([
        entry("double", "1", "READY", ""),
        entry("double", "2", "READY", ""),
        entry("add", "1", "READY", "")
    ]);
    for request in ["", "{}", r#"{"ready":null}"#, r#"{"ready":true}"#] {
        assert_eq!(index(&server, request), all, "{request}");
    }
    assert_eq!(server.post("/v2/repository/models/add/unload", "{}").status, 200);
    assert_eq!(index(&server, r#"{"ready":true}"#).as_array().unwrap().len(), 2);
    assert_eq!(index(&server, "{}")[2], entry("add", "1", "UNAVAILABLE", "unloaded"));
    let refused = server.post("/v2/repository/index", r#"{"ready":"yes"}"#);
    assert_eq!(refused.status, 400);
}

#[test]
fn functions_are_unloaded_and_loaded_again() {
    let server = builder().start();
    let request =
        json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})
            .to_string();
    let infer = || server.post("/v2/models/double/infer", &request);
    assert_eq!(infer().status, 200);
    assert_eq!(
        server
            .post("/v2/repository/models/double/unload", r#"{"parameters":{"unload_dependents":true}}"#)
            .status,
        200
    );
    assert_eq!(infer().status, 404);
    let reply = server.post("/v2/repository/models/double/load", r#"{"parameters":null}"#);
    assert_eq!((reply.status, reply.json()), (200, json!({})));
    assert_eq!(infer().json()["model_version"], "2");
    assert_eq!(server.post("/v2/repository/models/nobody/load", "").status, 404);
    assert_eq!(server.post("/v2/repository/models/nobody/unload", "").status, 404);
}

#[test]
fn a_load_that_fails_is_told_and_remembered() {
    let server = builder().start();
    server.post("/v2/repository/models/add/unload", "");
    server.shelf.spoil("add:", "the shelf fell down");
    let reply = server.post("/v2/repository/models/add/load", "");
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("`add:` cannot be loaded: the shelf fell down"), "{}", reply.error());
    let reason = &index(&server, "")[2]["reason"];
    assert!(reason.as_str().unwrap().contains("the shelf fell down"), "{reason}");
    assert_eq!(server.get("/v2/models/add/ready").status, 503);
}

#[test]
fn a_load_takes_what_the_shelf_holds_then() {
    let server = builder().start();
    server.shelf.put("add:", Item::model("add", ready::subtract()));
    assert_eq!(server.post("/v2/repository/models/add/load", "").status, 200);
    assert_eq!(server.get("/v2/models/add").json()["outputs"][0]["name"], "difference");
}

#[test]
fn the_settings_decide_what_clients_may_change() {
    let image = r#"{"parameters":{"samara_image":"extra"}}"#;
    let server = builder().config(|config| config.repository = RepositoryControl::ReadOnly).start();
    for path in ["/v2/repository/models/add/load", "/v2/repository/models/add/unload"] {
        assert_eq!(server.post(path, "").status, 403);
    }
    assert_eq!(server.post("/v2/repository/index", "").status, 200);

    let server = builder().start();
    let refused = server.post("/v2/repository/models/extra/load", image);
    assert_eq!(refused.status, 403, "{refused:?}");

    let server = builder().config(|config| config.repository = RepositoryControl::Any).start();
    server.shelf.put("extra", Item::model("other", ready::scalar()));
    assert_eq!(server.post("/v2/repository/models/mine/load", image).status, 200);
    assert_eq!(server.get("/v2/models/mine").json()["outputs"][0]["name"], "y");
    assert_eq!(index(&server, "")[3], entry("mine", "1", "READY", ""));
}

#[test]
fn functions_are_not_configured_by_requests() {
    let server = builder().start();
    for (parameters, words) in [
        (r#"{"config":"{}"}"#, "parameter `config`"),
        (r#"{"file:1/model.onnx":"AA=="}"#, "parameter `file:1/model.onnx`"),
        (r#"{"samara_image":7}"#, "parameter `samara_image` is 7"),
        ("[]", "not as expected"),
    ] {
        let reply =
            server.post("/v2/repository/models/add/load", &format!(r#"{{"parameters":{parameters}}}"#));
        assert_eq!(reply.status, 400);
        assert!(reply.error().contains(words), "{words}: {}", reply.error());
    }
}
