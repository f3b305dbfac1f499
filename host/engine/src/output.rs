//! Where a guest's standard output and error go, and its last words.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Where a function's own output goes. A command's goes to the process's own
/// streams.
#[derive(Clone, Default)]
pub enum GuestOutput {
    Discard,
    /// Both streams to the process's standard error: standard output is for
    /// answers.
    #[default]
    Stderr,
    /// Both streams to a callback, in the pieces that the guest writes.
    Callback(Listener),
}

/// Hears what a guest writes.
pub type Listener = Arc<dyn Fn(&[u8]) + Send + Sync>;

impl std::fmt::Debug for GuestOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            GuestOutput::Discard => "Discard",
            GuestOutput::Stderr => "Stderr",
            GuestOutput::Callback(_) => "Callback",
        })
    }
}

/// How much of a guest's last words an error message repeats.
const TAIL: usize = 1024;

/// A stream that passes on what a guest writes and keeps the end of it.
#[derive(Clone)]
pub(crate) struct GuestStream {
    output: GuestOutput,
    tail: Arc<Mutex<VecDeque<u8>>>,
}

impl GuestStream {
    pub(crate) fn new(output: GuestOutput) -> Self {
        Self { output, tail: Arc::default() }
    }

    /// The end of what was written, as text; empty where the user has already
    /// seen it.
    pub(crate) fn last_words(&self) -> String {
        if matches!(self.output, GuestOutput::Stderr) {
            return String::new();
        }
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(tail.make_contiguous()).into_owned()
    }

    fn take(&self, bytes: &[u8]) {
        match &self.output {
            GuestOutput::Discard => {}
            GuestOutput::Stderr => {
                // A closed standard error is no reason to stop a guest.
                let _ = io::Write::write_all(&mut io::stderr(), bytes);
            }
            GuestOutput::Callback(callback) => callback(bytes),
        }
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        let surplus = tail.len().saturating_sub(TAIL);
        tail.drain(..surplus);
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
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let stream = GuestStream::new(GuestOutput::Discard);
        stream.take(&[b'a'; 3 * TAIL]);
        stream.take(b"end");
        let tail = stream.last_words();
        assert_eq!(tail.len(), TAIL);
        assert!(tail.ends_with("aend"));
    }
}
