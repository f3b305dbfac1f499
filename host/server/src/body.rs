//! The body of a response, and how the body of a request is read.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::budget::Share;
use crate::error::{Error, Result};

/// Whatever can go wrong in the middle of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response: whole, or as it comes.
pub enum Body {
    Whole(Option<Bytes>),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Body::Whole(None)
    }

    /// A body that comes in pieces.
    pub(crate) fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Body::Stream(Box::pin(body.map_err(Into::into)))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Body::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Stream(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_none(),
            Body::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Stream(body) => body.size_hint(),
        }
    }
}

/// Within what a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// Bytes at most.
    pub(crate) limit: u64,
    pub(crate) timeout: Duration,
    /// Counts the bytes of all requests together.
    pub(crate) share: Option<&'a Share>,
    /// Where in the body tensors begin. They are laid at a multiple of
    /// [`ALIGNMENT`] where the body comes in pieces, so that an engine can read
    /// the first of them in place.
    pub(crate) tensors_at: usize,
}

/// In bytes: what the engines' wide loads like best.
const ALIGNMENT: usize = 64;

/// Reads a whole body. One that comes in one piece is not copied.
///
/// # Errors
/// [`Error::TooLarge`], before it is read where its length says so,
/// [`Error::SlowClient`], [`Error::ClientGone`], or [`Error::Crowded`] where the
/// share has no room for it.
pub(crate) async fn read<B>(body: B, bounds: Bounds<'_>) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let timeout = bounds.timeout;
    let mut whole = pin!(collect(body, bounds));
    // What came with the head of the request is there when the connection has
    // had one more turn, before a timer would be worth its while.
    let mut had_turn = false;
    let early = poll_fn(|context| match whole.as_mut().poll(context) {
        Poll::Ready(whole) => Poll::Ready(Some(whole)),
        Poll::Pending if had_turn => Poll::Ready(None),
        Poll::Pending => {
            had_turn = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match early.await {
        Some(whole) => whole,
        None => {
            tokio::time::timeout(timeout, whole).await.unwrap_or(Err(Error::SlowClient { given: timeout }))
        }
    }
}

/// Takes what is left of a small body that nobody wants. Over HTTP/2, a request
/// that is answered before its end is reset behind the answer, and some clients
/// (curl before 8) then lose the answer.
pub(crate) async fn forgo<B>(body: B)
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    const MOST: u64 = 64 << 10;
    const PATIENCE: Duration = Duration::from_secs(1);
    // Whatever else happens, the client is told why it is refused.
    let _ = read(body, Bounds { limit: MOST, timeout: PATIENCE, share: None, tensors_at: 0 }).await;
}

/// Why a body ended early: it was framed wrongly, or its client is gone.
fn broken(error: BoxError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if let Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) = io {
            return Error::Malformed(format!("the body of the request is not framed as HTTP says: {error}"));
        }
        cause = error.source();
    }
    Error::ClientGone
}

async fn collect<B>(body: B, bounds: Bounds<'_>) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    const TOO_LARGE: &str = "the body of the request";
    let Bounds { limit, share, tensors_at, .. } = bounds;
    let too_large = || Error::TooLarge { what: TOO_LARGE, limit };
    let mut body = pin!(body);
    let expected = body.size_hint().lower();
    if expected > limit {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken(error.into()))?.into_data() else { continue };
        if (first.len() + all.len() + data.len()) as u64 > limit {
            return Err(too_large());
        }
        if let Some(share) = share {
            share.take(data.len() as u64)?;
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                // A client that only says that much is not given that much.
                const MOST_AT_ONCE: u64 = 1 << 20;
                let first = std::mem::take(&mut first);
                all = aligned((expected.min(MOST_AT_ONCE) as usize).max(first.len()), tensors_at);
                all.extend_from_slice(&first);
            }
            // Not left to the buffer, which would lie anywhere then.
            if all.capacity() - all.len() < data.len() {
                let mut larger = aligned((all.len() + data.len()).max(2 * all.len()), tensors_at);
                larger.extend_from_slice(&all);
                all = larger;
            }
            all.extend_from_slice(&data);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// An empty buffer with room for `capacity` bytes, whose byte `at` lies at a
/// multiple of [`ALIGNMENT`].
fn aligned(capacity: usize, at: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(capacity + ALIGNMENT);
    let skipped = buffer.as_ptr().wrapping_add(at).align_offset(ALIGNMENT);
    if skipped < ALIGNMENT {
        buffer.resize(skipped, 0);
        buffer.advance(skipped);
    }
    buffer
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use tokio_stream::iter;

    use super::*;

    const UP_TO_5: Bounds<'_> =
        Bounds { limit: 5, timeout: Duration::from_secs(1), share: None, tensors_at: 0 };

    fn pieces(pieces: &[&'static [u8]]) -> impl HttpBody<Data = Bytes, Error = BoxError> {
        let frames: Vec<_> = pieces.iter().map(|&piece| Ok(Frame::data(Bytes::from_static(piece)))).collect();
        StreamBody::new(iter(frames))
    }

    #[tokio::test]
    async fn pieces_are_put_together() {
        assert_eq!(read(pieces(&[b"ab", b"", b"c", b"de"]), UP_TO_5).await.unwrap(), "abcde");
        assert_eq!(read(pieces(&[]), UP_TO_5).await.unwrap(), "");
        let whole = Bytes::from_static(b"whole");
        let read = read(Full::new(whole.clone()), UP_TO_5).await.unwrap();
        assert_eq!(read.as_ptr(), whole.as_ptr());
    }

    #[tokio::test]
    async fn tensors_lie_where_engines_can_read_them() {
        for tensors_at in 0..=100 {
            let body: [&'static [u8]; 2] = [&[b'{'; 50], &[7; 150]];
            let bounds = Bounds { limit: 200, tensors_at, ..UP_TO_5 };
            let read = read(pieces(&body), bounds).await.unwrap();
            assert_eq!(read, body.concat());
            assert_eq!(read[tensors_at..].as_ptr().align_offset(ALIGNMENT), 0);
        }
    }

    #[tokio::test]
    async fn no_more_than_the_limit_is_read() {
        let error = read(pieces(&[b"abc", b"def"]), UP_TO_5).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 5, .. }));
        let error = read(Full::new(Bytes::from_static(b"abcdef")), UP_TO_5).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, BoxError>>());
        let error = read(never, Bounds { timeout: Duration::ZERO, ..UP_TO_5 }).await.unwrap_err();
        assert!(matches!(error, Error::SlowClient { .. }));
    }
}
