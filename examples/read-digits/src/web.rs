//! What the function needs of `wasi:http`: a request whose body is read as it
//! comes, and a response whose body is sent as it is written.

use std::io::{self, Read, Write};

use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream};

pub const HTML: &str = "text/html; charset=utf-8";
pub const JSON: &str = "application/json";
/// One JSON text in each line.
pub const JSON_LINES: &str = "application/x-ndjson";

/// By which the server says below which path the function answers.
const PREFIX: &str = "x-forwarded-prefix";

/// The caller has gone away, and hears nothing any more.
#[derive(Debug)]
pub struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

pub struct Request {
    pub method: Method,
    /// Below the function's own, without the query.
    pub path: String,
    request: IncomingRequest,
}

impl Request {
    pub fn new(request: IncomingRequest) -> Self {
        let target = request.path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let prefix = header(&request, PREFIX).unwrap_or_default();
        let path = path.strip_prefix(&prefix).unwrap_or(path).to_owned();
        Self { method: request.method(), path, request }
    }

    /// The value of a header; the first of several.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.request, name)
    }

    /// The body, as it comes. There is one.
    pub fn body(&self) -> Result<impl Read + use<>, Gone> {
        let body = self.request.consume().map_err(|()| Gone)?;
        Ok(Incoming { stream: body.stream().map_err(|()| Gone)?, _body: body })
    }
}

fn header(request: &IncomingRequest, name: &str) -> Option<String> {
    let values = request.headers().get(name);
    values.first().map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The stream goes before the body that it is of.
struct Incoming {
    stream: InputStream,
    _body: IncomingBody,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.stream, buffer)
    }
}

/// A response that is still to be given.
pub struct Response {
    outparam: ResponseOutparam,
    headers: Fields,
}

impl Response {
    pub fn new(outparam: ResponseOutparam) -> Self {
        Self { outparam, headers: Fields::new() }
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        // Only names and values that this program writes are set.
        let _ = self.headers.append(name, value.as_bytes());
        self
    }

    /// Answers with a body that is known.
    pub fn whole(self, status: u16, media_type: &str, text: &str) -> Result<(), Gone> {
        let mut body = self.begin(status, media_type)?;
        body.write_all(text.as_bytes())?;
        body.end()
    }

    /// Sends the head. The caller gets each piece of the body when it is
    /// flushed.
    pub fn begin(self, status: u16, media_type: &str) -> Result<Body, Gone> {
        let Self { outparam, headers } = self.header("content-type", media_type);
        let response = OutgoingResponse::new(headers);
        let _ = response.set_status_code(status);
        let body = response.body().map_err(|()| Gone)?;
        ResponseOutparam::set(outparam, Ok(response));
        let stream = body.write().map_err(|()| Gone)?;
        Ok(Body { stream, body })
    }
}

/// The body of a response that has begun. One that is dropped before its end
/// breaks off, and its reader knows.
pub struct Body {
    stream: OutputStream,
    body: OutgoingBody,
}

impl Body {
    pub fn end(mut self) -> Result<(), Gone> {
        Write::flush(&mut self.stream)?;
        drop(self.stream);
        OutgoingBody::finish(self.body, None).map_err(|_| Gone)
    }
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.stream)
    }
}
