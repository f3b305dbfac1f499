//! What a function of a server is driven through, whatever its protocol.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use http::HeaderValue;
use samara_nn::{NamedTensor, Signature};

use super::drive::Caller;
use super::request::{Expected, Work};
use crate::args::BenchArgs;
use crate::error::Usage;
use crate::input;

/// A function of a server that is reached over one protocol.
pub(super) trait Remote: Sized {
    /// The protocol's name in reports.
    const KIND: &'static str;
    /// A request, ready to be sent.
    type Body;
    type Caller: Caller;

    /// Finds the server and the function of it that is meant.
    ///
    /// # Errors
    /// When the URL or the flags are wrong, the server is not there or does
    /// not speak the protocol, or no function or several could be meant.
    async fn find(args: &BenchArgs, url: &str) -> Result<Self>;

    /// The server's URL.
    fn what(&self) -> String;

    /// The function's name, and its version where one is asked for.
    fn function(&self) -> (&str, Option<&str>);

    /// What the function takes and gives, as the server says.
    ///
    /// # Errors
    /// When it does not say, or not in the protocol's words.
    async fn signature(&self) -> Result<Signature>;

    /// The request as it is sent.
    ///
    /// # Errors
    /// When a tensor cannot be written.
    fn body(&self, work: &Work) -> Result<Self::Body>;

    /// How tensors travel in a request, and its bytes.
    fn form(&self, body: &Self::Body) -> (&'static str, u64);

    /// Sends the request once and reads the answer whole.
    ///
    /// # Errors
    /// When the answer is a refusal, or no response of the protocol.
    async fn first_answer(&self, body: &Self::Body) -> Result<Vec<NamedTensor>>;

    /// A caller that sends the request over a connection of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    fn caller(&self, body: &Self::Body, expected: Option<&Arc<Expected>>) -> Result<Self::Caller>;
}

/// What a request carries as `authorization`, where a token is given.
///
/// # Errors
/// When its file cannot be read, or holds what no header carries.
pub(super) fn bearer(args: &BenchArgs) -> Result<Option<HeaderValue>> {
    let Some(path) = &args.token_file else { return Ok(None) };
    let token = input::read_text(path)?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
        anyhow!("`{}` holds no token: it has characters that no header carries", path.display())
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The only function that a server lists, if it lists any.
///
/// # Errors
/// What to do where it does not, or where there are others.
pub(super) fn only(server: &str, functions: Option<Vec<String>>) -> Result<String> {
    let functions = functions.ok_or_else(|| {
        Usage(format!(
            "`{server}` does not list its functions, so name the one to drive\nhint: `--function NAME`"
        ))
    })?;
    match functions.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("`{server}` has no function that is ready"),
        several => Err(Usage(format!(
            "`{server}` has {} functions: {}\nhint: name one with `--function NAME`",
            several.len(),
            quoted(several)
        ))
        .into()),
    }
}

/// Names for people.
pub(super) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
