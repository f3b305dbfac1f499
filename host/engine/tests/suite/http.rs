//! HTTP functions of WASI 0.2 and 0.3: streams in both directions, calls out,
//! and guests that fail before and in the middle of their response.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use samara_engine::{
    CallOptions, Ended, Error, ErrorKind, Function, FunctionSource, Host, Limits, ResponseBody,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::support::*;

/// The same routes for both generations.
const BOTH: [&str; 2] = ["http_routes", "http_routes_p3"];

/// The source of an HTTP function that may call a host which is not there.
pub(crate) fn routes(name: &str) -> FunctionSource {
    let mut source = guest(name);
    source.grants.http_hosts.push("nowhere.invalid".to_owned());
    source
}

fn function(host: &Host, name: &str) -> Function {
    load(host, with_model(routes(name), "m", double())).unwrap()
}

/// One whose deadlines a test means to reach.
fn hasty(host: &Host, name: &str) -> Function {
    let limits = Limits { deadline: Duration::from_millis(500), ..Limits::default() };
    load(host, FunctionSource { limits, ..routes(name) }).unwrap()
}

pub(crate) fn get(target: &str) -> Request<Full<Bytes>> {
    post(target, "")
}

fn post(target: &str, body: &'static str) -> Request<Full<Bytes>> {
    let method = if body.is_empty() { Method::GET } else { Method::POST };
    let request = Request::builder().method(method).uri(target).header("host", "samara.test");
    request.body(Full::from(body)).unwrap()
}

pub(crate) async fn ask<B>(
    function: &Function,
    request: Request<B>,
    options: CallOptions,
) -> Result<Response<ResponseBody>, Error>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    function.handle(request, options).await
}

async fn ask_plainly(function: &Function, target: &str) -> Result<Response<ResponseBody>, Error> {
    ask(function, get(target), CallOptions::default()).await
}

/// The whole body, as text.
pub(crate) async fn read(response: Response<ResponseBody>) -> Result<String, Error> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The next piece of a body.
async fn piece(body: &mut ResponseBody) -> String {
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    String::from_utf8_lossy(&frame).into_owned()
}

/// A body whose pieces come when the test sends them.
struct Pieces(mpsc::UnboundedReceiver<Result<Bytes, std::io::Error>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context).map_ok(Frame::data)
    }
}

type Sending = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

fn streamed(target: &str) -> (Sending, Request<Pieces>) {
    let (send, pieces) = mpsc::unbounded_channel();
    (send, post(target, "streamed").map(|_| Pieces(pieces)))
}

/// Hears once how the guest's work ended.
fn end_of(body: &ResponseBody) -> oneshot::Receiver<Ended> {
    let (tell, told) = oneshot::channel();
    // A test that has failed hears nothing any more.
    body.on_end(move |ended| drop(tell.send(ended)));
    told
}

#[test]
fn bodies_stream_in_both_directions_at_once() {
    let host = host();
    for (name, target) in [(BOTH[0], "/echo"), (BOTH[1], "/echo"), (BOTH[1], "/pass")] {
        let function = function(&host, name);
        block_on(async {
            let (send, request) = streamed(target);
            let response = ask(&function, request, CallOptions::default()).await.unwrap();
            let mut body = response.into_body();
            let told = end_of(&body);
            for words in ["one", "two", "three"] {
                send.send(Ok(Bytes::from(words))).unwrap();
                assert_eq!(piece(&mut body).await, words, "{name} {target}");
            }
            drop(send);
            let end = body.frame().await;
            assert!(end.is_none(), "{name} {target}: {end:?}");
            assert_eq!(told.await.unwrap().failure, None);
        });
    }
    assert_eq!(host.instances_in_use(), 0);
}

#[test]
fn a_large_body_streams_whole() {
    let host = host();
    for name in BOTH {
        let function = function(&host, name);
        block_on(async {
            let response = ask_plainly(&function, "/large?10000000").await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.len(), 10_000_000, "{name}");
        });
    }
}

#[test]
fn a_guest_sees_the_request_without_the_connection() {
    let host = host();
    for name in BOTH {
        let function = function(&host, name);
        let request = Request::builder()
            .method("PROPFIND")
            .uri("https://api.test:8443/request?a=b")
            .header("host", "samara.test")
            .header("connection", "keep-alive, x-hop")
            .header("keep-alive", "1")
            .header("x-hop", "1")
            .header("te", "trailers")
            .header("transfer-encoding", "chunked")
            .header("traceparent", "of the client")
            .header("x-kept", "1")
            .header("x-kept", "2")
            .body(Full::<Bytes>::default())
            .unwrap();
        let options = CallOptions { traceparent: Some("00-01-02-01".into()), ..CallOptions::default() };
        let seen = block_on(async { read(ask(&function, request, options).await.unwrap()).await.unwrap() });
        let mut lines: Vec<&str> = seen.lines().collect();
        lines[1..].sort_unstable();
        let expected = [
            "PROPFIND https api.test:8443 /request?a=b",
            "traceparent: 00-01-02-01",
            "x-kept: 1",
            "x-kept: 2",
        ];
        assert_eq!(lines, expected, "{name}");
    }
}

#[test]
fn the_host_header_names_the_authority_and_must_be_one() {
    let host = host();
    for name in BOTH {
        let function = function(&host, name);
        block_on(async {
            let seen = read(ask_plainly(&function, "/request").await.unwrap()).await.unwrap();
            assert!(seen.starts_with("GET http samara.test /request\n"), "{name}: {seen}");
            let odd = Request::builder().uri("/request").header("host", "a b");
            let odd = odd.body(Full::<Bytes>::default()).unwrap();
            let error = ask(&function, odd, CallOptions::default()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().ends_with("its header `host` is \"a b\", which is no host"), "{error}");
        });
    }
}

#[test]
fn a_guest_sets_headers_but_none_of_the_connection() {
    let host = host();
    let function = function(&host, "http_routes");
    block_on(async {
        let response = ask_plainly(&function, "/headers").await.unwrap();
        assert_eq!(response.headers()["x-guest"], "yes");
        let refused = "connection,transfer-encoding,host,upgrade";
        assert_eq!(response.body().size_hint().exact(), Some(refused.len() as u64));
        assert_eq!(read(response).await.unwrap(), refused);

        let response = ask_plainly(&function, "/empty").await.unwrap();
        assert!(response.body().is_end_stream());
        assert_eq!(response.body().size_hint().exact(), Some(0));
        assert_eq!(read(response).await.unwrap(), "");

        assert_eq!(ask_plainly(&function, "/status?418").await.unwrap().status(), 418);
        let error = ask_plainly(&function, "/status?103").await.unwrap_err();
        assert!(error.to_string().contains("status 103, which ends no request"), "{error}");
    });
}

#[test]
fn a_guest_that_fails_before_its_answer_is_told_by_its_error() {
    let host = host();
    for name in BOTH {
        let function = function(&host, name);
        let failure = |target| block_on(ask_plainly(&function, target)).unwrap_err();
        let trap = failure("/trap");
        assert!(matches!(trap, Error::Trap { .. }), "{name}: {trap}");
        let exit = failure("/exit");
        assert!(matches!(exit, Error::Exited { code: 1, .. }), "{name}: {exit}");
        let refusal = failure("/refuse");
        assert_eq!(refusal.kind(), ErrorKind::TooLarge, "{name}: {refusal}");
    }
    let function = function(&host, "http_routes");
    let error = block_on(ask_plainly(&function, "/nothing")).unwrap_err();
    assert_eq!(error.to_string(), "`http_routes` ended without an answer");
    assert_eq!(error.kind(), ErrorKind::FunctionFailed);
    assert_eq!(host.instances_in_use(), 0);
}

#[test]
fn a_guest_that_loops_before_its_answer_ends_at_the_deadline() {
    let host = host();
    for name in BOTH {
        let error = block_on(ask_plainly(&hasty(&host, name), "/loop")).unwrap_err();
        assert_eq!(error.to_string(), format!("`{name}` ran longer than its deadline of 500ms"));
        let options = CallOptions { deadline: Some(Duration::from_millis(50)), ..CallOptions::default() };
        let error = block_on(ask(&function(&host, name), get("/loop"), options)).unwrap_err();
        assert_eq!(error.to_string(), format!("`{name}` ran longer than its deadline of 50ms"));
    }
}

/// Asks for a response that begins well, and gives the error that ends it.
async fn broken(function: &Function, target: &str) -> (Error, Ended) {
    let mut body = ask_plainly(function, target).await.unwrap().into_body();
    let told = end_of(&body);
    assert_eq!(piece(&mut body).await, "begun");
    let error = body.frame().await.expect("the body ends as if it were whole").unwrap_err();
    assert!(body.frame().await.is_none());
    (error, told.await.unwrap())
}

#[test]
fn a_guest_that_fails_in_the_middle_never_ends_its_body_well() {
    let host = host();
    for name in BOTH {
        let function = function(&host, name);
        block_on(async {
            let (error, ended) = broken(&function, "/trap-later").await;
            assert!(matches!(error, Error::Trap { .. }), "{name}: {error}");
            assert_eq!(ended.failure, Some((ErrorKind::FunctionFailed, error.to_string())));
            let (error, _) = broken(&function, "/exit-later").await;
            assert!(matches!(error, Error::Exited { .. }), "{name}: {error}");
        });
    }
    let function = function(&host, "http_routes");
    block_on(async {
        for target in ["/leave", "/drop", "/short"] {
            let (error, _) = broken(&function, target).await;
            assert!(matches!(error, Error::BrokenResponse { .. }), "{target}: {error}");
        }
    });
    assert_eq!(host.instances_in_use(), 0);
}

#[test]
fn a_guest_that_stands_still_in_the_middle_is_stopped() {
    let host = host();
    for (name, target) in [(BOTH[0], "/loop-later"), (BOTH[1], "/loop-later"), (BOTH[1], "/leave")] {
        let (error, ended) = block_on(broken(&hasty(&host, name), target));
        assert_eq!(
            error.to_string(),
            format!("`{name}` stalled: no part of its response nor of its request moved for 500ms")
        );
        assert_eq!(ended.failure.unwrap().0, ErrorKind::Timeout);
    }
    assert_eq!(host.instances_in_use(), 0);
}

#[test]
fn a_caller_who_stops_reading_does_not_hold_an_instance_for_ever() {
    let host = host();
    for name in BOTH {
        let function = hasty(&host, name);
        block_on(async {
            let body = ask_plainly(&function, "/large?1000000000").await.unwrap().into_body();
            let ended = end_of(&body).await.unwrap();
            assert_eq!(ended.failure.unwrap().0, ErrorKind::Timeout, "{name}");
            assert!(body.collect().await.is_err());
        });
    }
}

#[test]
fn a_failure_after_a_whole_body_harms_it_not() {
    let host = host();
    let function = function(&host, "http_routes");
    block_on(async {
        let response = ask_plainly(&function, "/trap-after").await.unwrap();
        let told = end_of(response.body());
        assert_eq!(read(response).await.unwrap(), "begun");
        assert_eq!(told.await.unwrap().failure.unwrap().0, ErrorKind::FunctionFailed);
    });
}

#[test]
fn a_caller_who_goes_away_frees_the_instance() {
    let host = host_of(1);
    for name in BOTH {
        let function = function(&host, name);
        block_on(async {
            let mut body = ask_plainly(&function, "/large?1000000000").await.unwrap().into_body();
            let told = end_of(&body);
            piece(&mut body).await;
            let error = ask_plainly(&function, "/request").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Overloaded, "{name}: {error}");
            drop(body);
            let ended = told.await.unwrap();
            assert_eq!(ended.failure.unwrap().0, ErrorKind::Cancelled, "{name}");
            assert_eq!(host.instances_in_use(), 0);

            // And one who goes before there is an answer.
            let mut asking = Box::pin(ask_plainly(&function, "/loop"));
            while host.instances_in_use() == 0 {
                assert!(futures_now(&mut asking).await.is_none());
                tokio::task::yield_now().await;
            }
            drop(asking);
            assert_eq!(host.instances_in_use(), 0);
            assert!(ask_plainly(&function, "/request").await.is_ok());
        });
    }
}

/// Polls once.
async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[test]
fn an_upload_that_breaks_off_does_not_look_whole() {
    let host = host();
    for (name, target) in [(BOTH[0], "/echo"), (BOTH[1], "/pass")] {
        let function = function(&host, name);
        block_on(async {
            let (send, request) = streamed(target);
            let mut body = ask(&function, request, CallOptions::default()).await.unwrap().into_body();
            send.send(Ok(Bytes::from("one"))).unwrap();
            assert_eq!(piece(&mut body).await, "one");
            send.send(Err(std::io::ErrorKind::ConnectionReset.into())).unwrap();
            let error = body.frame().await.expect("the body ends as if it were whole").unwrap_err();
            assert!(matches!(error, Error::BrokenResponse { .. }), "{name}: {error}");
        });
    }
}

#[test]
fn an_http_function_runs_its_models() {
    let host = host();
    for name in BOTH {
        let function = function(&host, name);
        block_on(async {
            let request = post("/model", "1, 2.5");
            let response = ask(&function, request, CallOptions::default()).await.unwrap();
            let told = end_of(response.body());
            assert_eq!(read(response).await.unwrap(), "[2.0, 5.0]", "{name}");
            let ended = told.await.unwrap();
            assert_eq!(ended.failure, None);
            let [stage] = ended.report.stages.as_slice() else { panic!("{ended:?}") };
            let [run] = stage.models.as_slice() else { panic!("{ended:?}") };
            assert!(stage.guest_memory > 0 && stage.instantiation <= run.began, "{ended:?}");
        });
        assert_eq!(function.instances_created(), 1);
    }
}

/// A server that answers one request with its own text.
async fn mirror(listener: &TcpListener) {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(connection.read_u8().await.unwrap());
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.len());
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&request).await.unwrap();
}

#[test]
fn requests_leave_for_granted_hosts_only_and_carry_the_trace() {
    let host = host();
    for name in BOTH {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut source = routes(name);
            source.grants.http_hosts.push(address.to_string());
            let function = Function::load(&host, source).await.unwrap();
            let fetch = async |url: String, own: Option<&str>| {
                let mut request = get("/fetch");
                request.headers_mut().insert("x-url", url.parse().unwrap());
                if let Some(own) = own {
                    request.headers_mut().insert("x-traceparent", own.parse().unwrap());
                }
                let options =
                    CallOptions { traceparent: Some("00-01-02-01".into()), ..CallOptions::default() };
                read(ask(&function, request, options).await.unwrap()).await.unwrap()
            };
            let (seen, ()) = tokio::join!(fetch(format!("http://{address}/a?b"), None), mirror(&listener));
            assert!(seen.starts_with("GET /a?b HTTP/1.1\r\n"), "{name}: {seen}");
            assert!(seen.contains("traceparent: 00-01-02-01\r\n"), "{name}: {seen}");
            let (seen, ()) =
                tokio::join!(fetch(format!("http://{address}/"), Some("own")), mirror(&listener));
            assert!(seen.contains("traceparent: own\r\n"), "{name}: {seen}");
            assert_eq!(seen.matches("traceparent").count(), 1, "{name}: {seen}");

            let refused = fetch(format!("http://localhost:{}/", address.port()), None).await;
            assert!(refused.starts_with("error: ErrorCode::HttpRequestDenied"), "{name}: {refused}");
        });
    }
}

#[test]
fn only_http_functions_are_asked_over_http() {
    let host = host();
    let tensors = load(&host, guest("function_echo")).unwrap();
    let error = block_on(ask_plainly(&tensors, "/")).unwrap_err();
    assert_eq!(error.to_string(), "`function_echo` is a function, which cannot be asked over HTTP");
}
