//! Bad input: each is told what is wrong and where, and harms nobody else.

use samara_test::onnx::ready;

use crate::common::{Builder, Item, Server};

fn server() -> Server {
    Builder::new()
        .serve(Item::model("double", ready::double()))
        .serve(Item::model("add", ready::add()))
        .serve(Item::guest("text", "function_text"))
        .serve(Item::guest("hello", "http_hello"))
        .config(|config| config.limits.body = 64 << 10)
        .start()
}

const GOOD: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}"#;

/// `GOOD` with one thing changed.
fn but(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn bad_requests_are_refused_by_name() {
    let server = server();
    let deep = "[".repeat(30_000);
    let long = format!("{}1", "1".repeat(1000));
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "EOF while parsing"),
        ("{".to_owned(), "EOF while parsing"),
        ("[]".to_owned(), "no request of the Open Inference Protocol"),
        ("{}".to_owned(), "missing field `inputs`"),
        (format!("{GOOD} {GOOD}"), "trailing characters"),
        (but("[1,2,3,4]", &deep), "expected value"),
        (
            but("[1,2,3,4]", &format!("{}{}", "[".repeat(1000), "]".repeat(1000))),
            "tensor `x`: recursion limit",
        ),
        (but("[1,2,3,4]", "[1,2,3,NaN]"), "expected value"),
        (but("[1,2,3,4]", "[1,2,3,4"), "expected `,` or `]`"),
        (but("[1,2,3,4]", "[1,2,3,1e999]"), "number out of range"),
        (but("[1,2,3,4]", &format!("[1,2,3,{long}]")), "`x`"),
        (
            but("[1,2,3,4]", "[1,2,3,\"4\"]"),
            "tensor `x`: element 3: \"4\" is a string, and FP32 holds floats; the function takes `x FP32[-1,4]`",
        ),
        (but("[1,2,3,4]", "[1,2,3,null]"), "tensor `x`: element 3: `null` is no value"),
        (but("[1,2,3,4]", "[[1,2],[3,4]]"), "tensor `x`: `data` is nested as [2,2], but `shape` is [1,4]"),
        (but("[1,2,3,4]", "[[1,2],[3]]"), "tensor `x`: rows differ in length"),
        (
            but("[1,2,3,4]", "[1,2,3]"),
            "tensor `x`: shape [1,4] holds 4 elements, but `data` has 3; the function takes `x FP32[-1,4]`",
        ),
        (but("[1,2,3,4]", "{}"), "tensor `x`: element 0: an object is no value"),
        (but(",\"data\":[1,2,3,4]", ""), "tensor `x`: it has no `data`"),
        (
            but("[1,4]", "[1,-4]"),
            "tensor `x`: shape [1,-4] has a negative size; the function takes `x FP32[-1,4]`",
        ),
        (
            but("[1,4]", "[4294967296,4294967296]"),
            "tensor `x`: shape [4294967296,4294967296] holds more elements",
        ),
        (but("[1,4]", "[99999999999999999999]"), "invalid"),
        (but("[1,4]", "[4]"), "tensor `x`: the signature asks for shape [-1,4], got [4]"),
        (but("[1,4]", "[2,2]"), "tensor `x`: the signature asks for shape [-1,4], got [2,2]"),
        (but("FP32", "FP64"), "tensor `x`: the signature asks for FP32, got FP64"),
        (but("FP32", "FLOAT"), "tensor `x`: unknown datatype `FLOAT`"),
        (but("\"x\"", "\"z\""), "unknown tensor `z`; the signature has `x`"),
        (but("\"x\"", "\"x\",\"name\":\"x\""), "duplicate field `name`"),
        (but("\"x\"", "\"x\",\"strides\":[1]"), "unknown field `strides`"),
        (
            but("}]}", "},{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]}]}"),
            "tensor `x` is given twice",
        ),
        (
            but("[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[1,2,3,4]}]", "[]"),
            "tensor `x FP32[-1,4]` is missing",
        ),
        (but("}]}", "}],\"outputs\":[{\"name\":\"z\"}]}"), "`double` has no output `z`; it has `y`"),
        (but("}]}", "}],\"outputs\":[{\"name\":\"y\"},{\"name\":\"y\"}]}"), "output `y` is asked for twice"),
        (
            but("}]}", "}],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":-1}}]}"),
            "output `y`: parameter `classification` is -1",
        ),
        (
            but("}]}", "}],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"shared_memory_region\":\"r\"}}]}"),
            "shared memory",
        ),
        (
            but("\"shape\"", "\"parameters\":{\"shared_memory_region\":\"r\"},\"shape\""),
            "tensor `x`: this server does not reach into a client's shared memory",
        ),
        (
            but("\"shape\"", "\"parameters\":{\"content_type\":\"base64\"},\"shape\""),
            "tensor `x`: parameter `content_type` is \"base64\", which only BYTES have, not FP32",
        ),
        (but("}]}", "}],\"parameters\":{\"timeout\":-5}}"), "parameter `timeout` is -5"),
        (but("}]}", "}],\"parameters\":{\"sequence_id\":7}}"), "parameter `sequence_id` is 7"),
        (but("}]}", "}],\"parameters\":[]}"), "invalid type: sequence, expected an object"),
        (but("{\"name\"", "[1,{\"name\""), "expected an object"),
        (format!("[null,null,[{GOOD}]]"), "expected an object"),
    ];
    let mut client = server.client();
    for (body, words) in &cases {
        let reply = client.send("POST", "/v2/models/double/infer", &[], body.as_bytes());
        assert_eq!(reply.status, 400, "{words}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(reply.error().contains(words), "{words}: {}", reply.error());
        let good = client.send("POST", "/v2/models/double/infer", &[], GOOD.as_bytes());
        assert_eq!(good.status, 200, "after {words}");
    }
    let broken = client.send("POST", "/v2/models/double/infer", &[], b"{\"id\":\"\xff\"}");
    assert_eq!(broken.status, 400);
    assert!(broken.error().contains("byte 7 of the JSON is not UTF-8"), "{}", broken.error());
    let missing = server.post("/v2/models/add/infer", &but("\"x\"", "\"a\""));
    assert!(missing.error().contains("tensor `b FP32[-1,-1]` is missing"), "{}", missing.error());
}

#[test]
fn what_does_not_exist_is_not_found() {
    let server = server();
    for (path, words) in [
        (
            "/v2/models/doubel/infer",
            "no function is served as `doubel`; there is `add`, `double`, `hello`, `text`",
        ),
        ("/v2/models/double/versions/9/infer", "`double` is not served in version `9`; there is `1`"),
        ("/v2/models//infer", "no function is served as ``"),
        ("/v2/models/double/predict", "there is nothing at /v2/models/double/predict"),
        ("/v2/models/double/infer/more/and/more", "there is nothing at"),
        ("/v2/models/double/versions/1/2/infer", "there is nothing at"),
        ("/v2/repository", "there is nothing at"),
    ] {
        let reply = server.post(path, GOOD);
        let status =
            if path.contains("predict") || path.contains("more") || path.contains("1/2") { 405 } else { 404 };
        if status == 405 {
            // Only what is looked at could be there.
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")), "{path}");
            continue;
        }
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.error().contains(words), "{words}: {}", reply.error());
    }
    assert_eq!(server.get("/v2/models/double/predict").status, 404);
    assert_eq!(server.get("/v2/models/%ff").status, 400);
}

#[test]
fn methods_that_make_no_sense_are_named_with_those_that_do() {
    let server = server();
    for (method, path, allowed) in [
        ("GET", "/v2/models/double/infer", "POST"),
        ("DELETE", "/v2/models/double/infer", "POST"),
        ("POST", "/v2", "GET"),
        ("PUT", "/v2/models/double", "GET"),
        ("GET", "/v2/repository/index", "POST"),
        ("GET", "/v2/repository/models/double/load", "POST"),
    ] {
        let reply = server.client().send(method, path, &[], b"");
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{method} {path}");
        assert!(reply.error().contains(allowed));
    }
}

#[test]
fn forms_of_pages_are_refused() {
    let server = server();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "image/png"] {
        let headers = [("content-type", media_type), ("origin", "https://a.example")];
        let reply = server.client().send("POST", "/v2/models/double/infer", &headers, GOOD.as_bytes());
        assert_eq!(reply.status, 415);
        assert!(reply.error().contains(media_type) && reply.error().contains("application/json"));
    }
}

#[test]
fn bodies_beyond_the_limit_are_refused_before_they_are_read() {
    let server = server();
    let mut client = server.client();
    client.write(b"POST /v2/models/double/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 65537\r\n\r\n");
    let reply = client.reply("POST");
    assert_eq!(reply.status, 413);
    assert!(reply.error().contains("larger than 65536 bytes"), "{}", reply.error());
    // One that does not say how long it is.
    let mut client = server.client();
    client.write(b"POST /v2/models/double/infer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let piece = "1".repeat(0x8000);
    for _ in 0..3 {
        client.write(format!("8000\r\n{piece}\r\n").as_bytes());
    }
    assert_eq!(client.reply("POST").status, 413);
}

#[test]
fn functions_of_http_are_not_called_with_tensors() {
    let server = server();
    for reply in [
        server.post("/v2/models/hello/infer", GOOD),
        server.get("/v2/models/hello"),
        server.get("/v2/models/hello/config"),
    ] {
        assert_eq!(reply.status, 501);
        assert!(reply.error().contains("send HTTP requests to /hello"), "{}", reply.error());
    }
    assert_eq!(server.get("/v2/models/hello/ready").status, 200);
}

#[test]
fn what_a_function_does_wrong_is_its_own_fault() {
    let server = Builder::new()
        .serve(Item::guest("trap", "function_trap"))
        .serve(Item::guest("error", "function_error"))
        .start();
    let row = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;
    let reply = server.post("/v2/models/trap/infer", row);
    assert_eq!(reply.status, 500, "{reply:?}");
    assert!(reply.error().starts_with("`trap` trapped: "), "{}", reply.error());
    for (kind, status) in [
        ("invalid-input", 400),
        ("not-found", 404),
        ("unsupported", 501),
        ("timeout", 504),
        ("too-large", 413),
        ("internal", 500),
    ] {
        let input = serde_json::json!({"name": "kind", "datatype": "BYTES", "shape": [1], "data": [kind]});
        let reply =
            server.post("/v2/models/error/infer", &serde_json::json!({ "inputs": [input] }).to_string());
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(reply.error().contains(&format!("asked for {kind}")), "{}", reply.error());
    }
}
