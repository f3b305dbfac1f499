//! One HTTP/1.1 connection that is kept open, driven by the task that uses it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use crate::commands::bench::connect::{Connector, Failure, LARGEST_BODY, Stream};

/// A connection, or the way to one.
pub(super) struct Connection {
    connector: Arc<Connector>,
    timeout: Duration,
    open: Option<Open>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Empty where it was only to be counted.
    pub body: Bytes,
    /// Bytes of the body.
    pub length: u64,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is over: what it held is dropped then, which tells the
    /// sender.
    driver: Option<Pin<Box<Driver>>>,
}

/// What moves the bytes of a connection.
type Driver = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

impl Connection {
    pub(super) fn new(connector: Arc<Connector>, timeout: Duration) -> Self {
        Self { connector, timeout, open: None }
    }

    /// Connects, unless it is connected.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn connect(&mut self) -> Result<(), Failure> {
        let timeout = self.timeout;
        let connecting = async {
            if self.open.is_none() {
                self.open = Some(Open::new(&self.connector).await?);
            }
            Ok(())
        };
        tokio::time::timeout(timeout, connecting).await.unwrap_or(Err(Failure::Timeout(timeout)))
    }

    /// Sends a request and reads the answer, whose body is only counted
    /// unless it is to be kept. Connects first where need be.
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
        if result.is_err() || self.open.as_ref().is_some_and(|open| open.sender.is_closed()) {
            self.open = None;
        }
        result
    }

    async fn try_exchange(
        &mut self,
        request: &impl Fn() -> Request<Full<Bytes>>,
        keep: bool,
    ) -> Result<Reply, Failure> {
        if let Some(open) = &mut self.open {
            match open.exchange(request(), keep).await {
                // The server had closed a connection that lay idle, and saw
                // nothing of the request.
                Err(Failure::Lost(error)) if error.is_canceled() || error.is_closed() => self.open = None,
                result => return result,
            }
        }
        let open = self.open.insert(Open::new(&self.connector).await?);
        open.exchange(request(), keep).await
    }
}

impl Open {
    async fn new(connector: &Connector) -> Result<Self, Failure> {
        let stream = connector.connect().await?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::Lost)?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    /// One request and its answer, while the connection's own work is done
    /// between the steps: no other task, so no hop between tasks.
    async fn exchange(&mut self, request: Request<Full<Bytes>>, keep: bool) -> Result<Reply, Failure> {
        let Self { sender, driver } = self;
        let mut exchange = pin!(async {
            sender.ready().await.map_err(Failure::Lost)?;
            read(sender.send_request(request).await.map_err(Failure::Lost)?, keep).await
        });
        poll_fn(|context| {
            if let Poll::Ready(result) = exchange.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
                *driver = None;
            }
            exchange.as_mut().poll(context)
        })
        .await
    }
}

async fn read(response: http::Response<Incoming>, keep: bool) -> Result<Reply, Failure> {
    let (head, mut body) = response.into_parts();
    let (mut kept, mut length) = (BytesMut::new(), 0u64);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failure::Lost)?.into_data() else { continue };
        length += data.len() as u64;
        if keep {
            if kept.len() + data.len() > LARGEST_BODY {
                return Err(Failure::TooLarge);
            }
            kept.extend_from_slice(&data);
        }
    }
    Ok(Reply { status: head.status, headers: head.headers, body: kept.freeze(), length })
}
