//! Connections: accepted within bounds, HTTP/1.1 or HTTP/2 by their first
//! bytes, and closed without losing a request.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::server::TlsStream;

use super::patient::Patient;
use super::streams::{Activity, Paced, Streams};
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
            let Some(_place) = server.connections.try_take() else {
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
    let stream = Patient::new(stream, server.config().limits.write_timeout);
    match begun(server, &stopped, open(server, stream)).await? {
        Opened::Plain(stream, is_http2) => talk(server, stream, is_http2, stopped).await,
        Opened::Tls(stream, is_http2) => talk(server, *stream, is_http2, stopped).await,
    }
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

/// A connection of which is known whether it speaks HTTP/2.
enum Opened {
    Plain(Patient<TcpStream>, bool),
    Tls(Box<TlsStream<Patient<TcpStream>>>, bool),
}

/// Learns the protocol: from TLS, or from the first bytes, for the preface of
/// HTTP/2 begins with a method that HTTP/1.1 does not have.
async fn open(server: &Server, mut stream: Patient<TcpStream>) -> io::Result<Opened> {
    let tls = server.tls.load_full();
    let Some(acceptor) = tls.as_ref() else {
        let is_http2 = stream.begins_with(b"PRI ").await?;
        return Ok(Opened::Plain(stream, is_http2));
    };
    let stream = acceptor.accept(stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Opened::Tls(Box::new(stream), is_http2))
}

async fn talk<S>(server: &Arc<Server>, stream: S, is_http2: bool, stopped: Stopped) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match is_http2 {
        true => talk_http2(server, TokioIo::new(stream), stopped).await,
        false => talk_http1(server, TokioIo::new(stream), stopped).await,
    }
    .map_err(io::Error::other)
}

/// HTTP/1.1. Between two requests, its library waits as long as for the headers
/// of one.
async fn talk_http1<S>(server: &Arc<Server>, stream: TokioIo<S>, mut stopped: Stopped) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = server.config().limits.clone();
    let service = service_fn(|request| {
        let server = Arc::clone(server);
        async move { Ok::<_, Infallible>(router::answer(server, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.headers.max(LEAST_BUFFER));
    let mut connection = pin!(builder.serve_connection(stream, service));
    tokio::select! {
        // First, so that a request that is there already is seen.
        biased;
        ended = connection.as_mut() => return ended,
        () = closing(&mut stopped) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn talk_http2<S>(server: &Arc<Server>, stream: TokioIo<S>, mut stopped: Stopped) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = server.config().limits.clone();
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| {
        let (server, open) = (Arc::clone(server), activity.begin());
        async move {
            let response = router::answer(server, request).await;
            Ok::<_, Infallible>(response.map(|body| Paced::new(body, open)))
        }
    });
    let mut builder = http2::Builder::new(Streams::new(limits.write_timeout));
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.headers).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.write_timeout);
    let mut connection = pin!(builder.serve_connection(stream, service));
    tokio::select! {
        // First, so that a request that is there already is seen.
        biased;
        ended = connection.as_mut() => return ended,
        () = closing(&mut stopped) => {}
        () = activity.idle(limits.header_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    // The client may have asked for one more before it heard of the end.
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = activity.idle(limits.header_timeout) => Ok(()),
    }
}

async fn closing(stopped: &mut Stopped) {
    // A server that is gone is closing too.
    let _ = stopped.wait_for(|&phase| phase == Phase::Closing).await;
}
