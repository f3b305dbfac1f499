//! The body of a response, and how the body of a request is read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};

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

/// Reads a whole body of at most `limit` bytes within `timeout`.
///
/// # Errors
/// [`Error::TooLarge`], before it is read where its length says so,
/// [`Error::SlowClient`], or [`Error::ClientGone`].
pub(crate) async fn read<B>(body: B, limit: u64, timeout: Duration) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    const WHAT: &str = "the body of the request";
    if body.size_hint().lower() > limit {
        return Err(Error::TooLarge { what: WHAT, limit });
    }
    let whole = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    match tokio::time::timeout(timeout, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Error::TooLarge { what: WHAT, limit })
        }
        Ok(Err(_)) => Err(Error::ClientGone),
        Err(_) => Err(Error::SlowClient { given: timeout }),
    }
}
