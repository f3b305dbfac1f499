//! The error of a function: a kind for programs and a message for people.

use std::fmt;

/// A result whose error is an [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it was. The host turns it into an HTTP or gRPC status
/// or an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller's tensors are wrong.
    InvalidInput,
    /// Something that was named does not exist.
    NotFound,
    /// A thing that is well-formed but cannot be done here.
    Unsupported,
    /// It took longer than allowed.
    Timeout,
    /// A tensor, a model or an answer exceeds a limit.
    TooLarge,
    /// The function's own fault.
    Internal,
}

impl ErrorKind {
    /// The name in the contract, e.g. `invalid-input`.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidInput => "invalid-input",
            ErrorKind::NotFound => "not-found",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Timeout => "timeout",
            ErrorKind::TooLarge => "too-large",
            ErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error that a function returns to its caller.
///
/// Any error of the standard library's kind, and a plain string, turns into
/// one of kind [`ErrorKind::Internal`] through `?`. Use a constructor where
/// another kind is right, above all [`Error::invalid_input`] for what the
/// caller did wrong.
///
/// ```
/// # use samara_sdk::{Error, ErrorKind};
/// fn parse(text: &str) -> Result<f32, Error> {
///     Ok(text.parse::<f32>()?)
/// }
/// assert_eq!(parse("much").unwrap_err().kind(), ErrorKind::Internal);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of any kind. The message should say what is wrong, where, and
    /// what to do about it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    /// The caller's tensors are wrong.
    pub fn invalid_input(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidInput, message)
    }

    /// Something that was named does not exist.
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    /// A thing that is well-formed but cannot be done here.
    pub fn unsupported(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported, message)
    }

    /// It took longer than allowed.
    pub fn timeout(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Timeout, message)
    }

    /// A limit was exceeded.
    pub fn too_large(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::TooLarge, message)
    }

    /// The function's own fault.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// The same error with `place: ` before its message.
    pub fn context(mut self, place: impl fmt::Display) -> Error {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same message under another kind.
    pub(crate) fn with_kind(self, kind: ErrorKind) -> Error {
        Error { kind, ..self }
    }

    /// The message alone.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_message(self) -> String {
        self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Readable, because this is what `fn main() -> samara_sdk::Result<()>` prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// Standard errors, boxed errors and strings, as [`ErrorKind::Internal`]; the
/// message names the causes too.
impl<E: Into<Box<dyn std::error::Error>>> From<E> for Error {
    fn from(error: E) -> Error {
        let error = error.into();
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        Error::internal(message)
    }
}

/// Says where an error happened, or what a missing value was.
pub trait Context<T> {
    /// Puts `place: ` before the message of the error. What has no kind yet
    /// becomes [`ErrorKind::Internal`].
    fn context(self, place: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn context(self, place: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().context(place))
    }
}

impl<T> Context<T> for Option<T> {
    /// `None` becomes an [`ErrorKind::Internal`] with `place` as its message.
    fn context(self, place: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Error::internal(place.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_boxes_and_standard_errors_convert() {
        fn with_str() -> Result<()> {
            Err("no luck")?
        }
        fn with_box() -> Result<()> {
            let boxed: Box<dyn std::error::Error> = "boxed".into();
            Err(boxed)?
        }
        fn with_own() -> Result<()> {
            Err(Error::timeout("late"))?
        }
        assert_eq!(with_str().unwrap_err(), Error::internal("no luck"));
        assert_eq!(with_box().unwrap_err(), Error::internal("boxed"));
        assert_eq!(with_own().unwrap_err(), Error::timeout("late"));
    }

    #[test]
    fn causes_are_named() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the label is unreadable")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(Outer("x".parse::<i32>().unwrap_err()));
        assert_eq!(error.message(), "the label is unreadable: invalid digit found in string");
    }

    #[test]
    fn context_keeps_the_kind() {
        let error = Err::<(), _>(Error::not_found("no such label")).context("row 3").unwrap_err();
        assert_eq!(format!("{error:?}"), "not-found: row 3: no such label");
        assert_eq!(None::<()>.context("no rows").unwrap_err(), Error::internal("no rows"));
    }
}
