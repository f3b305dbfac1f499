//! The URL of a server of gRPC, as a user gives it.

use http::Uri;

use crate::commands::bench::connect::Address;
use crate::commands::bench::rest::url::decoded;

const PLAIN: &str = "grpc";
const TLS: &str = "grpcs";

/// Whether a URL is one of gRPC.
pub(crate) fn is_meant(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| matches!(scheme, PLAIN | TLS))
}

/// Where a server is, and which function of it is meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GrpcUrl {
    pub address: Address,
    pub function: Option<String>,
    pub version: Option<String>,
}

impl GrpcUrl {
    /// Takes `grpc(s)://HOST[:PORT][/NAME[/VERSION]]` apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("`{text}` is no URL: {error}"))?;
        let address = Address::of(&uri, uri.scheme_str() == Some(TLS), text)?;
        let path = uri.path().trim_matches('/');
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let wrong = || format!("the path of `{text}` is not that of a function, `/NAME[/VERSION]`");
        let mut next = || parts.next().map(|part| decoded(part).ok_or_else(wrong)).transpose();
        let (function, version, more) = (next()?, next()?, next()?);
        match more {
            None => Ok(Self { address, function, version }),
            Some(_) => Err(wrong()),
        }
    }

    /// The server's URL, without a function.
    pub(super) fn server(&self) -> String {
        let scheme = if self.address.is_tls { TLS } else { PLAIN };
        format!("{scheme}://{}", self.address.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_servers_and_functions() {
        let parsed = |text: &str| {
            let url = GrpcUrl::parse(text).unwrap();
            (url.server(), url.address.port(), url.function, url.version)
        };
        let some = |text: &str| Some(text.to_owned());
        let server = || "grpc://h:8001".to_owned();
        assert_eq!(parsed("grpc://h:8001"), (server(), 8001, None, None));
        assert_eq!(parsed("grpc://h:8001/"), (server(), 8001, None, None));
        assert_eq!(parsed("grpc://h:8001/a%2Fb"), (server(), 8001, some("a/b"), None));
        let both = ("grpcs://[::1]".to_owned(), 443, some("m"), some("3"));
        assert_eq!(parsed("grpcs://[::1]/m/3/"), both);
    }

    #[test]
    fn other_urls_are_refused() {
        for (text, words) in [
            ("grpc://", "is no URL"),
            ("grpc://user@h", "carries no credentials"),
            ("grpc://h/m/1/infer", "is not that of a function"),
            ("grpc://h/%zz", "is not that of a function"),
        ] {
            let refused = GrpcUrl::parse(text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
        assert!(is_meant("grpc://h") && is_meant("grpcs://h"));
        assert!(!is_meant("http://h") && !is_meant("grpc:h"));
    }
}
