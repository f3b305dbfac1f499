//! How a registry says which login it wants: `WWW-Authenticate`, RFC 9110
//! section 11.6.1.

use std::collections::BTreeMap;

/// One way in that a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Lower case, e.g. `bearer`.
    pub(super) scheme: String,
    parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// A parameter by its lower-case name.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// The challenges of one header, in their order. What makes no sense is left out.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    for item in items(header) {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (item, None),
        };
        let (scheme, name) = match (name.split_once(char::is_whitespace), value) {
            (Some((scheme, name)), _) => (Some(scheme), name.trim()),
            (None, None) => (Some(name), ""),
            (None, Some(_)) => (None, name),
        };
        if let Some(scheme) = scheme {
            challenges.push(Challenge { scheme: scheme.to_ascii_lowercase(), parameters: BTreeMap::new() });
        }
        if let (Some(challenge), Some(value)) = (challenges.last_mut(), value) {
            challenge.parameters.insert(name.to_ascii_lowercase(), unquote(value));
        }
    }
    challenges
}

/// What stands between commas that are not in quotes.
fn items(header: &str) -> Vec<&str> {
    let (mut items, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (position, c) in header.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(&header[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    items.push(&header[start..]);
    items.into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => text.extend(characters.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let header = r#"Bearer realm="https://a.io/token",service="r.io", scope="repository:a/b:pull,push", Basic realm="x \"y\"""#;
        let challenges = parse(header);
        assert_eq!(challenges.len(), 2);
        assert_eq!(challenges[0].scheme, "bearer");
        assert_eq!(challenges[0].parameter("realm"), Some("https://a.io/token"));
        assert_eq!(challenges[0].parameter("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(challenges[1].parameter("realm"), Some("x \"y\""));
        assert_eq!(parse("Basic")[0].scheme, "basic");
        assert_eq!(parse("Bearer realm=https://a.io/t , service = r")[0].parameter("service"), Some("r"));
    }

    #[test]
    fn nonsense_is_no_challenge() {
        for header in ["", ",,,", "=", "realm=\"x", "\"", "a=b,=,\\", "\u{fffd}\"\\"] {
            for challenge in parse(header) {
                assert!(challenge.parameter("service").is_none(), "{header}");
            }
        }
    }
}
