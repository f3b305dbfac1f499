//! Addresses of a registry: as much of RFC 3986 as registries use.

use std::fmt;

use super::error::{ErrorKind, Failure};
use crate::text::tame;

/// An address over HTTP or HTTPS. Its text for people leaves the query out,
/// because signed addresses carry their right to access there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) https: bool,
    /// Host and, where it is not the usual one, port; lower case.
    authority: String,
    /// Begins with a slash; the query behind it.
    path: String,
}

impl Url {
    /// The root of a host.
    pub(super) fn root(https: bool, authority: &str) -> Self {
        let authority = authority.to_ascii_lowercase();
        let usual = if https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority).to_owned();
        Self { https, authority, path: "/".to_owned() }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = || {
            Failure::new(ErrorKind::Protocol, format!("`{}` is no address that can be asked", shown(text)))
        };
        let lower: String = text.chars().take(8).collect::<String>().to_ascii_lowercase();
        let (https, rest) = if lower.starts_with("https://") {
            (true, text.get(8..))
        } else if lower.starts_with("http://") {
            (false, text.get(7..))
        } else {
            return Err(refuse());
        };
        let rest = rest.ok_or_else(refuse)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !is_authority(authority) {
            return Err(refuse());
        }
        let root = Self::root(https, authority);
        if path.is_empty() { Ok(root) } else { root.with_path(path) }
    }

    /// What `location` means in an answer from here.
    pub(super) fn join(&self, location: &str) -> Result<Self, Failure> {
        let scheme = if self.https { "https:" } else { "http:" };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}{location}"));
        }
        if location.starts_with('/') || location.starts_with('?') {
            return self.with_path(location);
        }
        let before_path = location.split(['/', '?']).next().unwrap_or_default();
        if before_path.contains(':') {
            return Self::parse(location);
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.with_path(&format!("{folder}/{location}"))
    }

    /// Another path, with its query, on the same host.
    pub(super) fn with_path(&self, path: &str) -> Result<Self, Failure> {
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::new(
                ErrorKind::Protocol,
                format!("`{}` is no path of an address", shown(path)),
            ));
        }
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
        Ok(Self { https: self.https, authority: self.authority.clone(), path })
    }

    /// The same with one more `key=value`, whose value is encoded.
    pub(super) fn with_query(&self, key: &str, value: &str) -> Self {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        Self { path: format!("{}{separator}{key}={}", self.path, encode(value)), ..self.clone() }
    }

    pub(super) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.authority == other.authority
    }

    /// Host and port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The whole address, to be sent and not to be shown.
    pub(super) fn to_request(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.path)
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{}", self.scheme(), tame(&self.authority), tame(path))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Encodes what is not unreserved, RFC 3986 section 2.3.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Whether it is a host, by name or address, and a port at most. What stands
/// before an `@` would be sent as credentials.
fn is_authority(text: &str) -> bool {
    let (host, rest) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, rest)) => {
            let is_address = address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
            (if is_address { address } else { "" }, rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            (if is_name { host } else { "" }, rest)
        }
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    !host.is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// An address as it may be shown: without query and user.
fn shown(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
    match text.rsplit_once('@') {
        Some((_, host)) => tame(&format!("…@{host}")),
        None => tame(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined() {
        let base = Url::parse("https://R.io:443/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, expected) in [
            ("/v2/u?_state=a", "https://r.io/v2/u?_state=a"),
            ("http://other:80/b", "http://other/b"),
            ("//other/b", "https://other/b"),
            ("next", "https://r.io/v2/a/blobs/uploads/next"),
            ("https://other", "https://other/"),
            ("http://[::1]:5000/b", "http://[::1]:5000/b"),
        ] {
            assert_eq!(base.join(location).unwrap().to_request(), expected, "{location}");
        }
        assert_eq!(
            base.with_query("d", "a:b&c").to_request(),
            "https://r.io/v2/a/blobs/uploads/?x=1&d=a%3Ab%26c"
        );
    }

    #[test]
    fn addresses_that_hide_something_are_refused() {
        let base = Url::root(true, "r.io");
        for location in [
            "https://user:secret@r.io/",
            "ftp://r.io/",
            "https:///x",
            "//:443",
            // The port that is left out where it is the usual one, twice.
            "//.:.::443:443",
            "https://r.io:443:443/",
            "https://[::1/",
            "https://:8443/x",
            "/a b",
            "/a\r\nX: y",
            "javascript:1",
            "https://ü/",
        ] {
            let failure = base.join(location).unwrap_err();
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
    }

    #[test]
    fn people_do_not_see_queries() {
        let url = Url::parse("https://r.io/blob?X-Signature=secret").unwrap();
        assert_eq!(
            (url.to_string(), format!("{url:?}")),
            ("https://r.io/blob".into(), "https://r.io/blob".into())
        );
    }
}
