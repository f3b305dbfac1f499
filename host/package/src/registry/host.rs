//! One registry: how it is reached, and who may be told the login.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use ureq::Agent;
use ureq::http::Method;

use super::auth::Login;
use super::credentials::{self, Credentials};
use super::error::{Again, ErrorKind, Failure};
use super::retry::Patience;
use super::transport::{Answer, Request, agent, exchange};
use super::url::Url;
use super::{ClientOptions, challenge};
use crate::text::tame;

/// Redirects of one request that are followed.
const MOST_REDIRECTS: usize = 8;
/// Bytes of an error's body that are read.
const LONGEST_REFUSAL: u64 = 64 << 10;

/// One registry, shared by all transfers to and from it.
pub(super) struct Host {
    /// As references write it.
    pub(super) name: String,
    pub(super) root: Url,
    pub(super) agent: Agent,
    pub(super) idle: Duration,
    pub(super) patience: Patience,
    pub(super) transfers: usize,
    pub(super) max_blob: u64,
    login: Login,
}

impl Host {
    /// Finds out how the registry `name` is reached: over HTTPS; over plain
    /// HTTP where the options say so, or where the registry is on this
    /// machine and what answers there is no TLS.
    pub(super) fn new(options: &ClientOptions, name: &str) -> Result<Self, Failure> {
        let credentials = match options.credentials.get(name) {
            Some(credentials) => Some(credentials.clone()),
            None => {
                let config = options.docker_config.clone().or_else(credentials::default_config);
                config.map_or(Ok(None), |config| credentials::find(&config, name))?
            }
        };
        Self::with_login(options, name, credentials)
    }

    pub(super) fn with_login(
        options: &ClientOptions,
        name: &str,
        credentials: Option<Credentials>,
    ) -> Result<Self, Failure> {
        let authority = match name {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            name => name,
        };
        let is_local = is_loopback(authority);
        let plain = options.plain_http || (is_local && speaks_no_tls(authority, options.idle));
        Ok(Self {
            name: name.to_owned(),
            root: Url::root(!plain, authority),
            agent: agent(options, authority, is_local)?,
            idle: options.idle,
            patience: Patience { attempts: options.attempts.max(1), pause: options.pause.clone() },
            transfers: options.transfers.clamp(1, 64),
            max_blob: options.max_blob,
            login: Login::new(credentials),
        })
    }

    /// Asks once, with the login that the registry wants for `scope`, and
    /// follows redirects. The answer may be a refusal.
    pub(super) fn send(&self, request: &Request<'_>, scope: &str) -> Result<Answer, Failure> {
        let known = self.login.known(scope);
        let answer = self.follow(request, known.as_deref())?;
        if answer.status != 401 || !answer.url.same_origin(&self.root) {
            return Ok(answer);
        }
        let headers = answer.headers.get_all("www-authenticate").iter();
        let challenges: Vec<_> =
            headers.filter_map(|header| header.to_str().ok()).flat_map(challenge::parse).collect();
        match self.login.answer(self, &challenges, scope)? {
            // The same again would be refused again.
            Some(fresh) if Some(&fresh) != known.as_ref() => self.follow(request, Some(&fresh)),
            _ => Ok(answer),
        }
    }

    /// Asks until an answer is one of `wanted`, as long as it makes sense.
    pub(super) fn ask(&self, request: &Request<'_>, scope: &str, wanted: &[u16]) -> Result<Answer, Failure> {
        self.patience.persist(|| self.accept(self.send(request, scope)?, wanted))
    }

    /// The answer, when its status is one of `wanted`.
    pub(super) fn accept(&self, answer: Answer, wanted: &[u16]) -> Result<Answer, Failure> {
        if wanted.contains(&answer.status) { Ok(answer) } else { Err(self.refusal(answer)) }
    }

    /// What a status that was not wanted means.
    pub(super) fn refusal(&self, answer: Answer) -> Failure {
        let status = answer.status;
        let url_host = answer.url.authority().to_owned();
        let is_registry = answer.url.same_origin(&self.root);
        let wait = answer.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let mut problem = format!("`{url_host}` answers {}", describe(status));
        let body = answer.bytes(LONGEST_REFUSAL).ok();
        let said = body.and_then(|body| registry_message(&body, |text| self.login.redact(text)));
        if let Some(said) = said {
            problem = format!("{problem} ({said})");
        }
        let again = match (status, wait) {
            (429 | 503, Some(seconds)) => Again::After(Duration::from_secs(seconds)),
            (408 | 429 | 500 | 502 | 503 | 504, _) => Again::Soon,
            _ => Again::Never,
        };
        let failure = |kind| Failure::new(kind, problem.clone()).again(again);
        match status {
            401 if !is_registry => failure(ErrorKind::Unauthorized),
            401 => failure(ErrorKind::Unauthorized).hint(format!("samara login {}", self.name)),
            403 => failure(ErrorKind::Denied).hint(format!(
                "is the name right, and may the login do this? `samara login {}` changes the login",
                self.name
            )),
            404 => failure(ErrorKind::NotFound).hint("are the name and the tag right?"),
            429 => failure(ErrorKind::Busy).hint("a login often allows more requests; or try later"),
            413 => failure(ErrorKind::TooLarge),
            408 | 500..=599 => failure(ErrorKind::Unavailable),
            _ => failure(ErrorKind::Protocol),
        }
    }

    fn follow(&self, request: &Request<'_>, authorization: Option<&str>) -> Result<Answer, Failure> {
        let mut request = request.clone();
        // The login is for this registry only, and a request that left it
        // stays without even when it is led back.
        let mut login = authorization.filter(|_| request.url.same_origin(&self.root));
        for _ in 0..=MOST_REDIRECTS {
            let answer = exchange(&self.agent, self.idle, &request, login)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let Some(location) = answer.header("location") else { return Ok(answer) };
            let next = answer.url.join(location)?;
            if !matches!(request.method, Method::GET | Method::HEAD) {
                return Err(Failure::new(
                    ErrorKind::Protocol,
                    format!("`{}` sends what is to be written there to `{next}`", self.name),
                )
                .hint("use the registry's real name"));
            }
            if answer.url.https && !next.https {
                return Err(Failure::new(
                    ErrorKind::Untrusted,
                    format!("`{}` leads from a secure connection to an open one, `{next}`", self.name),
                ));
            }
            if !next.same_origin(&self.root) {
                login = None;
            }
            request.url = next;
        }
        Err(Failure::new(
            ErrorKind::Protocol,
            format!("`{}` leads from one address to the next, more than {MOST_REDIRECTS} times", self.name),
        ))
    }
}

/// Whether a registry is on this machine: 127.0.0.0/8, `[::1]` or `localhost`.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether what listens there answers the greeting of TLS with something that
/// is no TLS. Silence, or nobody there, is no such answer.
fn speaks_no_tls(authority: &str, patience: Duration) -> bool {
    let with_port =
        if authority.rsplit(']').next().is_some_and(|end| end.contains(':')) { "" } else { ":443" };
    let first_byte = || -> std::io::Result<Option<u8>> {
        let addresses = format!("{authority}{with_port}").to_socket_addrs()?;
        let mut failed = std::io::ErrorKind::NotFound.into();
        for address in addresses {
            let mut stream = match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => stream,
                Err(error) => {
                    failed = error;
                    continue;
                }
            };
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            stream.write_all(&greeting())?;
            let mut byte = [0];
            let count = stream.read(&mut byte)?;
            return Ok((count > 0).then_some(byte[0]));
        }
        Err(failed)
    };
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    matches!(first_byte(), Ok(Some(byte)) if byte != ALERT && byte != HANDSHAKE)
}

/// A ClientHello of TLS 1.2 (RFC 5246, section 7.4.1.2) with one cipher suite.
/// Its random part has the end of an HTTP head in it, so that a server of
/// plain HTTP answers too and does not wait for more.
fn greeting() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend(b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n");
    hello.push(0); // no session
    hello.extend([0, 2, 0xc0, 0x2f]); // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    hello.extend([1, 0]); // no compression
    let length = u8::try_from(hello.len()).unwrap_or(u8::MAX);
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}

fn describe(status: u16) -> String {
    let reason = ureq::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

/// The first error of a registry's answer, as the OCI distribution
/// specification 1.1 has it, or the short text that it sent instead. `redact`
/// comes before anything is cut off: a part of a secret would not be found.
pub(super) fn registry_message(body: &[u8], redact: impl Fn(&str) -> String) -> Option<String> {
    let tame = |text: &str| tame(&redact(text));
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(body) else {
        let text = tame(std::str::from_utf8(body).ok()?);
        return (!text.is_empty() && !text.starts_with('<')).then_some(text);
    };
    let error = document.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&document);
    let text = |name: &str| error.get(name).and_then(serde_json::Value::as_str).map(tame);
    match (text("code"), text("message").or_else(|| text("details"))) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known() {
        for local in ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(local), "{local}");
        }
        for other in ["r.io", "localhost.r.io", "128.0.0.1", "[::2]:1", "10.0.0.1:5000", "127.0.0.1.r.io:80"]
        {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn messages_of_registries_are_found() {
        let message = |body: &str| registry_message(body.as_bytes(), str::to_owned);
        assert_eq!(
            message(r#"{"errors":[{"code":"DENIED","message":"no\u0007\nway"}]}"#).as_deref(),
            Some("DENIED: no\\u{7} way")
        );
        assert_eq!(message("404 page not found\n").as_deref(), Some("404 page not found"));
        assert_eq!(message("<html>"), None);
        assert_eq!(message(r#"{"errors":[]}"#), None);
    }

    #[test]
    fn a_secret_that_would_be_cut_off_is_not_shown_in_part() {
        let body = format!("{} hush-hush {}", "x".repeat(293), "y".repeat(100));
        let redact = |text: &str| text.replace("hush-hush", "-");
        let said = registry_message(body.as_bytes(), redact).unwrap();
        assert!(!said.contains("hush") && said.ends_with('…'), "{said}");
    }
}
