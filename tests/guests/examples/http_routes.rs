//! An HTTP function of WASI 0.2 whose path says what it does: stream, call
//! out, run a model, log, or fail in one of many ways.

use std::io::{Read, Write};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest,
    OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

mod logging {
    wit_bindgen::generate!({
        inline: "
            package samara:test-logging;
            world logging { import wasi:logging/logging@0.1.0-draft; }
        ",
        path: "../../guest-sdk/wit/deps/wasi-logging",
        world: "samara:test-logging/logging",
        generate_all,
    });
}

use logging::wasi::logging::logging::{Level, log};

struct Routes;

type Done = Result<(), Box<dyn std::error::Error>>;

impl wasip2::exports::http::incoming_handler::Guest for Routes {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let done = match path {
            "/echo" => echo(&request, answer),
            "/large" => large(query, answer),
            "/request" => tell(&request, answer),
            "/headers" => headers(answer),
            "/empty" => {
                ResponseOutparam::set(answer, Ok(OutgoingResponse::new(Fields::new())));
                Ok(())
            }
            "/fetch" => fetch(&request, answer),
            "/model" => model(&request, answer),
            "/model-later" => model_later(answer),
            "/log" => speak(answer),
            "/status" => status(query, answer),
            "/refuse" => {
                ResponseOutparam::set(answer, Err(ErrorCode::HttpRequestBodySize(Some(7))));
                Ok(())
            }
            "/nothing" => Ok(()),
            "/trap" => std::process::abort(),
            "/exit" => std::process::exit(1),
            "/loop" => endless(),
            _ => in_the_middle(path, answer),
        };
        if let Err(error) = done {
            eprintln!("{path}: {error}");
        }
    }
}

/// Begins a response, and gives its body.
fn begin(answer: ResponseOutparam, fields: Fields) -> (OutgoingBody, OutputStream) {
    let response = OutgoingResponse::new(fields);
    let body = response.body().unwrap();
    ResponseOutparam::set(answer, Ok(response));
    let stream = body.write().unwrap();
    (body, stream)
}

fn end(body: OutgoingBody, stream: OutputStream) -> Done {
    drop(stream);
    Ok(OutgoingBody::finish(body, None)?)
}

fn say(answer: ResponseOutparam, words: &str) -> Done {
    let (body, mut stream) = begin(answer, Fields::new());
    stream.write_all(words.as_bytes())?;
    stream.flush()?;
    end(body, stream)
}

/// Sends every piece back as it comes.
fn echo(request: &IncomingRequest, answer: ResponseOutparam) -> Done {
    let incoming = request.consume().map_err(|()| "no body")?;
    let from = incoming.stream().map_err(|()| "no stream")?;
    let (body, to) = begin(answer, Fields::new());
    pass_on(&from, &to)?;
    end(body, to)
}

fn pass_on(from: &InputStream, to: &OutputStream) -> Done {
    loop {
        match from.blocking_read(64 << 10) {
            Ok(piece) => write(to, &piece)?,
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn write(to: &OutputStream, bytes: &[u8]) -> Done {
    for piece in bytes.chunks(4096) {
        to.blocking_write_and_flush(piece)?;
    }
    Ok(())
}

/// As many bytes as the query says: `?BYTES`.
fn large(query: &str, answer: ResponseOutparam) -> Done {
    let bytes: usize = query.parse()?;
    let (body, stream) = begin(answer, Fields::new());
    for first in (0..bytes).step_by(4096) {
        stream.blocking_write_and_flush(&vec![b'x'; (bytes - first).min(4096)])?;
    }
    end(body, stream)
}

/// What the guest sees of the request.
fn tell(request: &IncomingRequest, answer: ResponseOutparam) -> Done {
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Other(method) => method,
        other => format!("{other:?}"),
    };
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http".to_owned(),
        Some(Scheme::Https) => "https".to_owned(),
        other => format!("{other:?}"),
    };
    let authority = request.authority().unwrap_or_default();
    let path = request.path_with_query().unwrap_or_default();
    let mut words = format!("{method} {scheme} {authority} {path}\n");
    for (name, value) in request.headers().entries() {
        words += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    say(answer, &words)
}

/// Sets headers, and says which it may not set.
fn headers(answer: ResponseOutparam) -> Done {
    let fields = Fields::new();
    fields.append("x-guest", b"yes")?;
    fields.append("content-type", b"text/plain")?;
    let refused = ["connection", "transfer-encoding", "host", "upgrade"]
        .into_iter()
        .filter(|name| fields.append(name, b"x").is_err())
        .collect::<Vec<_>>()
        .join(",");
    fields.append("content-length", refused.len().to_string().as_bytes())?;
    let (body, stream) = begin(answer, fields);
    write(&stream, refused.as_bytes())?;
    end(body, stream)
}

fn header(request: &IncomingRequest, name: &str) -> Option<String> {
    let values = request.headers().get(name);
    values.first().map(|value| String::from_utf8_lossy(value).into_owned())
}

/// Sends a GET to the URL in the header `x-url`, with the `traceparent` in
/// `x-traceparent` if there is one, and passes the answer on.
fn fetch(request: &IncomingRequest, answer: ResponseOutparam) -> Done {
    let url = header(request, "x-url").ok_or("no x-url")?;
    let rest = url.strip_prefix("http://").ok_or("not an http:// URL")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let fields = Fields::new();
    if let Some(own) = header(request, "x-traceparent") {
        fields.append("traceparent", own.as_bytes())?;
    }
    let outgoing = OutgoingRequest::new(fields);
    let set = outgoing.set_scheme(Some(&Scheme::Http));
    let set = set.and_then(|()| outgoing.set_authority(Some(authority)));
    set.and_then(|()| outgoing.set_path_with_query(Some(path))).map_err(|()| "not a URL")?;
    match send(outgoing) {
        Err(code) => say(answer, &format!("error: {code}")),
        Ok(incoming) => {
            let from = incoming.stream().map_err(|()| "no stream")?;
            let (body, to) = begin(answer, Fields::new());
            pass_on(&from, &to)?;
            end(body, to)
        }
    }
}

fn send(request: OutgoingRequest) -> Result<IncomingBody, ErrorCode> {
    let coming = outgoing_handler::handle(request, None)?;
    coming.subscribe().block();
    let response = coming.get().unwrap().unwrap()?;
    Ok(response.consume().unwrap())
}

/// Runs the model `m` over the numbers of the request's body.
fn model(request: &IncomingRequest, answer: ResponseOutparam) -> Done {
    let incoming = request.consume().map_err(|()| "no body")?;
    let mut text = String::new();
    incoming.stream().map_err(|()| "no stream")?.read_to_string(&mut text)?;
    let x: Vec<f32> = text.split(',').map(|number| number.trim().parse()).collect::<Result<_, _>>()?;
    let run = || samara_sdk::model("m")?.run([("x", x)])?.take("y");
    let y: Vec<f32> = run().map_err(|error| error.to_string())?;
    say(answer, &format!("{y:?}"))
}

/// Runs the model `m` over a row of two numbers when the answer is complete.
fn model_later(answer: ResponseOutparam) -> Done {
    say(answer, "answered")?;
    let row = samara_sdk::Tensor::from_vec([1, 2], vec![1.0f32, 2.0]);
    let run = || samara_sdk::model("m")?.run([("x", row?)]);
    run().map(drop).map_err(|error| error.to_string().into())
}

/// Says something in every way that there is.
fn speak(answer: ResponseOutparam) -> Done {
    println!("printed");
    eprint!("complained, without an end");
    log(Level::Trace, "", "faint");
    log(Level::Critical, "part", "loud");
    say(answer, "said")
}

fn status(query: &str, answer: ResponseOutparam) -> Done {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(query.parse()?).map_err(|()| "no status")?;
    ResponseOutparam::set(answer, Ok(response));
    Ok(())
}

/// Begins a body, and then does what the path says.
fn in_the_middle(path: &str, answer: ResponseOutparam) -> Done {
    let fields = Fields::new();
    if path == "/short" {
        fields.append("content-length", b"10")?;
    }
    let (body, stream) = begin(answer, fields);
    stream.blocking_write_and_flush(b"begun")?;
    match path {
        "/trap-later" => std::process::abort(),
        "/exit-later" => std::process::exit(1),
        "/loop-later" => endless(),
        // Neither finishes the body nor gives it up.
        "/leave" => {
            std::mem::forget((body, stream));
            Ok(())
        }
        // Gives it up.
        "/drop" => Ok(()),
        "/trap-after" => {
            end(body, stream)?;
            std::process::abort()
        }
        _ => end(body, stream),
    }
}

fn endless() -> ! {
    let mut count = 0u64;
    loop {
        count = std::hint::black_box(count + 1);
    }
}

wasip2::http::proxy::export!(Routes);
