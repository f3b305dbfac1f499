//! The body of a request on its way in: bounded in the size of each message,
//! and in time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::held::Held;
use super::status::status;
use crate::body::BoxError;
use crate::error::Error;

/// Before every message: one byte that says whether it is compressed, and its
/// length as four, the largest first.
pub(super) const PREFIX: usize = 5;

/// A body that ends in a status where it is too large or too slow.
pub(super) struct Arrival<B> {
    body: Pin<Box<B>>,
    messages: Messages,
    patience: Option<Patience>,
    held: Option<Arc<Held>>,
}

/// How long the whole body may take.
struct Patience {
    given: Duration,
    /// From the first time that it has to be waited for.
    end: Option<Pin<Box<Sleep>>>,
}

/// Finds where messages begin, to see their sizes before anybody keeps them.
struct Messages {
    limit: u64,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that are there.
    seen: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl<B: HttpBody<Data = Bytes>> Arrival<B> {
    /// A body of messages of at most `limit` bytes each, all of it within
    /// `given` where that is said.
    pub(super) fn new(body: B, limit: u64, given: Option<Duration>) -> Self {
        let messages = Messages { limit, prefix: [0; PREFIX], seen: 0, left: 0 };
        let patience = given.map(|given| Patience { given, end: None });
        Self { body: Box::pin(body), messages, patience, held: None }
    }

    /// The same, with its bytes counted.
    pub(super) fn held_in(mut self, held: &Arc<Held>) -> Self {
        self.held = Some(Arc::clone(held));
        self
    }
}

impl<B> HttpBody for Arrival<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = match this.body.as_mut().poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                return match this.patience.as_mut().map(|patience| patience.poll_end(context)) {
                    Some(Poll::Ready(error)) => Poll::Ready(Some(Err(refuse(&error)))),
                    _ => Poll::Pending,
                };
            }
        };
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|error| {
                let error = error.into();
                if error.is::<Status>() { error } else { refuse(&Error::ClientGone) }
            })?;
            if let Some(data) = frame.data_ref() {
                this.messages.pass(data).map_err(|error| refuse(&error))?;
                let held = this.held.as_ref().map_or(Ok(()), |held| held.arrived(data.len()));
                held.map_err(|error| refuse(&error))?;
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(super) fn refuse(error: &Error) -> BoxError {
    Box::new(status(error))
}

impl Patience {
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let given = self.given;
        let end = self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(given)));
        end.as_mut().poll(context).map(|()| Error::SlowClient { given })
    }
}

impl Messages {
    /// Looks at the next bytes of the body.
    fn pass(&mut self, mut data: &[u8]) -> Result<(), Error> {
        while !data.is_empty() {
            let passed = self.left.min(data.len());
            data.advance(passed);
            self.left -= passed;
            if self.left > 0 {
                break;
            }
            let taken = (PREFIX - self.seen).min(data.len());
            self.prefix[self.seen..self.seen + taken].copy_from_slice(&data[..taken]);
            data.advance(taken);
            self.seen += taken;
            if self.seen == PREFIX {
                self.begin()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        let [_compressed, length @ ..] = self.prefix;
        let length = u32::from_be_bytes(length);
        if u64::from(length) > self.limit {
            return Err(Error::TooLarge { what: "the message", limit: self.limit });
        }
        self.seen = 0;
        self.left = length as usize;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio_stream::StreamExt;
    use tonic::Code;

    use super::*;

    fn body(parts: Vec<Vec<u8>>) -> impl HttpBody<Data = Bytes, Error = BoxError> {
        let frames = parts.into_iter().map(|part| Ok::<_, BoxError>(Frame::data(Bytes::from(part))));
        http_body_util::StreamBody::new(tokio_stream::iter(frames))
    }

    fn message(length: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![7; length.min(64) as usize]);
        bytes
    }

    async fn outcome(parts: Vec<Vec<u8>>) -> Result<usize, Code> {
        match Arrival::new(body(parts), 9, None).collect().await {
            Ok(whole) => Ok(whole.to_bytes().len()),
            Err(error) => Err(error.downcast_ref::<Status>().unwrap().code()),
        }
    }

    #[tokio::test]
    async fn messages_pass_however_they_are_cut() {
        let bytes = [message(9), message(0), message(3)].concat();
        for size in 1..=bytes.len() {
            let parts = bytes.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(outcome(parts).await, Ok(bytes.len()), "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_refused_by_its_length_alone() {
        for length in [10, u32::MAX] {
            let bytes = [message(9), message(length)[..5].to_vec()].concat();
            for size in 1..=bytes.len() {
                let parts = bytes.chunks(size).map(<[u8]>::to_vec).collect();
                assert_eq!(outcome(parts).await, Err(Code::ResourceExhausted));
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = tokio_stream::pending::<Result<Frame<Bytes>, BoxError>>();
        let first = tokio_stream::once(Ok(Frame::data(Bytes::from_static(&[0]))));
        let slow = http_body_util::StreamBody::new(first.chain(endless));
        let arrival = Arrival::new(slow, 9, Some(Duration::ZERO));
        let error = arrival.collect().await.map(drop).unwrap_err();
        let status = error.downcast_ref::<Status>().unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("not complete after 0ns"), "{}", status.message());
    }
}
