//! The routes of `http_routes` that WASI 0.3 does otherwise, for an HTTP
//! function of WASI 0.3.

use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::{StreamReader, StreamResult, StreamWriter};
use wasip3::{http::client, wit_bindgen, wit_future, wit_stream};

struct Routes;

impl wasip3::exports::http::handler::Guest for Routes {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/echo" => Ok(echo(request)),
            "/pass" => Ok(pass(request)),
            "/large" => Ok(large(query)),
            "/request" => Ok(say(tell(&request))),
            "/fetch" => fetch(&request).await,
            "/model" => Ok(say(model(request).await)),
            "/refuse" => Err(ErrorCode::HttpRequestBodySize(Some(7))),
            "/trap" => std::process::abort(),
            "/exit" => std::process::exit(1),
            "/loop" => endless(),
            _ => Ok(in_the_middle(path.to_owned())),
        }
    }
}

/// A response whose body is what is written to the stream.
fn begin() -> (Response, StreamWriter<u8>) {
    let (writer, reader) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(reader), no_trailers);
    drop(trailers);
    (response, writer)
}

fn say(words: String) -> Response {
    let (response, mut writer) = begin();
    wit_bindgen::spawn_local(async move {
        writer.write_all(words.into_bytes()).await;
    });
    response
}

fn body(request: Request) -> StreamReader<u8> {
    let (done, result) = wit_future::new(|| Ok(()));
    drop(done);
    Request::consume_body(request, result).0
}

/// Sends every piece back as it comes.
fn echo(request: Request) -> Response {
    let (response, mut writer) = begin();
    wit_bindgen::spawn_local(async move {
        let mut reader = body(request);
        loop {
            let (result, piece) = reader.read(Vec::with_capacity(64 << 10)).await;
            if writer.write_all(piece).await.is_empty() && matches!(result, StreamResult::Complete(_)) {
                continue;
            }
            break;
        }
    });
    response
}

/// Gives the request's own stream as the response's.
fn pass(request: Request) -> Response {
    let (done, result) = wit_future::new(|| Ok(()));
    drop(done);
    let (stream, trailers) = Request::consume_body(request, result);
    Response::new(Fields::new(), Some(stream), trailers).0
}

fn large(query: &str) -> Response {
    let bytes: usize = query.parse().unwrap_or_default();
    let (response, mut writer) = begin();
    wit_bindgen::spawn_local(async move {
        for first in (0..bytes).step_by(4096) {
            if !writer.write_all(vec![b'x'; (bytes - first).min(4096)]).await.is_empty() {
                return;
            }
        }
    });
    response
}

fn tell(request: &Request) -> String {
    let method = match request.get_method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Other(method) => method,
        other => format!("{other:?}"),
    };
    let scheme = match request.get_scheme() {
        Some(Scheme::Http) => "http".to_owned(),
        Some(Scheme::Https) => "https".to_owned(),
        other => format!("{other:?}"),
    };
    let authority = request.get_authority().unwrap_or_default();
    let path = request.get_path_with_query().unwrap_or_default();
    let mut words = format!("{method} {scheme} {authority} {path}\n");
    for (name, value) in request.get_headers().copy_all() {
        words += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    words
}

fn header(request: &Request, name: &str) -> Option<String> {
    let values = request.get_headers().get(name);
    values.first().map(|value| String::from_utf8_lossy(value).into_owned())
}

async fn fetch(request: &Request) -> Result<Response, ErrorCode> {
    let url = header(request, "x-url").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let rest = url.strip_prefix("http://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let fields = Fields::new();
    if let Some(own) = header(request, "x-traceparent") {
        fields.append("traceparent", own.as_bytes()).unwrap();
    }
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (outgoing, _sent) = Request::new(fields, None, no_trailers, None);
    drop(trailers);
    outgoing.set_scheme(Some(&Scheme::Http)).unwrap();
    outgoing.set_authority(Some(authority)).unwrap();
    outgoing.set_path_with_query(Some(path)).unwrap();
    match client::send(outgoing).await {
        Err(code) => Ok(say(format!("error: {code:?}"))),
        Ok(response) => {
            let (done, result) = wit_future::new(|| Ok(()));
            drop(done);
            let (stream, trailers) = Response::consume_body(response, result);
            Ok(Response::new(Fields::new(), Some(stream), trailers).0)
        }
    }
}

async fn model(request: Request) -> String {
    let text = String::from_utf8(body(request).collect().await).unwrap();
    let x: Vec<f32> = text.split(',').map(|number| number.trim().parse().unwrap()).collect();
    let y: Vec<f32> = samara_sdk::model("m").unwrap().run([("x", x)]).unwrap().take("y").unwrap();
    format!("{y:?}")
}

fn in_the_middle(path: String) -> Response {
    let (response, mut writer) = begin();
    wit_bindgen::spawn_local(async move {
        writer.write_all(b"begun".to_vec()).await;
        match path.as_str() {
            "/trap-later" => std::process::abort(),
            "/exit-later" => std::process::exit(1),
            "/loop-later" => endless(),
            "/leave" => std::mem::forget(writer),
            _ => {}
        }
    });
    response
}

fn endless() -> ! {
    let mut count = 0u64;
    loop {
        count = std::hint::black_box(count + 1);
    }
}

wasip3::http::service::export!(Routes);
