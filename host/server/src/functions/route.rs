//! The paths below which HTTP functions answer.

use super::Served;
use crate::error::{Error, Result};

/// Below these the server answers itself; `/` is its page.
const TAKEN: [&str; 5] = ["/v2", "/api", "/metrics", "/page", "/openapi.json"];

/// Returns a route without the slash at its end.
///
/// # Errors
/// Words for one that no request could have, or that the server needs.
pub(super) fn checked(route: &str) -> Result<String, String> {
    let path = route.trim_end_matches('/');
    let is_path = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte))
        && !path.contains("//")
        && (path.is_empty() || path.starts_with('/'));
    if route.is_empty() || !is_path {
        return Err(format!(
            "{route:?} is no path below which it could answer\nhint: give it one such as `/hello`"
        ));
    }
    let taken =
        if path.is_empty() { Some("/") } else { TAKEN.into_iter().find(|taken| is_below(path, taken)) };
    match taken {
        None => Ok(path.to_owned()),
        Some(taken) => Err(format!(
            "it cannot answer at `{route}`: the server itself answers at `{taken}`\nhint: give it another route, such as `/hello`"
        )),
    }
}

/// Whether a path is a route's, or below it.
pub(super) fn is_below(path: &str, route: &str) -> bool {
    path.strip_prefix(route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses a function whose route is one of `others` under another name;
/// versions of one name may share theirs.
///
/// # Errors
/// [`Error::Load`] naming both.
pub(super) fn check_clash<'s>(new: &Served, mut others: impl Iterator<Item = &'s Served>) -> Result<()> {
    let is_same = |other: &&Served| other.is_http() && other.name != new.name && other.route == new.route;
    match others.find(is_same).filter(|_| new.is_http()) {
        None => Ok(()),
        Some(other) => Err(Error::Load {
            function: new.name.clone(),
            reason: format!(
                "`{}` answers at `{}` already\nhint: give one of them another route",
                other.name, new.route
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_path_that_the_server_does_not_need() {
        assert_eq!(checked("/hello").as_deref(), Ok("/hello"));
        assert_eq!(checked("/hello/you//").as_deref(), Ok("/hello/you"));
        assert_eq!(checked("/v2x/metrics").as_deref(), Ok("/v2x/metrics"));
        for taken in
            ["/", "//", "/v2", "/v2/", "/v2/models/x", "/api/hello", "/metrics", "/page", "/openapi.json"]
        {
            assert!(checked(taken).unwrap_err().contains("the server itself answers"), "{taken}");
        }
        for wrong in ["", "hello", "/a b", "/a?b", "/a#b", "/a//b", "/ü", "/a\nb"] {
            assert!(checked(wrong).unwrap_err().contains("is no path"), "{wrong}");
        }
    }

    #[test]
    fn a_path_is_below_a_route_by_whole_parts() {
        assert!(is_below("/a", "/a") && is_below("/a/b", "/a"));
        assert!(!is_below("/ab", "/a") && !is_below("/", "/a"));
    }
}
