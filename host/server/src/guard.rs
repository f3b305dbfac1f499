//! Who may ask: bearer tokens, and pages of other origins.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use samara_protocol::headers::bearer;
use subtle::ConstantTimeEq;

use crate::body::Body;
use crate::config::{Config, Token};
use crate::error::{Error, Result};

/// Headers that pages of other origins may send and read.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, inference-header-content-length, traceparent, x-request-id, x-request-timeout-ms",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("inference-header-content-length, retry-after, x-request-id");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
/// Seconds for which a browser may remember the answer.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// Checks the token of a request, where the server asks for one.
///
/// # Errors
/// [`Error::Unauthorized`].
pub(crate) fn check_token(config: &Config, headers: &HeaderMap) -> Result<()> {
    if config.tokens.is_empty() {
        return Ok(());
    }
    let given = bearer(headers);
    // Every token is compared, and each in constant time: how long it takes
    // says nothing about how close a guess was.
    let is_known = |given: &[u8]| {
        let known = |token: &Token| bool::from(token.secret().ct_eq(given));
        config.tokens.iter().fold(false, |found, token| known(token) | found)
    };
    match given.is_some_and(is_known) {
        true => Ok(()),
        false => Err(Error::Unauthorized),
    }
}

/// The origin of the page that asks, if it is one that may.
pub(crate) fn allowed_origin(config: &Config, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    if config.cors.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    config.cors.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// The answer to a browser that asks whether a page may ask.
pub(crate) fn preflight<B>(request: &Request<B>, origin: Option<&HeaderValue>) -> Option<Response<Body>> {
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight || origin.is_none() {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    Some(response)
}

/// Lets the page read a response.
pub(crate) fn let_in(response: &mut Response<Body>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn any_of_the_tokens_opens_and_nothing_else() {
        let open = Config::default();
        check_token(&open, &HeaderMap::new()).unwrap();
        let config = Config { tokens: vec![Token::new("one"), Token::new("two")], ..Config::default() };
        for right in ["Bearer one", "bearer two"] {
            check_token(&config, &headers(AUTHORIZATION, right)).unwrap();
        }
        for wrong in ["Bearer three", "Bearer on", "Bearer ", "one", "Basic one", "", "Bearer one "] {
            let refused = check_token(&config, &headers(AUTHORIZATION, wrong));
            assert!(matches!(refused, Err(Error::Unauthorized)), "{wrong:?}");
        }
        assert!(check_token(&config, &HeaderMap::new()).is_err());
    }

    #[test]
    fn only_named_origins_are_let_in() {
        let config = Config { cors: vec!["https://a.example".to_owned()], ..Config::default() };
        assert!(allowed_origin(&config, &headers(ORIGIN, "https://a.example")).is_some());
        assert!(allowed_origin(&config, &headers(ORIGIN, "https://a.example.evil")).is_none());
        assert!(allowed_origin(&Config::default(), &headers(ORIGIN, "https://a.example")).is_none());
        let all = Config { cors: vec!["*".to_owned()], ..Config::default() };
        assert_eq!(allowed_origin(&all, &headers(ORIGIN, "null")).unwrap(), "*");
    }
}
