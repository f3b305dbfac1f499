//! The body of an HTTP function's response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;
use wasmtime_wasi_http::WasiBody;

use super::exchange::{Ended, Exchange, Fate, LEFT_OFF};
use crate::error::Error;

/// The body of a response, as the guest writes it. A guest that fails in the
/// middle ends it with an error; dropping it before its end stops the guest.
pub struct ResponseBody {
    function: String,
    inner: WasiBody,
    exchange: Arc<Exchange>,
    /// The guest, where it runs on beside the body.
    guest: Option<AbortHandle>,
    /// What is still to come.
    extent: Extent,
    is_over: bool,
}

/// How much of a body there is for a caller to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// As much as the guest writes.
    Open,
    Bytes(u64),
    /// None, whatever the head says: it answers a `HEAD` or is of a status that
    /// has no body.
    Nothing,
}

impl Extent {
    pub(super) fn of<B>(response: &http::Response<B>, is_head: bool) -> Self {
        let status = response.status();
        if is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return Extent::Nothing;
        }
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        length.and_then(|length| length.parse().ok()).map_or(Extent::Open, Extent::Bytes)
    }
}

impl ResponseBody {
    pub(super) fn new(
        function: String,
        inner: WasiBody,
        exchange: Arc<Exchange>,
        guest: Option<AbortHandle>,
        extent: Extent,
    ) -> Self {
        let is_empty = inner.is_end_stream();
        let mut body = Self { function, inner, exchange, guest, extent, is_over: false };
        if is_empty && extent == Extent::Open && !body.exchange.has_failed() {
            body.extent = Extent::Bytes(0);
            body.finish();
        }
        body
    }

    /// Has `listener` called once, when the instance has done its work: with
    /// the body's end, a while after it, or now if it has already.
    pub fn on_end(&self, listener: impl FnOnce(Ended) + Send + 'static) {
        self.exchange.on_end(Box::new(listener));
    }

    /// Takes a frame's bytes off what is to come.
    fn count(&mut self, frame: &Frame<Bytes>) {
        self.exchange.clock.moved();
        if let (Extent::Bytes(remaining), Some(data)) = (&mut self.extent, frame.data_ref()) {
            *remaining = remaining.saturating_sub(data.len() as u64);
        }
    }

    fn finish(&mut self) {
        if !self.is_over {
            self.is_over = true;
            self.exchange.clock.moved();
            self.exchange.end_body();
        }
    }

    fn broken(&self, reason: impl std::fmt::Display) -> Error {
        Error::BrokenResponse { function: self.function.clone(), reason: reason.to_string() }
    }

    /// What the end of the guest's stream means to the reader.
    fn last(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        let fate = self.exchange.fate();
        self.finish();
        match fate {
            Fate::Whole => None,
            Fate::Broken(error) => Some(Err(error.unwrap_or_else(|| self.broken("it has failed")))),
        }
    }

    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            return match Pin::new(&mut self.inner).poll_frame(context) {
                // A guest may write nothing, which is not to be sent on: in
                // HTTP/1.1 an empty piece can mean the end.
                Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some_and(Bytes::is_empty) => continue,
                Poll::Ready(Some(Ok(frame))) => {
                    self.count(&frame);
                    Poll::Ready(Some(Ok(frame)))
                }
                Poll::Ready(Some(Err(reason))) => {
                    let error = self.exchange.take_error().unwrap_or_else(|| self.broken(reason));
                    self.finish();
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Ready(None) => Poll::Ready(self.last()),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let body = self.get_mut();
        if body.is_over {
            return Poll::Ready(None);
        }
        let polled = body.poll_inner(context);
        if polled.is_ready() || !body.exchange.is_left_off(context) {
            return polled;
        }
        // What it wrote before it left off may have come in between.
        let polled = body.poll_inner(context);
        if polled.is_ready() {
            return polled;
        }
        body.finish();
        Poll::Ready(Some(Err(body.broken(LEFT_OFF))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        match self.extent {
            Extent::Bytes(remaining) => SizeHint::with_exact(remaining),
            Extent::Open | Extent::Nothing => SizeHint::default(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let has_all = self.is_over || matches!(self.extent, Extent::Bytes(0) | Extent::Nothing);
        if !has_all {
            self.exchange.abandon();
        }
        if let (false, Some(guest)) = (has_all, &self.guest) {
            guest.abort();
        }
        self.finish();
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("function", &self.function)
            .field("extent", &self.extent)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
