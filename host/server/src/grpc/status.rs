//! Errors as gRPC tells them: a code of the one table, and the words.

use std::error::Error as _;
use std::sync::Arc;

use http::Response;
use http::header::CONTENT_TYPE;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::body::Body;
use crate::error::{Error, ErrorKind};

/// By which servers tell clients when to try again, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// As long as `Retry-After: 1` of HTTP says.
const PUSHBACK_MS: &str = "1000";

/// The code of an error's kind, its words, and whether to try again.
pub(crate) fn status(error: &Error) -> Status {
    let kind = error.kind();
    let mut metadata = MetadataMap::new();
    if kind.is_worth_a_retry() {
        metadata.insert(PUSHBACK, MetadataValue::from_static(PUSHBACK_MS));
    }
    let mut words = error.to_string();
    shorten(&mut words);
    let mut status = Status::with_metadata(Code::from(kind.grpc_code()), words, metadata);
    status.set_source(Arc::new(Kind(kind)));
    status
}

/// What a status was made of; several kinds share a code.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.name())]
struct Kind(ErrorKind);

/// The kind of error that a status tells.
pub(super) fn kind(status: &Status) -> ErrorKind {
    match status.source().and_then(|source| source.downcast_ref()) {
        Some(Kind(kind)) => *kind,
        None => by_code(status.code()),
    }
}

/// The kind of error that a response tells in its head, if it does.
pub(super) fn told(response: &Response<Body>) -> Option<ErrorKind> {
    if let Some(status) = response.extensions().get::<Status>() {
        return Some(kind(status));
    }
    let code = Code::from_bytes(response.headers().get(Status::GRPC_STATUS)?.as_bytes());
    (code != Code::Ok).then(|| by_code(code))
}

/// What the library says itself is about how a client speaks.
fn by_code(code: Code) -> ErrorKind {
    match code {
        Code::Cancelled => ErrorKind::Cancelled,
        Code::InvalidArgument => ErrorKind::InvalidInput,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::NotFound => ErrorKind::NotFound,
        Code::ResourceExhausted | Code::OutOfRange => ErrorKind::TooLarge,
        Code::FailedPrecondition => ErrorKind::LoadFailed,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::Unauthenticated => ErrorKind::Unauthorized,
        Code::PermissionDenied => ErrorKind::Denied,
        Code::Unavailable => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

/// Words are a header, and clients take 8 KiB of headers: names and shapes that
/// the client itself sent must not break its own answer.
fn shorten(words: &mut String) {
    const MOST: usize = 2048;
    if words.len() > MOST {
        words.truncate(words.floor_char_boundary(MOST));
        words.push('…');
    }
}

/// A whole response that is nothing but an error.
pub(crate) fn refusal(error: &Error) -> Response<Body> {
    refused(&status(error))
}

pub(super) fn refused(status: &Status) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE);
    // The words are percent-encoded, so that they always fit.
    let _ = status.add_header(headers);
    response.extensions_mut().insert(status.clone());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_error_keeps_its_code_and_words() {
        let error = Error::Busy { what: "`f`".to_owned(), running: 1, waiting: 2 };
        let told = status(&error);
        assert_eq!(told.code(), Code::ResourceExhausted);
        assert_eq!(told.message(), "`f` is full: 1 requests run and 2 wait; try again later");
        assert_eq!(told.metadata().get(PUSHBACK).unwrap(), PUSHBACK_MS);
        assert!(status(&Error::ClientGone).metadata().get(PUSHBACK).is_none());
    }

    #[test]
    fn words_of_any_length_fit_into_a_header() {
        let told = status(&Error::Malformed("é".repeat(100_000)));
        assert!(told.message().len() < 2100 && told.message().ends_with("é…"));
    }

    #[test]
    fn every_kind_has_a_code_that_grpc_knows() {
        for kind in ErrorKind::all() {
            assert_ne!(Code::from(kind.grpc_code()), Code::Unknown, "{}", kind.name());
            assert_ne!(Code::from(kind.grpc_code()), Code::Ok, "{}", kind.name());
        }
    }

    #[test]
    fn every_kind_is_known_again() {
        for kind in ErrorKind::all() {
            assert_eq!(
                by_code(Code::from(kind.grpc_code())).grpc_code(),
                kind.grpc_code(),
                "{}",
                kind.name()
            );
        }
        let busy = Error::Busy { what: "`f`".to_owned(), running: 1, waiting: 2 };
        assert_eq!(kind(&status(&busy)), ErrorKind::Overloaded);
        assert_eq!(told(&refusal(&busy)), Some(ErrorKind::Overloaded));
        assert_eq!(kind(&Status::unimplemented("x")), ErrorKind::Unsupported);
        assert_eq!(told(&Response::new(Body::empty())), None);
    }

    #[test]
    fn a_refusal_is_complete_in_its_headers() {
        let response = refusal(&Error::Draining);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-message"], "the%20server%20is%20shutting%20down");
    }
}
