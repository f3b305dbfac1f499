//! Serving side by side with other servers. `serving/run.py` starts, drives and
//! ends all of them; the ceiling among them is this program again.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::process::root;

/// The argument that makes this program the ceiling.
pub(crate) const CEILING: &str = "ceiling";

/// What the iris model says of the first row that `run.py` sends, in an answer
/// as large as that of a server that infers.
const ANSWER: &[u8] = br#"{"model_name":"iris","model_version":"1","id":"4c9d1a52-7f0e-4b7e-9a52-0c1f6b2f7d11","outputs":[{"name":"probabilities","datatype":"FP32","shape":[1,3],"data":[0.9980406,0.0019593579,2.369508e-14]}]}"#;

pub(crate) fn run() -> Result<()> {
    drive("run.py", "serving.json")
}

/// One model of 100 MB, where the way to it is to cost next to nothing.
pub(crate) fn run_large() -> Result<()> {
    drive("large.py", "serving-large.json")
}

fn drive(script: &str, results: &str) -> Result<()> {
    let python = samara_test::python().context("the tests' Python is missing; run `cargo xtask fixtures`")?;
    let ours = std::env::current_exe()?;
    let status = Command::new(python)
        .arg(root().join("tests/benches/serving").join(script))
        .arg("--samara")
        .arg(ours.with_file_name("samara"))
        .arg("--benches")
        .arg(&ours)
        .arg("--guest")
        .arg(samara_test::guest("function_iris"))
        .arg("--json")
        .arg(samara_test::target().join(results))
        .status()
        .context("cannot start the tests' Python")?;
    ensure!(status.success(), "{script} failed: {status}");
    Ok(())
}

/// Serves the constant until it is ended: all that HTTP itself costs.
pub(crate) fn ceiling(arguments: &[String]) -> Result<()> {
    let port: u16 = arguments.first().context("the ceiling needs a port")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream));
        }
    })
}

async fn serve(stream: TcpStream) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    // A client that went away is no concern of this one's.
    drop(connection.await);
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    drop(request.into_body().collect().await);
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
