//! What can go wrong between here and a registry.

use std::time::Duration;

/// An operation on a registry that failed: what was asked, what came of it,
/// and what to do next. It never holds credentials.
#[derive(Debug, thiserror::Error)]
#[error("{asked}: {failure}")]
pub struct Error {
    asked: String,
    failure: Failure,
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What the caller gave makes no sense: a reference, an option, a file.
    Invalid,
    /// The registry does not have it.
    NotFound,
    /// The registry wants a login, or refuses the one it got.
    Unauthorized,
    /// The login may not do this.
    Denied,
    /// The registry wants fewer requests.
    Busy,
    /// The registry cannot be reached, broke off or failed.
    Unavailable,
    /// Nothing came for too long.
    Stalled,
    /// The registry's certificate does not prove who it is, or it leads to
    /// where a connection would be open to others.
    Untrusted,
    /// The registry's answer is none that the protocol knows.
    Protocol,
    /// Content is not what its digest or size says.
    Corrupt,
    /// Content is larger than what is accepted.
    TooLarge,
    /// An index has no manifest for Wasm.
    NoPlatform,
    /// Credentials cannot be read or written.
    Credentials,
    /// The local store failed.
    Store,
    /// Another transfer of the same operation failed first.
    Cancelled,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        self.failure.kind
    }
}

/// What came of a request, before it is said what the request was for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    problem: String,
    hint: Option<String>,
    pub(super) again: Again,
}

/// Whether to ask once more helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// After the usual pause.
    Soon,
    /// After what the registry asked for.
    After(Duration),
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, problem: impl Into<String>) -> Self {
        Self { kind, problem: problem.into(), hint: None, again: Again::Never }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn again(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    /// The same, with its place said first.
    pub(super) fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.problem = format!("{place}: {}", self.problem);
        self
    }

    /// The same, with more said about it.
    pub(super) fn noting(mut self, note: &str) -> Self {
        self.problem.push_str(note);
        self
    }

    /// The same, of the server that was asked for a token: what it does not
    /// have is not what the registry does not have.
    pub(super) fn of_token_server(mut self, login_refused: bool, registry: &str) -> Self {
        if login_refused {
            (self.kind, self.hint) = (ErrorKind::Unauthorized, Some(format!("samara login {registry}")));
        } else if self.kind == ErrorKind::NotFound {
            self.kind = ErrorKind::Protocol;
        }
        self.noting(" when it is asked for a token")
    }

    pub(super) fn asked(self, asked: impl Into<String>) -> Error {
        Error { asked: asked.into(), failure: self }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        use crate::store::ErrorKind as Store;
        let kind = match error.kind() {
            Store::Corrupt => ErrorKind::Corrupt,
            Store::TooLarge => ErrorKind::TooLarge,
            _ => ErrorKind::Store,
        };
        // The store's text names the place, its source the system's reason.
        let reason = std::error::Error::source(&error).map(|source| format!(": {source}"));
        let text = error.to_string();
        let (problem, hint) = match text.split_once("\nhint: ") {
            Some((problem, hint)) => (problem, Some(hint.to_owned())),
            None => (text.as_str(), None),
        };
        let problem = format!("{problem}{}", reason.unwrap_or_default());
        Self { kind, problem, hint, again: Again::Never }
    }
}

/// Says what was asked when it failed.
pub(super) trait Asked<T> {
    fn asked(self, asked: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Asked<T> for Result<T, Failure> {
    fn asked(self, asked: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|failure| failure.asked(asked()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_says_keeps_its_hint_at_the_end() {
        let error = crate::store::Error::DiskFull {
            action: "write",
            path: "/store".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let text = Failure::from(error).asked("cannot pull `r.io/a`").to_string();
        let (problem, hint) = text.split_once("\nhint: ").unwrap();
        assert!(problem.ends_with("no space is left there: no storage space"), "{text}");
        assert!(hint.starts_with("make room"), "{text}");
    }

    #[test]
    fn an_error_says_what_was_asked_and_what_to_do() {
        let error = Failure::new(ErrorKind::Unauthorized, "no").hint("samara login r.io").asked("cannot ask");
        assert_eq!(error.to_string(), "cannot ask: no\nhint: samara login r.io");
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
    }
}
