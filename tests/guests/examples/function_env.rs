//! Reads an environment variable.

use samara_sdk::Error;

#[samara_sdk::function(output = "value")]
fn env(name: String) -> Result<String, Error> {
    std::env::var(&name).map_err(|_| Error::not_found(format!("`{name}` is not set")))
}
