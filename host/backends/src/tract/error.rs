//! tract's errors in samara's terms.

use samara_nn::{Error, ModelSource};
use tract_onnx::prelude::TractError;

use super::NAME;

/// A model that tract would not prepare.
pub(crate) fn refused(source: &ModelSource, backend: &'static str, error: TractError) -> Error {
    match error.downcast::<Error>() {
        Ok(Error::TooLarge { what, size, limit, .. }) => {
            Error::TooLarge { model: source.name.clone(), what, size, limit }
        }
        Ok(error) => error,
        Err(error) => Error::Unsupported { model: source.name.clone(), backend, reason: words(&error) },
    }
}

/// A run that failed.
pub(super) fn failed(model: &str, error: TractError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Run { model: model.to_owned(), backend: NAME, reason: words(&error) },
    }
}

/// The chain of causes on one line, bounded: some quote whole tensors.
pub(crate) fn words(error: &TractError) -> String {
    const MOST: usize = 200;
    let causes: Vec<String> = error
        .chain()
        .map(|cause| {
            let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            match cause.char_indices().nth(MOST) {
                Some((end, _)) => format!("{}…", &cause[..end]),
                None => cause,
            }
        })
        .collect();
    causes.join(": ")
}
