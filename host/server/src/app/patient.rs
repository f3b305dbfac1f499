//! A stream whose other end has to take what is written to it: one that takes
//! nothing for too long is an error. Whoever waits for the stream then stops,
//! and what it held comes back. Its end lets the other one hear the last words.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long, and for how many bytes, a stream that was ended is still read. The
/// system resets a connection that is closed with something unread, and the
/// other end may then never see why its request was refused.
const LINGER: (Duration, usize) = (Duration::from_millis(500), 4 << 20);

/// A stream with bounds, and with a look ahead.
pub(super) struct Patient<S> {
    stream: S,
    /// What was read to see it, and is still to be read.
    ahead: Vec<u8>,
    /// For the other end to take more.
    given: Duration,
    /// Runs while the other end takes nothing.
    patience: Option<Pin<Box<Sleep>>>,
    /// Runs once the stream was ended.
    linger: Option<Pin<Box<Sleep>>>,
    /// Bytes read since then.
    discarded: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    pub(super) fn new(stream: S, given: Duration) -> Self {
        Self { stream, ahead: Vec::new(), given, patience: None, linger: None, discarded: 0 }
    }

    /// Whether the stream begins with these bytes, however slowly they come.
    /// They are read again afterwards.
    ///
    /// # Errors
    /// A stream that ends before it is clear.
    pub(super) async fn begins_with(&mut self, bytes: &[u8]) -> io::Result<bool> {
        while self.ahead.len() < bytes.len() && bytes.starts_with(&self.ahead) {
            let missing = (bytes.len() - self.ahead.len()) as u64;
            if (&mut self.stream).take(missing).read_buf(&mut self.ahead).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.starts_with(bytes))
    }

    /// Reads what the other end still says, until it has heard the end too.
    fn poll_last_words(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(linger) = self.linger.as_mut() else { return Poll::Ready(()) };
        let mut bytes = [0; 4096];
        while self.discarded < LINGER.1 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.discarded += buffer.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return linger.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }

    /// What came of a write, or an error where it waits for too long.
    fn bounded(
        &mut self,
        context: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if write.is_ready() {
            self.patience = None;
            return write;
        }
        let given = self.given;
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(given)));
        ready!(patience.as_mut().poll(context));
        self.patience = None;
        let reason = format!("the client took nothing of its answer for {given:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let length = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead[..length]);
        this.ahead.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.bounded(context, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.bounded(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.linger = Some(Box::pin(tokio::time::sleep(LINGER.0)));
        }
        this.poll_last_words(context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const GIVEN: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_was_looked_at_is_read_again() {
        for (sent, expected) in [(&b"PRI * HTTP/2.0"[..], true), (b"PUT / HTTP/1.1", false), (b"GET", false)]
        {
            let (mut client, server) = tokio::io::duplex(1);
            let sending = tokio::spawn(async move {
                client.write_all(sent).await.unwrap();
            });
            let mut server = Patient::new(server, GIVEN);
            assert_eq!(server.begins_with(b"PRI ").await.unwrap(), expected);
            let mut read = Vec::new();
            server.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, sent);
            sending.await.unwrap();
        }
        let (client, server) = tokio::io::duplex(1);
        drop(client);
        assert!(Patient::new(server, GIVEN).begins_with(b"PRI ").await.is_err());
    }

    #[tokio::test]
    async fn what_still_comes_after_the_end_is_read() {
        let (mut client, server) = tokio::io::duplex(1);
        let mut server = Patient::new(server, GIVEN);
        let (ended, sent) = tokio::join!(server.shutdown(), async {
            client.write_all(b"much that nobody wants").await?;
            client.shutdown().await
        });
        ended.unwrap();
        sent.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let given = Duration::from_millis(20);
        let (mut client, server) = tokio::io::duplex(1);
        let mut server = Patient::new(server, given);
        let (written, read) = tokio::join!(server.write_all(b"ab"), client.read_u8());
        written.unwrap();
        read.unwrap();
        let started = std::time::Instant::now();
        let error = server.write_all(b"c").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= given);
        // One that takes again is served again.
        let (written, read) = tokio::join!(server.write_all(b"d"), client.read_u8());
        written.unwrap();
        assert_eq!(read.unwrap(), b'b');
    }
}
