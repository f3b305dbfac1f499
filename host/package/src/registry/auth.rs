//! Logins at work: the tokens and passwords that go with requests.
//!
//! Tokens come from the server that a registry names in its challenge
//! (<https://distribution.github.io/distribution/spec/auth/token/>, and
//! `/oauth2/` for identity tokens).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde::Deserialize;
use ureq::http::Method;

use super::challenge::Challenge;
use super::credentials::Credentials;
use super::error::{ErrorKind, Failure};
use super::host::Host;
use super::transport::{Payload, Request, exchange};
use super::url::{Url, encode};

const LONGEST_TOKEN: u64 = 1 << 20;
/// How long a token is good that does not say so, in seconds.
const USUAL_TOKEN_TIME: u64 = 60;
const LONGEST_TOKEN_TIME: u64 = 3600;
/// A token that is about to end is not begun with.
const TOKEN_MARGIN: Duration = Duration::from_secs(5);
/// What replaces a secret in a message.
const REDACTED: &str = "[redacted]";

/// The login of one registry, and what it got for it.
pub(super) struct Login {
    credentials: Option<Credentials>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The registry takes user and password themselves.
    basic: bool,
    /// By scope.
    tokens: BTreeMap<String, Token>,
}

pub(super) struct Token {
    text: String,
    until: Instant,
}

/// What a token server answers.
#[derive(Deserialize)]
struct Grant {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Login {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, state: Mutex::default() }
    }

    /// The header that worked before for `scope`.
    pub(super) fn known(&self, scope: &str) -> Option<String> {
        let state = self.state();
        if state.basic {
            return self.basic();
        }
        let token = state.tokens.get(scope).filter(|token| token.until > Instant::now())?;
        Some(format!("Bearer {}", token.text))
    }

    /// The header that answers a challenge, or `None` where there is no login
    /// for it. A token is fetched anew.
    pub(super) fn answer(
        &self,
        host: &Host,
        challenges: &[Challenge],
        scope: &str,
    ) -> Result<Option<String>, Failure> {
        let find = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        if let Some(challenge) = find("bearer") {
            let token = self.fetch(host, challenge, scope)?;
            let header = format!("Bearer {}", token.text);
            self.state().tokens.insert(scope.to_owned(), token);
            return Ok(Some(header));
        }
        let header = find("basic").and_then(|_| self.basic());
        self.state().basic = header.is_some();
        Ok(header)
    }

    /// A message without what the registry was sent to know somebody by.
    pub(super) fn redact(&self, message: &str) -> String {
        let mut secrets: Vec<String> = self.state().tokens.values().map(|token| token.text.clone()).collect();
        match &self.credentials {
            Some(Credentials::Password { user, password }) => {
                secrets.extend([encoded(user, password), password.clone()]);
            }
            Some(Credentials::IdentityToken(token)) => secrets.push(token.clone()),
            None => {}
        }
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(message.to_owned(), |message, secret| message.replace(secret.as_str(), REDACTED))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn basic(&self) -> Option<String> {
        match self.credentials.as_ref()? {
            Credentials::Password { user, password } => Some(format!("Basic {}", encoded(user, password))),
            Credentials::IdentityToken(_) => None,
        }
    }

    fn fetch(&self, host: &Host, challenge: &Challenge, scope: &str) -> Result<Token, Failure> {
        let realm = realm(host, challenge)?;
        let scopes = scopes(challenge, scope);
        let service = challenge.parameter("service");
        let form;
        let (request, basic) = match &self.credentials {
            Some(Credentials::IdentityToken(token)) => {
                form = refresh_form(token, service, &scopes);
                let request = Request::new(Method::POST, realm)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .payload(Payload::Bytes(form.as_bytes()));
                (request, None)
            }
            _ => {
                let url = service.into_iter().fold(realm, |url, service| url.with_query("service", service));
                let url = scopes.iter().fold(url, |url, scope| url.with_query("scope", scope));
                (Request::new(Method::GET, url), self.basic())
            }
        };
        let answer = exchange(&host.agent, host.idle, &request, basic.as_deref())?;
        if answer.status != 200 {
            let refused = matches!(answer.status, 400 | 401 | 403) && self.credentials.is_some();
            return Err(host.refusal(answer).of_token_server(refused, &host.name));
        }
        read_grant(&answer.bytes(LONGEST_TOKEN)?)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Where tokens are: only a registry that is itself asked in the open may
/// name an open address, because the login goes there.
fn realm(host: &Host, challenge: &Challenge) -> Result<Url, Failure> {
    let realm = challenge.parameter("realm").unwrap_or_default();
    let url = Url::parse(realm).map_err(|failure| failure.noting(", where tokens should be"))?;
    if host.root.https && !url.https {
        return Err(Failure::new(
            ErrorKind::Untrusted,
            format!("`{}` wants the login sent in the open to `{url}`", host.name),
        ));
    }
    Ok(url)
}

/// What is needed, and what else the registry says is needed.
fn scopes(challenge: &Challenge, scope: &str) -> Vec<String> {
    let resource = |scope: &str| scope.rsplit_once(':').map(|(resource, _)| resource.to_owned());
    let mut scopes: Vec<String> = Vec::new();
    scopes.extend((!scope.is_empty()).then(|| scope.to_owned()));
    let wanted = challenge.parameter("scope").unwrap_or_default().split_whitespace();
    scopes.extend(wanted.filter(|wanted| resource(wanted) != resource(scope)).map(str::to_owned));
    scopes
}

fn refresh_form(token: &str, service: Option<&str>, scopes: &[String]) -> String {
    format!(
        "grant_type=refresh_token&client_id=samara&service={}&scope={}&refresh_token={}",
        encode(service.unwrap_or_default()),
        encode(&scopes.join(" ")),
        encode(token)
    )
}

pub(super) fn read_grant(body: &[u8]) -> Result<Token, Failure> {
    // What the server sent may hold the token: the parser's message is not shown.
    let grant: Grant = serde_json::from_slice(body)
        .map_err(|_| Failure::new(ErrorKind::Protocol, "the token server's answer has no token"))?;
    let text = grant.token.filter(|token| !token.is_empty()).or(grant.access_token).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(ErrorKind::Protocol, "the token server's answer has no token"));
    }
    let seconds = grant.expires_in.unwrap_or(USUAL_TOKEN_TIME).clamp(USUAL_TOKEN_TIME, LONGEST_TOKEN_TIME);
    Ok(Token { text, until: Instant::now() + Duration::from_secs(seconds) - TOKEN_MARGIN })
}

fn encoded(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}
