//! HTTP/2: many requests on one connection.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::common::{Builder, Item, Server};
use crate::{row, wait_until};

type Sender = SendRequest<Full<Bytes>>;

/// A connection, and the task that ends with it.
async fn connect(server: &Server) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// Sends a request, and leaves the answer for later.
fn ask(sender: &Sender, number: usize) -> JoinHandle<hyper::Result<(u16, Vec<f64>)>> {
    let mut sender = sender.clone();
    let request =
        Request::post("http://here/v2/models/slow/infer").body(Full::new(row(number).into())).unwrap();
    tokio::spawn(async move {
        sender.ready().await?;
        let response: Response<_> = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let data = json["outputs"][0]["data"].as_array().cloned().unwrap_or_default();
        Ok((status, data.iter().map(|number| number.as_f64().unwrap()).collect()))
    })
}

fn right(number: usize) -> (u16, Vec<f64>) {
    (200, vec![number as f64, (number + 1) as f64])
}

#[test]
fn a_draining_server_says_goodbye_and_loses_no_stream() {
    let mut server = Builder::new().serve(Item::gated("slow")).start();
    let (sender, connection) = server.block_on(connect(&server));
    let asked: Vec<_> = server.block_on(async { (0..6).map(|number| ask(&sender, number)).collect() });
    wait_until(&server, "slow", 6, 0);
    let running = server.take_running();
    let drained = server.runtime().spawn(running.drain(false));
    let gate = Arc::clone(&server.gate);
    server.block_on(async move {
        // The goodbye keeps the client from asking more here.
        let mut late = sender.clone();
        let live = || Request::get("http://here/v2/health/live").body(Full::default()).unwrap();
        while late.send_request(live()).await.is_ok() {}
        gate.open();
        for (number, asked) in asked.into_iter().enumerate() {
            assert_eq!(asked.await.unwrap().unwrap(), right(number));
        }
        assert!(drained.await.unwrap().is_complete);
        connection.await.unwrap().unwrap();
    });
}

#[test]
fn a_stream_that_is_given_up_gives_back_its_place_alone() {
    let narrow = |function: &mut samara_server::FunctionConfig| {
        function.concurrency = Some(1);
        function.queue = Some(2);
    };
    let server = Builder::new().serve_as("slow", Item::gated("slow"), narrow).start();
    let (sender, _connection) = server.block_on(connect(&server));
    let _inside = server.runtime().enter();
    let ask = |number| ask(&sender, number);
    let running = ask(0);
    server.gate.wait_for(1);
    let given_up = ask(1);
    wait_until(&server, "slow", 1, 1);
    let behind = ask(2);
    wait_until(&server, "slow", 1, 2);
    assert_eq!(server.block_on(ask(3)).unwrap().unwrap().0, 503);
    given_up.abort();
    wait_until(&server, "slow", 1, 1);
    running.abort();
    server.gate.open();
    assert_eq!(server.block_on(behind).unwrap().unwrap(), right(2));
    wait_until(&server, "slow", 0, 0);
}
