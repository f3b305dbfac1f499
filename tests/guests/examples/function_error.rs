//! Returns an error of the kind that the input names.

use samara_sdk::{Error, ErrorKind};

#[samara_sdk::function]
fn error(kind: String) -> Result<String, Error> {
    use ErrorKind::{Internal, InvalidInput, NotFound, Timeout, TooLarge, Unsupported};
    let kinds = [InvalidInput, NotFound, Unsupported, Timeout, TooLarge, Internal];
    match kinds.into_iter().find(|known| known.name() == kind) {
        Some(known) => Err(Error::new(known, format!("asked for {kind}"))),
        None => Ok(kind),
    }
}
