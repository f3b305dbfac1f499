//! The voice of one instance: its standard streams and its log, cut into lines
//! for whoever listens, and its last words.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::output::{GuestLine, GuestOutput, Level, LineSource};
use crate::tail::Tail;

/// How much of a guest's last words an error message repeats.
const TAIL: usize = 1024;

/// How much of each stream a record keeps: its end.
const RECORDED: usize = 1 << 20;

/// A line that is longer comes in pieces.
const LONGEST_LINE: usize = 8 << 10;

/// A logged message that is longer is cut.
const LONGEST_MESSAGE: usize = 16 << 10;

/// A logged message's context that is longer is cut.
const LONGEST_CONTEXT: usize = 256;

/// What a listener hears of one call; the rest is left out.
const MOST_PER_CALL: usize = 1 << 20;

const LEFT_OUT: &str = "[this call has said more than 1 MiB; the rest is left out]";

/// Who speaks, and where to.
pub(crate) struct Speaker {
    pub(crate) function: String,
    pub(crate) stage: String,
    pub(crate) output: GuestOutput,
}

/// The voice of one instance. Clones share it.
#[derive(Clone)]
pub(crate) struct Voice {
    inner: Arc<Inner>,
}

struct Inner {
    speaker: Arc<Speaker>,
    state: Mutex<State>,
}

struct State {
    request_id: Option<Arc<str>>,
    tail: Tail,
    /// Of both streams, where somebody wants to read them later.
    record: Option<Record>,
    /// What the streams hold that is no whole line yet.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Bytes that the listener has heard in this call.
    heard: usize,
}

/// The ends of both streams.
struct Record {
    stdout: Tail,
    stderr: Tail,
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Voice {
    pub(crate) fn new(speaker: Arc<Speaker>) -> Self {
        Self::with(speaker, None)
    }

    /// A voice whose streams can be read when it has spoken.
    pub(crate) fn recorded(speaker: Arc<Speaker>) -> Self {
        Self::with(speaker, Some(Record { stdout: Tail::new(RECORDED), stderr: Tail::new(RECORDED) }))
    }

    fn with(speaker: Arc<Speaker>, record: Option<Record>) -> Self {
        let state = State {
            request_id: None,
            tail: Tail::new(TAIL),
            record,
            stdout: Vec::new(),
            stderr: Vec::new(),
            heard: 0,
        };
        Self { inner: Arc::new(Inner { speaker, state: Mutex::new(state) }) }
    }

    pub(crate) fn stdout(&self) -> GuestStream {
        GuestStream { voice: self.clone(), stream: Stream::Stdout }
    }

    pub(crate) fn stderr(&self) -> GuestStream {
        GuestStream { voice: self.clone(), stream: Stream::Stderr }
    }

    /// Sets the voice up for one call.
    pub(crate) fn begin(&self, request_id: Option<Arc<str>>) {
        let mut state = self.inner.state();
        state.request_id = request_id;
        state.heard = 0;
        state.tail.clear();
    }

    /// Tells the lines that have no end yet.
    pub(crate) fn end(&self) {
        self.inner.flush();
    }

    /// The end of what was said, as text; empty where the user has already
    /// seen it.
    pub(crate) fn last_words(&self) -> String {
        if matches!(self.inner.speaker.output, GuestOutput::Stderr) {
            return String::new();
        }
        self.inner.state().tail.text()
    }

    /// The ends of standard output and standard error, where they are recorded.
    pub(crate) fn record(&self) -> (String, String) {
        let state = self.inner.state();
        state.record.as_ref().map(|record| (record.stdout.text(), record.stderr.text())).unwrap_or_default()
    }

    /// Takes a message of `wasi:logging`.
    pub(crate) fn log(&self, level: Level, context: &str, message: &str) {
        let context = cut(context, LONGEST_CONTEXT);
        let message = cut(message, LONGEST_MESSAGE);
        let mut state = self.inner.state();
        match &self.inner.speaker.output {
            GuestOutput::Discard => {}
            GuestOutput::Stderr => {
                to_stderr(format!("{} {context}: {message}\n", level.name()).as_bytes());
            }
            GuestOutput::Listener(_) => {
                self.inner.tell(&mut state, LineSource::Log { level, context }, message);
            }
        }
        state.tail.take(message.as_bytes());
        state.tail.take(b"\n");
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.state();
        match &self.speaker.output {
            GuestOutput::Discard => {}
            GuestOutput::Stderr => to_stderr(bytes),
            GuestOutput::Listener(_) => self.take_lines(&mut state, stream, bytes),
        }
        state.tail.take(bytes);
        if let Some(record) = &mut state.record {
            record.of(stream).take(bytes);
        }
    }

    /// Tells whole lines, and keeps what is left of the last one.
    fn take_lines(&self, state: &mut State, stream: Stream, bytes: &[u8]) {
        let mut begun = std::mem::take(state.begun(stream));
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            for piece in piece.chunks(LONGEST_LINE) {
                if begun.len() + piece.len() > LONGEST_LINE {
                    self.tell_line(state, stream, &begun);
                    begun.clear();
                }
                begun.extend_from_slice(piece);
            }
            if let Some(line) = begun.strip_suffix(b"\n") {
                self.tell_line(state, stream, line);
                begun.clear();
            }
        }
        *state.begun(stream) = begun;
    }

    fn tell_line(&self, state: &mut State, stream: Stream, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.tell(state, stream.source(), &String::from_utf8_lossy(line));
    }

    fn tell(&self, state: &mut State, source: LineSource<'_>, text: &str) {
        let GuestOutput::Listener(listener) = &self.speaker.output else { return };
        if state.heard > MOST_PER_CALL {
            return;
        }
        // A line costs its listener something even when it is empty.
        state.heard += text.len() + 32;
        let text = if state.heard > MOST_PER_CALL { LEFT_OUT } else { text };
        listener(&GuestLine {
            function: &self.speaker.function,
            stage: &self.speaker.stage,
            source,
            request_id: state.request_id.as_deref(),
            text,
        });
    }

    fn flush(&self) {
        let mut state = self.state();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let begun = std::mem::take(state.begun(stream));
            if !begun.is_empty() {
                self.tell_line(&mut state, stream, &begun);
            }
        }
    }
}

impl Drop for Inner {
    /// However an instance ended, what it said is heard.
    fn drop(&mut self) {
        self.flush();
    }
}

impl State {
    fn begun(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl Record {
    fn of(&mut self, stream: Stream) -> &mut Tail {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl Stream {
    fn source(self) -> LineSource<'static> {
        match self {
            Stream::Stdout => LineSource::Stdout,
            Stream::Stderr => LineSource::Stderr,
        }
    }
}

fn to_stderr(bytes: &[u8]) {
    // A closed standard error is no reason to stop a guest.
    let _ = io::Write::write_all(&mut io::stderr(), bytes);
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// One standard stream of an instance.
#[derive(Clone)]
pub(crate) struct GuestStream {
    voice: Voice,
    stream: Stream,
}

impl GuestStream {
    fn take(&self, bytes: &[u8]) {
        self.voice.inner.take(self.stream, bytes);
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn wasmtime_wasi::p2::OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl wasmtime_wasi::p2::Pollable for GuestStream {
    async fn ready(&mut self) {}
}

impl wasmtime_wasi::p2::OutputStream for GuestStream {
    fn write(&mut self, bytes: bytes::Bytes) -> wasmtime_wasi::p2::StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> wasmtime_wasi::p2::StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> wasmtime_wasi::p2::StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[cfg(test)]
mod tests;
