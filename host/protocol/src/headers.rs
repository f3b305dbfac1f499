//! The headers that every request may have, whatever its protocol: its id, its
//! deadline and its token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::error::{Error, Result};

/// The header by which a client gives a deadline, in milliseconds.
pub const TIMEOUT_HEADER: &str = "x-request-timeout-ms";
/// The header that carries a request's id, both ways.
pub const ID_HEADER: &str = "x-request-id";

/// The longest id that is taken over from a client, in bytes.
const LONGEST_ID: usize = 128;

/// A request's id: visible ASCII. Clones share it.
#[derive(Debug, Clone)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// An id for a request whose client gave it none: this process's, and a
    /// count.
    pub fn next() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:x}-{number}", std::process::id()).into())
    }

    /// An id of the client's, if it is one that can be logged and sent back.
    pub fn given(id: &str) -> Option<Self> {
        let is_sound =
            !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        is_sound.then(|| Self(id.into()))
    }

    /// The id as text that can be handed on.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The id as the value of [`ID_HEADER`].
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The client's id for a request, if it gave one that can be kept.
pub fn id(headers: &HeaderMap) -> Option<RequestId> {
    headers.get(ID_HEADER)?.to_str().ok().and_then(RequestId::given)
}

/// How long the client is willing to wait, if it says so.
///
/// # Errors
/// [`Error::Malformed`] for what is no number of milliseconds.
pub fn patience(headers: &HeaderMap) -> Result<Option<Duration>> {
    headers.get(TIMEOUT_HEADER).map(|value| milliseconds(value.as_bytes())).transpose()
}

fn milliseconds(value: &[u8]) -> Result<Duration> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
    number.filter(|&number| number > 0).map(Duration::from_millis).ok_or_else(|| {
        let value = String::from_utf8_lossy(value);
        Error::Malformed(format!(
            "the header `{TIMEOUT_HEADER}` is {value:?}, not a number of milliseconds above 0"
        ))
    })
}

/// The bearer token of a request, if it has one.
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
    }

    #[test]
    fn an_id_that_cannot_be_logged_is_none() {
        assert_eq!(id(&headers(ID_HEADER, "a-1")).unwrap().to_string(), "a-1");
        assert!(id(&HeaderMap::new()).is_none());
        for wrong in ["", "a 1", "a\t1"] {
            assert!(id(&headers(ID_HEADER, wrong)).is_none(), "{wrong:?}");
        }
        assert!(RequestId::given(&"a".repeat(LONGEST_ID)).is_some());
        assert!(RequestId::given(&"a".repeat(LONGEST_ID + 1)).is_none());
    }

    #[test]
    fn a_deadline_is_a_number_above_zero() {
        let patience = |value| patience(&headers(TIMEOUT_HEADER, value));
        assert_eq!(patience("250").unwrap(), Some(Duration::from_millis(250)));
        for wrong in ["0", "-1", "1s", "99999999999999999999999"] {
            assert!(patience(wrong).unwrap_err().to_string().contains(wrong));
        }
    }

    #[test]
    fn a_token_stands_behind_its_scheme() {
        let bearer = |value| bearer(&headers("authorization", value)).map(<[u8]>::to_vec);
        assert_eq!(bearer("bearer a b ").as_deref(), Some(&b"a b "[..]));
        assert_eq!(bearer("Bearer ").as_deref(), Some(&b""[..]));
        for none in ["Bearer", "Basic one", "", "one", "Bearer\tone"] {
            assert_eq!(bearer(none), None, "{none:?}");
        }
    }
}
