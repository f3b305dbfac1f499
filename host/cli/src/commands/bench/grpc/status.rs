//! How a call ended, as gRPC says it.

use http::{HeaderMap, StatusCode};

use super::connection::Reply;

/// By their numbers.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The end of a call that was not answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// By its number, with the server's words.
    Code(usize, String),
    /// It is no answer of gRPC.
    Http(StatusCode),
}

impl Refusal {
    /// That of a reply, if it is one.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        let code = reply.headers.get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
        match code {
            Some(0) => None,
            Some(code) => Some(Refusal::Code(code, words(&reply.headers))),
            None => Some(Refusal::Http(reply.status)),
        }
    }

    pub(super) fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name())
    }

    /// The name under which it is counted.
    pub(super) fn kind(&self) -> String {
        match self {
            Refusal::Code(..) => self.name().to_ascii_lowercase(),
            Refusal::Http(status) => format!("status_{}", status.as_u16()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Refusal::Code(code, _) => NAMES.get(*code).copied().unwrap_or("UNKNOWN"),
            Refusal::Http(_) => "",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Code(_, words) if words.is_empty() => f.write_str(self.name())?,
            Refusal::Code(_, words) => write!(f, "{}: {words}", self.name())?,
            Refusal::Http(status) => write!(f, "{status}, and no answer of gRPC")?,
        }
        if self.is(&["UNAUTHENTICATED"]) {
            f.write_str("\nhint: give a token with `--token-file FILE`")?;
        }
        Ok(())
    }
}

/// The server's words in one short line.
fn words(headers: &HeaderMap) -> String {
    const LONGEST: usize = 300;
    let coded = headers.get("grpc-message").map(|words| words.as_bytes()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(coded.len());
    let mut rest = coded;
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    let text = String::from_utf8_lossy(&bytes);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn reply(headers: &[(&'static str, &'static str)]) -> Reply {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Reply { status: StatusCode::OK, headers: pairs.collect(), body: Bytes::new(), length: 0 }
    }

    #[test]
    fn codes_have_names_and_words() {
        assert_eq!(Refusal::of(&reply(&[("grpc-status", "0")])), None);
        let full = Refusal::of(&reply(&[("grpc-status", "8"), ("grpc-message", "no%20room%0Aat%zz 100%")]));
        let full = full.unwrap();
        assert_eq!(full.to_string(), "RESOURCE_EXHAUSTED: no room at%zz 100%");
        assert_eq!(full.kind(), "resource_exhausted");
        let stranger = Refusal::of(&reply(&[("grpc-status", "16")])).unwrap();
        assert!(stranger.is(&["UNAUTHENTICATED"]) && stranger.to_string().contains("--token-file"));
        assert_eq!(Refusal::of(&reply(&[("grpc-status", "99")])).unwrap().kind(), "unknown");
        let other = Refusal::of(&reply(&[])).unwrap();
        assert_eq!(
            (other.kind().as_str(), other.to_string().contains("no answer of gRPC")),
            ("status_200", true)
        );
    }
}
