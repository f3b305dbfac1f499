//! A request that is traced, from its head to its end.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{Method, StatusCode};
use samara_protocol::headers::RequestId;

use super::spans::ServerEnd;
use super::{Place, Tracer};
use crate::error::ErrorKind;
use crate::functions::Served;

/// The spans of one request in the making. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Traced(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tracer: Arc<Tracer>,
    place: Place,
    subject: Mutex<Subject>,
}

/// What comes to be known of a request while it is read.
#[derive(Debug, Default)]
struct Subject {
    served: Option<Arc<Served>>,
    id: Option<RequestId>,
    failure: Option<ErrorKind>,
}

/// What a request asks for, in the words of its protocol.
#[derive(Debug)]
pub(crate) enum Asked {
    Http {
        method: Method,
        /// The pattern that its path is of, if any.
        route: Option<Cow<'static, str>>,
    },
    Grpc {
        method: &'static str,
    },
}

/// The server's span of one request. One that is dropped before its end tells
/// that the client went away.
#[derive(Debug)]
pub(crate) struct ServerSpan {
    traced: Traced,
    asked: Asked,
    received: Instant,
    /// What the request is called unless it names itself later.
    id: RequestId,
    is_over: bool,
}

impl Traced {
    pub(super) fn new(tracer: Arc<Tracer>, place: Place) -> Self {
        Self(Arc::new(Shared { tracer, place, subject: Mutex::default() }))
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        &self.0.tracer
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// The request turns out to ask this function.
    pub(crate) fn asks(&self, served: &Arc<Served>) {
        self.subject(|subject| subject.served = Some(Arc::clone(served)));
    }

    /// The request turns out to have another id.
    pub(crate) fn is_named(&self, id: &RequestId) {
        self.subject(|subject| subject.id = Some(id.clone()));
    }

    /// The client is told an error of this kind.
    pub(crate) fn fails(&self, kind: ErrorKind) {
        self.subject(|subject| subject.failure = Some(kind));
    }

    fn subject(&self, change: impl FnOnce(&mut Subject)) {
        change(&mut self.0.subject.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl ServerSpan {
    pub(super) fn new(traced: Traced, asked: Asked, received: Instant, id: RequestId) -> Self {
        Self { traced, asked, received, id, is_over: false }
    }

    /// The head of an answer is there, with this status where the client was
    /// not told an error.
    pub(crate) fn end(mut self, status: StatusCode) {
        self.tell(status);
    }

    /// The client was told an error of this kind.
    pub(crate) fn fail(self, kind: ErrorKind) {
        self.traced.fails(kind);
        self.end(kind.http_status());
    }

    /// Others tell what comes of the request.
    pub(crate) fn leave(mut self) {
        self.is_over = true;
    }

    fn tell(&mut self, status: StatusCode) {
        self.is_over = true;
        self.traced.subject(|subject| {
            let end = ServerEnd {
                asked: &self.asked,
                received: self.received,
                served: subject.served.as_deref(),
                id: subject.id.as_ref().unwrap_or(&self.id),
                outcome: subject.failure.map_or(Ok(status), Err),
            };
            self.traced.tracer().tell_server(self.traced.place(), &end);
        });
    }
}

impl Drop for ServerSpan {
    fn drop(&mut self) {
        if !self.is_over {
            self.traced.fails(ErrorKind::Cancelled);
            self.tell(ErrorKind::Cancelled.http_status());
        }
    }
}
