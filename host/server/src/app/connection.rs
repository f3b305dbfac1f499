//! Connections: accepted within bounds, HTTP/1.1 or HTTP/2 by their first
//! bytes, and closed without losing a request.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::{Phase, Server};
use crate::router;

/// After an error of the system, e.g. no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Requests that one HTTP/2 connection may have open.
const STREAMS: u32 = 256;
/// hyper's smallest buffer.
const LEAST_BUFFER: usize = 8 << 10;

/// How long a connection that has sent nothing yet keeps a server from closing.
const LAST_MOMENT: Duration = Duration::from_millis(50);

type Stopped = watch::Receiver<Phase>;

/// Accepts connections until the server closes, and then those that the system
/// has accepted already. Each holds `alive` until it ends.
pub(super) async fn accept(
    server: Arc<Server>,
    listener: TcpListener,
    stopped: Stopped,
    alive: mpsc::Sender<()>,
) {
    let begin = |stream| {
        let (server, stopped, alive) = (Arc::clone(&server), stopped.clone(), alive.clone());
        tokio::spawn(async move {
            let _alive = alive;
            // One too many is closed at once: a full server says so instead of
            // letting it wait.
            let Ok(_place) = server.connections.try_acquire() else {
                return server.metrics.connections.rejected();
            };
            let _open = server.metrics.connections.accepted();
            let _ = serve(&server, stream, stopped).await;
        });
    };
    let mut closing_soon = stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing(&mut closing_soon) => break,
        };
        match accepted {
            Ok((stream, _)) => begin(stream),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    waiting_in(listener).for_each(begin);
}

/// The connections that the system has accepted. Their clients may have sent a
/// request.
fn waiting_in(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    std::iter::from_fn(move || {
        // Does not block: the next one would have to connect first.
        let (stream, _) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    })
}

/// Serves one connection to its end. Errors are the client's: there is nobody
/// left to tell.
async fn serve(server: &Arc<Server>, stream: TcpStream, stopped: Stopped) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let tls = server.tls.load_full();
    let Some(acceptor) = tls.as_ref() else {
        let is_http2 = begun(server, &stopped, speaks_http2(&stream)).await?;
        return talk(server, stream, is_http2, stopped).await;
    };
    let stream = begun(server, &stopped, acceptor.accept(stream)).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    talk(server, stream, is_http2, stopped).await
}

/// Waits for the beginning of a connection: for so long as a client may take
/// for it, and for a moment only once the server closes.
async fn begun<T>(
    server: &Server,
    stopped: &Stopped,
    beginning: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let patience = server.config().limits.header_timeout;
    let mut stopped = stopped.clone();
    let gone = async {
        closing(&mut stopped).await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    tokio::select! {
        biased;
        begun = tokio::time::timeout(patience, beginning) => begun?,
        () = gone => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Looks at the first bytes without taking them: the preface of HTTP/2 begins
/// with a method that HTTP/1.1 does not have.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI ";
    const AGAIN: Duration = Duration::from_millis(1);
    let mut first = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut first).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..length] != PREFACE[..length] {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn talk<S>(server: &Arc<Server>, stream: S, is_http2: bool, mut stopped: Stopped) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = server.config().limits.clone();
    let service = service_fn(|request: http::Request<Incoming>| {
        let server = Arc::clone(server);
        async move { Ok::<_, Infallible>(router::answer(server, request).await) }
    });
    let stream = TokioIo::new(stream);
    // The two connections are of different types with the same two methods.
    macro_rules! run {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            tokio::select! {
                // First, so that a request that is there already is seen.
                biased;
                ended = connection.as_mut() => ended,
                () = closing(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }};
    }
    let ended = if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.headers).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(limits.header_timeout);
        run!(builder.serve_connection(stream, service))
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.headers.max(LEAST_BUFFER))
            .pipeline_flush(true);
        run!(builder.serve_connection(stream, service))
    };
    ended.map_err(io::Error::other)
}

async fn closing(stopped: &mut Stopped) {
    // A server that is gone is closing too.
    let _ = stopped.wait_for(|&phase| phase == Phase::Closing).await;
}
