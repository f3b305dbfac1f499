//! A client that keeps its connection, and tells an answer from none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A server that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Client(BufReader<TcpStream>);

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Whether the connection goes on.
    pub(crate) goes_on: bool,
    pub(crate) took: Duration,
}

impl Client {
    /// `None` where nobody listens.
    pub(crate) fn connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Self(BufReader::new(stream)))
    }

    /// Posts a body; `None` where the connection was closed before the first
    /// byte of an answer.
    ///
    /// # Errors
    /// An answer that is broken off, or is none.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<Option<Answer>> {
        let head = format!("POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n", body.len());
        let started = Instant::now();
        if self.0.get_mut().write_all((head + body).as_bytes()).is_err() {
            return Ok(None);
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.0.read_line(&mut head) {
                Ok(0) | Err(_) if head.is_empty() => return Ok(None),
                Ok(0) => bail!("the answer ends with {head:?}"),
                read => read.with_context(|| format!("the answer breaks off after {head:?}"))?,
            };
        }
        let head = head.to_lowercase();
        let value = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let length = value("content-length").context("the answer has no length")?.parse()?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).context("the body of the answer breaks off")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Some(Answer {
            status: status.with_context(|| format!("no status in {head:?}"))?,
            body: String::from_utf8(body)?,
            goes_on: value("connection") != Some("close"),
            took: started.elapsed(),
        }))
    }
}

/// The numbers of the last `data` of an answer.
pub(crate) fn numbers(body: &str) -> Option<Vec<f32>> {
    let (_, data) = body.rsplit_once("\"data\":[")?;
    let (data, _) = data.split_once(']')?;
    data.split(',').map(|number| number.trim().parse().ok()).collect()
}
