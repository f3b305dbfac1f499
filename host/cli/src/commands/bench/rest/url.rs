//! The URL of a server, as a user gives it.

use http::Uri;
use http::uri::Scheme;

use crate::commands::bench::connect::Address;

/// Where a server is, and which function of it is meant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerUrl {
    pub address: Address,
    /// What stands before `/v2`, without a slash at its end.
    pub base: String,
    pub function: Option<String>,
    pub version: Option<String>,
}

impl ServerUrl {
    /// Takes a URL apart: a server's, or one with a path of the protocol,
    /// `/v2/models/NAME[/versions/VERSION][/infer]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("`{text}` is no URL: {error}"))?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) => {
                return Err(format!(
                    "`{text}` is reached by `{scheme}`, which cannot be driven\nhint: give the server's address for REST, `http://…` or `https://…`, or for gRPC, `grpc://…` or `grpcs://…`"
                ));
            }
            None => return Err(format!("`{text}` has no scheme\nhint: write `http://{text}`")),
        };
        let address = Address::of(&uri, is_tls, text)?;
        let (base, model) = split_path(uri.path()).ok_or_else(|| {
            format!("the path of `{text}` is not that of a function, `/v2/models/NAME[/versions/VERSION]`")
        })?;
        let (function, version) = model.unwrap_or_default();
        Ok(Self { address, base: base.to_owned(), function, version })
    }

    /// The server's URL, without a function.
    pub(crate) fn server(&self) -> String {
        let scheme = if self.address.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.address.authority, self.base)
    }

    /// The path of a function, as this URL names it.
    pub(crate) fn path_of(&self, function: &str, version: Option<&str>) -> String {
        let version = version.map(|version| format!("/versions/{}", encoded(version))).unwrap_or_default();
        format!("{}/v2/models/{}{version}", self.base, encoded(function))
    }
}

type Model = (Option<String>, Option<String>);

/// What stands before `/v2`, and the function and version after it.
fn split_path(path: &str) -> Option<(&str, Option<Model>)> {
    let path = path.trim_end_matches('/');
    let Some((base, rest)) = path.split_once("/v2/models/") else {
        return Some((path.strip_suffix("/v2").unwrap_or(path), None));
    };
    let rest = rest.strip_suffix("/infer").unwrap_or(rest);
    let (function, version) = match rest.split_once("/versions/") {
        Some((function, version)) => (function, Some(decoded(version)?)),
        None => (rest, None),
    };
    Some((base, Some((Some(decoded(function)?), version))))
}

/// One segment of a path in plain text.
pub(in super::super) fn decoded(segment: &str) -> Option<String> {
    if segment.is_empty() || segment.contains('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = tail;
            }
            (b'%', _) => return None,
            (&byte, tail) => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// One segment of a path, everything that is not plain in percents.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(text: &str) -> (String, Option<String>, Option<String>) {
        let url = ServerUrl::parse(text).unwrap();
        (url.server(), url.function, url.version)
    }

    #[test]
    fn urls_name_servers_and_functions() {
        let some = |text: &str| Some(text.to_owned());
        let server = || "http://h:8000".to_owned();
        for text in ["http://h:8000", "http://h:8000/", "http://h:8000/v2", "http://h:8000/v2/"] {
            assert_eq!(function_of(text), (server(), None, None), "{text}");
        }
        for text in
            ["http://h:8000/v2/models/m", "http://h:8000/v2/models/m/", "http://h:8000/v2/models/m/infer"]
        {
            assert_eq!(function_of(text), (server(), some("m"), None), "{text}");
        }
        assert_eq!(
            function_of("https://h/base/v2/models/a%20b/versions/1"),
            ("https://h/base".to_owned(), some("a b"), some("1"))
        );
    }

    #[test]
    fn other_urls_are_refused() {
        let cases = [
            ("h:8000", "has no scheme\nhint: write `http://h:8000`"),
            ("localhost", "has no scheme\nhint: write `http://localhost`"),
            ("ftp://h:8001", "`ftp`, which cannot be driven\nhint: give the server's address for REST"),
            ("http://", "is no URL"),
            ("http://user:secret@h/", "carries no credentials"),
            ("http://h/v2/models/", "http://h"),
            ("http://h/v2/models/a/b", "is not that of a function"),
            ("http://h/v2/models/%zz", "is not that of a function"),
        ];
        for (text, words) in cases {
            let found = ServerUrl::parse(text).map(|url| url.server()).unwrap_or_else(|problem| problem);
            assert!(found.contains(words), "{text}: {found}");
        }
    }

    #[test]
    fn paths_and_ports_are_made_of_it() {
        let url = ServerUrl::parse("https://[::1]/base/").unwrap();
        assert_eq!((url.address.host(), url.address.port()), ("::1", 443));
        assert_eq!(url.path_of("a b/c", Some("1")), "/base/v2/models/a%20b%2Fc/versions/1");
        assert_eq!(ServerUrl::parse("http://h:81").unwrap().address.port(), 81);
    }
}
