//! The streams of one HTTP/2 connection. Its bytes may keep flowing while a
//! client takes nothing of one answer, or asks for nothing at all: each answer
//! is bounded by itself, and so is a connection without requests.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;

use crate::body::{Body, BoxError};

/// Bytes that are handed on at a time, which is what a frame holds: the
/// protocol's library takes a piece whole as soon as there is room for a byte of
/// it.
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// The answer of the stream whose task this is.
    static ANSWER: Arc<Progress>;
}

/// How far the client is with an answer.
#[derive(Debug, Default)]
struct Progress {
    /// Pieces handed on.
    pieces: AtomicU64,
    /// Whether the last of them still waits for room.
    is_waiting: AtomicBool,
}

/// Runs every stream as a task, which ends where the client takes nothing of
/// its answer for too long.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    given: Duration,
}

impl Streams {
    pub(super) fn new(given: Duration) -> Self {
        Self { given }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(bounded(stream, self.given));
    }
}

/// Runs a stream to its end, or until the client has taken nothing of its
/// answer for that long.
async fn bounded<F: Future<Output = ()>>(stream: F, given: Duration) {
    let progress = Arc::new(Progress::default());
    let mut stream = pin!(ANSWER.scope(Arc::clone(&progress), stream));
    let mut patience = None;
    let mut known = 0;
    std::future::poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !progress.is_waiting.load(Ordering::Relaxed) {
            patience = None;
            return Poll::Pending;
        }
        let pieces = progress.pieces.load(Ordering::Relaxed);
        if std::mem::replace(&mut known, pieces) != pieces {
            patience = None;
        }
        let patience = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(given)));
        patience.as_mut().poll(context)
    })
    .await;
}

/// What a connection is asked.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// All requests that ever came.
    requests: AtomicU64,
    /// Those that are not answered yet.
    open: AtomicUsize,
}

impl Activity {
    /// A request came. It is open until what this gives is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Waits until no request was open or came for at least that long.
    pub(super) async fn idle(&self, given: Duration) {
        loop {
            let known = self.requests.load(Ordering::Relaxed);
            let was_open = self.open.load(Ordering::Relaxed) > 0;
            tokio::time::sleep(given).await;
            if !was_open && self.requests.load(Ordering::Relaxed) == known {
                return;
            }
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer in pieces, each of which the client has to make room
/// for in time.
pub(super) struct Paced {
    body: Body,
    /// Of the body's last frame, what is not handed on yet.
    rest: Bytes,
    progress: Option<Arc<Progress>>,
    _open: Open,
}

impl Paced {
    /// The answer of the stream whose task this runs in.
    pub(super) fn new(body: Body, open: Open) -> Self {
        let progress = ANSWER.try_with(Arc::clone).ok();
        Self { body, rest: Bytes::new(), progress, _open: open }
    }

    fn piece(&mut self) -> Bytes {
        if self.rest.len() > PIECE {
            return self.rest.split_to(PIECE);
        }
        // The last piece must not keep the whole in memory for as long as it
        // waits to be sent.
        let rest = std::mem::take(&mut self.rest);
        Bytes::copy_from_slice(&rest)
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.piece()))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        let frame = match frame.into_data() {
            Ok(data) if data.len() > PIECE => {
                self.rest = data;
                Frame::data(self.piece())
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn set_waiting(&self, is_waiting: bool) {
        if let Some(progress) = &self.progress {
            progress.is_waiting.store(is_waiting, Ordering::Relaxed);
            progress.pieces.fetch_add(u64::from(is_waiting), Ordering::Relaxed);
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        // Who asks for more has handed on what there was.
        let polled = this.next(context);
        this.set_waiting(matches!(polled, Poll::Ready(Some(Ok(_)))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use http_body_util::BodyExt;

    const GIVEN: Duration = Duration::from_millis(20);

    fn paced(length: usize) -> Paced {
        Paced::new(Body::from(vec![7; length]), Arc::new(Activity::default()).begin())
    }

    #[tokio::test]
    async fn a_body_comes_in_pieces_and_whole() {
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let mut body = paced(length);
            assert_eq!(body.size_hint().exact(), Some(length as u64));
            let (mut sizes, mut all) = (Vec::new(), 0);
            while !body.is_end_stream() {
                let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                all += data.len();
                sizes.push(data.len());
                assert_eq!(body.size_hint().exact(), Some((length - all) as u64));
            }
            assert_eq!(all, length);
            assert!(sizes.iter().all(|&size| size <= PIECE), "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_whose_answer_is_not_taken_ends() {
        let started = Instant::now();
        let stuck = async {
            let mut body = paced(3 * PIECE);
            body.frame().await.unwrap().unwrap();
            tokio::task::yield_now().await;
            body.frame().await.unwrap().unwrap();
            std::future::pending::<()>().await;
        };
        bounded(stuck, GIVEN).await;
        assert!(started.elapsed() >= GIVEN);
    }

    #[tokio::test]
    async fn an_answer_that_takes_long_to_make_is_waited_for() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let stream = async {
            let mut body = paced(1);
            body.frame().await.unwrap().unwrap();
            assert!(body.frame().await.is_none());
            tokio::time::sleep(GIVEN * 3).await;
            sender.send(()).unwrap();
        };
        bounded(stream, GIVEN).await;
        receiver.await.unwrap();
    }

    #[tokio::test]
    async fn only_a_connection_without_requests_is_idle() {
        let activity = Arc::new(Activity::default());
        let open = activity.begin();
        let mut idle = pin!(activity.idle(GIVEN));
        tokio::select! {
            () = idle.as_mut() => panic!("a request is open"),
            () = tokio::time::sleep(GIVEN * 3) => {}
        }
        drop(open);
        idle.await;
    }
}
