//! HTTP/2 frame by frame, see RFC 9113: what no library would send can be sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::connect;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The setting that says how much of an answer may come unasked.
const INITIAL_WINDOW_SIZE: u16 = 4;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error of a frame that carries one.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// A header as HPACK writes one that it does not keep, see RFC 7541, 6.2.2.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).unwrap());
        assert!(text.len() < 0x7f, "a longer one needs another form");
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The headers of a request.
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    [
        field(":method", method),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "localhost"),
    ]
    .concat()
}

/// A client of HTTP/2.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// A connection on which both have said hello.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut connection = Self::silent(address);
        connection.write(PREFACE);
        connection.write(&frame(SETTINGS, 0, 0, &[]));
        connection
    }

    /// One whose answers may not come before the client makes room.
    pub(crate) fn without_window(address: SocketAddr) -> Self {
        let mut connection = Self::silent(address);
        connection.write(PREFACE);
        connection.write(&setting(INITIAL_WINDOW_SIZE, 0));
        connection
    }

    /// One on which nothing was said yet.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self { stream: connect(address) }
    }

    /// Whether the server still takes what it is sent.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn get(&mut self, stream: u32, path: &str) -> bool {
        self.write(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &request("GET", path)))
    }

    pub(crate) fn post(&mut self, stream: u32, path: &str, body: &[u8]) -> bool {
        self.write(&frame(HEADERS, END_HEADERS, stream, &request("POST", path)));
        self.write(&frame(DATA, END_STREAM, stream, body))
    }

    /// The next frame; `None` when the connection has ended. Settings and pings
    /// of the server are agreed to.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            if let Err(error) = self.stream.read_exact(&mut head) {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server leaves it open");
                return None;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).ok()?;
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match (frame.kind, frame.flags & ACK) {
                (SETTINGS, 0) => self.write(&self::frame(SETTINGS, ACK, 0, &[])),
                (PING, 0) => self.write(&self::frame(PING, ACK, 0, &frame.payload)),
                (SETTINGS | PING, _) => continue,
                _ => return Some(frame),
            };
        }
    }

    /// The next frame of this kind.
    pub(crate) fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().unwrap_or_else(|| panic!("the connection ended without {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// With which error the server ends the connection, where it says so.
    pub(crate) fn end(&mut self) -> Option<u32> {
        let mut error = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                error = Some(frame.error());
            }
        }
        error
    }

    /// The status and the body of the answer on a stream; `None` where it was
    /// reset.
    pub(crate) fn answer(&mut self, stream: u32) -> Option<(u16, Vec<u8>)> {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let frame = self.next()?;
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS if status == 0 => status = self::status(&frame.payload),
                DATA => body.extend(&frame.payload),
                RST_STREAM => return None,
                _ => {}
            }
            if frame.flags & END_STREAM != 0 {
                return Some((status, body));
            }
        }
    }
}

/// The status that headers begin with, which HPACK's table of common headers
/// has or has not.
fn status(headers: &[u8]) -> u16 {
    // A new size of the table may come first.
    let headers = if headers[0] & 0xe0 == 0x20 { &headers[1..] } else { headers };
    match headers[0] {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ => 999,
    }
}
