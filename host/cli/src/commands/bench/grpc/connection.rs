//! One HTTP/2 connection that is kept open, and carries one call at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::commands::bench::connect::{Connector, Failure, LARGEST_BODY};

/// What may come unasked: that a client waits is not to be measured.
const WINDOW: u32 = 16 << 20;
/// The largest piece of an answer.
const FRAME: u32 = 1 << 20;

/// A connection, or the way to one.
pub(super) struct Connection {
    connector: Arc<Connector>,
    timeout: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    /// Those of the head and of the end.
    pub headers: HeaderMap,
    /// Empty where it was only to be counted.
    pub body: Bytes,
    /// Bytes of the body.
    pub length: u64,
}

impl Connection {
    pub(super) fn new(connector: Arc<Connector>, timeout: Duration) -> Self {
        Self { connector, timeout, sender: None }
    }

    /// Connects, unless it is connected.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn connect(&mut self) -> Result<(), Failure> {
        let timeout = self.timeout;
        let connecting = async {
            if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
                self.sender = Some(open(&self.connector).await?);
            }
            Ok(())
        };
        tokio::time::timeout(timeout, connecting).await.unwrap_or(Err(Failure::Timeout(timeout)))
    }

    /// Sends a request and reads the answer, whose body is only counted unless
    /// it is to be kept. Connects first where need be.
    ///
    /// # Errors
    /// When no whole answer came in time; the connection is then given up.
    pub(super) async fn exchange(
        &mut self,
        request: impl Fn() -> Request<Full<Bytes>>,
        keep: bool,
    ) -> Result<Reply, Failure> {
        let timeout = self.timeout;
        let result = tokio::time::timeout(timeout, self.try_exchange(&request, keep)).await;
        let result = result.unwrap_or(Err(Failure::Timeout(timeout)));
        if result.is_err() {
            self.sender = None;
        }
        result
    }

    async fn try_exchange(
        &mut self,
        request: &impl Fn() -> Request<Full<Bytes>>,
        keep: bool,
    ) -> Result<Reply, Failure> {
        if let Some(sender) = &mut self.sender {
            match exchange(sender, request(), keep).await {
                // The server had closed a connection that lay idle, and saw
                // nothing of the request.
                Err(Failure::Lost(error)) if error.is_canceled() || error.is_closed() => self.sender = None,
                result => return result,
            }
        }
        let sender = self.sender.insert(open(&self.connector).await?);
        exchange(sender, request(), keep).await
    }
}

async fn open(connector: &Connector) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = connector.connect().await?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW).max_frame_size(FRAME);
    let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(Failure::Lost)?;
    // Ends with its sender; why it broke is told there.
    tokio::spawn(driver);
    Ok(sender)
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    keep: bool,
) -> Result<Reply, Failure> {
    sender.ready().await.map_err(Failure::Lost)?;
    read(sender.send_request(request).await.map_err(Failure::Lost)?, keep).await
}

async fn read(response: http::Response<Incoming>, keep: bool) -> Result<Reply, Failure> {
    let (head, mut body) = response.into_parts();
    let mut headers = head.headers;
    let (mut kept, mut length) = (BytesMut::new(), 0u64);
    while let Some(frame) = body.frame().await {
        let data = match frame.map_err(Failure::Lost)?.into_data() {
            Ok(data) => data,
            Err(frame) => {
                headers.extend(frame.into_trailers().unwrap_or_default());
                continue;
            }
        };
        length += data.len() as u64;
        if keep {
            if kept.len() + data.len() > LARGEST_BODY {
                return Err(Failure::TooLarge);
            }
            kept.extend_from_slice(&data);
        }
    }
    Ok(Reply { status: head.status, headers, body: kept.freeze(), length })
}
