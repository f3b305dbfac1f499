//! The path of a request below `/v2`.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// Parts that a path may have; a longer one is none of the protocol's.
pub const MOST_PARTS: usize = 6;

/// The parts of a path behind `/v2`; `None` for too many, and for other paths.
/// A slash at the end changes nothing.
pub fn split<'p, 'b>(path: &'p str, parts: &'b mut [&'p str; MOST_PARTS]) -> Option<&'b [&'p str]> {
    let rest = path.strip_prefix("/v2")?.trim_matches('/');
    if rest.is_empty() {
        return Some(&[]);
    }
    let mut count = 0;
    for part in rest.split('/') {
        *parts.get_mut(count)? = part;
        count += 1;
    }
    Some(&parts[..count])
}

/// A part of a path with its escapes resolved.
///
/// # Errors
/// [`Error::Malformed`] for bytes that are not UTF-8.
pub fn decoded(part: &str) -> Result<Cow<'_, str>> {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
    decoded.map_err(|_| Error::Malformed(format!("`{part}` in the path is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_without_what_surrounds_them() {
        let split = |path: &str| {
            split(path, &mut [""; MOST_PARTS]).map(<[&str]>::to_vec).map(|parts| parts.join("|"))
        };
        assert_eq!(split("/v2").as_deref(), Some(""));
        assert_eq!(split("/v2/").as_deref(), Some(""));
        assert_eq!(split("/v2/models/a%2Fb/infer/").as_deref(), Some("models|a%2Fb|infer"));
        assert_eq!(split("/v2/models//infer").as_deref(), Some("models||infer"));
        assert_eq!(split("/v2/1/2/3/4/5/6/7"), None);
    }

    #[test]
    fn escapes_stand_for_text() {
        assert_eq!(decoded("a%2Fb").unwrap(), "a/b");
        assert_eq!(decoded("%C3%BC%").unwrap(), "ü%");
        assert!(decoded("a%FF").unwrap_err().to_string().contains("`a%FF` in the path"));
    }
}
