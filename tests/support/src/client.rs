//! A client of HTTP that keeps its connection, and tells an answer from none.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// One connection.
pub struct Client(BufReader<TcpStream>);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// Whether the connection goes on.
    pub goes_on: bool,
    pub took: Duration,
}

impl Client {
    /// `None` where nobody listens. A server that is silent for `patience`
    /// counts as one that hangs.
    pub fn connect(address: &str, patience: Duration) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        Some(Self(BufReader::new(stream)))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Sends a request; `None` where the connection was closed before the first
    /// byte of an answer.
    ///
    /// # Errors
    /// An answer that is broken off, or is none.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Option<Answer>> {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{body}");
        let started = Instant::now();
        if self.write(request.as_bytes()).is_err() {
            return Ok(None);
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.0.read_line(&mut head) {
                Ok(0) | Err(_) if head.is_empty() => return Ok(None),
                Ok(0) => return Err(wrong("the answer ends", &head)),
                read => read?,
            };
        }
        let head = head.to_lowercase();
        let value = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let length = value("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.ok_or_else(|| wrong("the answer has no length", &head))?];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Some(Answer {
            status: status.ok_or_else(|| wrong("the answer has no status", &head))?,
            body: String::from_utf8(body).map_err(Error::other)?,
            goes_on: value("connection") != Some("close"),
            took: started.elapsed(),
        }))
    }

    /// Posts a body.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn post(&mut self, path: &str, body: &str) -> Result<Option<Answer>> {
        self.send("POST", path, body)
    }
}

fn wrong(what: &str, head: &str) -> Error {
    Error::other(format!("{what}: {head:?}"))
}
