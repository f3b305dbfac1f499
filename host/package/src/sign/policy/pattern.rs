//! Which images a rule names.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::digest::Digest;
use crate::reference::Reference;

/// The port of registries where none is written.
const USUAL_PORT: u16 = 443;
/// Hosts that are one registry.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What stands behind `reference =` in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `*`
    All,
    /// What begins so, up to and with a slash.
    Prefix(String),
    /// Every image of a repository.
    Repository(String),
    Tag(String, String),
    Digest(String, Digest),
}

impl Pattern {
    /// Whether this names the image that was asked for as `reference` and for
    /// which the digests `alike` stand.
    pub(super) fn names(&self, reference: &Reference, alike: &[Digest]) -> bool {
        let name = name(reference);
        match self {
            Pattern::All => true,
            Pattern::Prefix(prefix) => name.starts_with(prefix.as_str()),
            Pattern::Repository(repository) => name == *repository,
            Pattern::Tag(repository, tag) => {
                name == *repository && reference.digest().is_none() && reference.tag() == Some(tag)
            }
            Pattern::Digest(repository, named) => name == *repository && alike.contains(named),
        }
    }

    /// How specific this is; of patterns that name the same image, no two have
    /// the same rank.
    pub(super) fn rank(&self, alike: &[Digest]) -> (u8, usize) {
        match self {
            Pattern::All => (0, 0),
            Pattern::Prefix(prefix) => (1, prefix.len()),
            Pattern::Repository(_) => (2, 0),
            Pattern::Tag(..) => (3, 0),
            // The first of the digests goes before the others.
            Pattern::Digest(_, named) => (4, alike.iter().rev().position(|one| one == named).unwrap_or(0)),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Pattern::All);
        }
        if let Some(prefix) = text.strip_suffix("/*") {
            // `x` stands for any repository below the prefix.
            let below: Reference = format!("{prefix}/x").parse().map_err(|_| {
                "what stands before `/*` is no registry and no part of a repository's name".to_owned()
            })?;
            let name = name(&below);
            return Ok(Pattern::Prefix(name[..name.len() - 1].to_owned()));
        }
        if text.contains('*') {
            return Err("`*` stands alone, or for a whole rest, behind a slash: `team/*`".to_owned());
        }
        let reference: Reference =
            text.parse().map_err(|error: crate::InvalidReference| error.to_string())?;
        let name = name(&reference);
        // A reference without a tag means the tag `latest`, a rule every one.
        let has_tag = text.rsplit('/').next().is_some_and(|last| last.contains(':'));
        Ok(match (reference.digest(), reference.tag()) {
            (Some(digest), None) => Pattern::Digest(name, *digest),
            (Some(_), Some(_)) => return Err("it has a tag and a digest; one of them is enough".to_owned()),
            (None, Some(tag)) if has_tag => Pattern::Tag(name, tag.to_owned()),
            (None, _) => Pattern::Repository(name),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::All => f.write_str("*"),
            Pattern::Prefix(prefix) => write!(f, "{prefix}*"),
            Pattern::Repository(repository) => f.write_str(repository),
            Pattern::Tag(repository, tag) => write!(f, "{repository}:{tag}"),
            Pattern::Digest(repository, digest) => write!(f, "{repository}@{digest}"),
        }
    }
}

/// Registry and repository, with one spelling for each registry, so that
/// another spelling does not lead past a rule.
fn name(reference: &Reference) -> String {
    match reference.registry() {
        Some(registry) => format!("{}/{}", host(registry), reference.repository()),
        None => reference.repository().to_owned(),
    }
}

/// Whether a signed name is the repository of a reference.
pub(super) fn same_repository(signed: &str, reference: &Reference) -> bool {
    signed.parse::<Reference>().is_ok_and(|signed| name(&signed) == name(reference))
}

fn host(registry: &str) -> String {
    let registry = registry.to_ascii_lowercase();
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()),
        _ => (registry.as_str(), None),
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => {
            address.parse::<Ipv6Addr>().map_or(host.to_owned(), |address| format!("[{address}]"))
        }
        None => host.to_owned(),
    };
    let host = if DOCKER_HUB.contains(&host.as_str()) { DOCKER_HUB[0].to_owned() } else { host };
    match port {
        Some(port) if port != USUAL_PORT => format!("{host}:{port}"),
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pattern: &str, reference: &str) -> bool {
        let pattern: Pattern = pattern.parse().unwrap();
        pattern.names(&reference.parse().unwrap(), &[Digest::of(b"x")])
    }

    #[test]
    fn patterns_name_what_they_say() {
        let digest = Digest::of(b"x");
        for (pattern, reference) in [
            ("*", "a"),
            ("*", "r.io/a/b:1"),
            ("r.io/*", "r.io/a"),
            ("r.io/*", "r.io/a/b:1"),
            ("r.io/a/*", "r.io/a/b"),
            ("team/*", "team/b"),
            ("r.io/a", "r.io/a"),
            ("r.io/a", "r.io/a:1"),
            ("a", "a:1"),
            ("r.io:5000/a:1", "r.io:5000/a:1"),
            ("r.io:5000/a", "r.io:5000/a:2"),
            ("a:latest", "a"),
            ("[::1]:5000/a", "[0:0::1]:5000/a"),
        ] {
            assert!(named(pattern, reference), "{pattern} names {reference}");
        }
        assert!(named("r.io/a", &format!("r.io/a@{digest}")));
        assert!(named(&format!("r.io/a@{digest}"), "r.io/a:1"));
        for (pattern, reference) in [
            ("r.io/*", "r.iox/a"),
            ("r.io/*", "s.io/a"),
            ("r.io/a/*", "r.io/a"),
            ("r.io/a/*", "r.io/ab/c"),
            ("team/*", "r.io/team/b"),
            ("r.io/a", "r.io/a/b"),
            ("r.io/a", "r.io:5000/a"),
            ("a", "r.io/a"),
            ("a:1", "a:2"),
            ("a:1", "a"),
        ] {
            assert!(!named(pattern, reference), "{pattern} does not name {reference}");
        }
        assert!(!named(&format!("a@{}", Digest::of(b"y")), "a"));
    }

    #[test]
    fn whoever_names_a_digest_does_not_choose_the_rule_by_a_tag() {
        let both = format!("a:1@{}", Digest::of(b"x"));
        assert!(!named("a:1", &both));
        assert!(named("a", &both));
    }

    #[test]
    fn another_spelling_of_the_registry_leads_past_no_rule() {
        for spelling in ["r.io/a", "R.io/a", "r.io:443/a", "r.IO:0443/a"] {
            assert!(named("r.io/*", spelling) && named("R.IO/a", spelling), "{spelling}");
        }
        assert!(named("docker.io/team/*", "index.docker.io/team/a"));
        assert!(named("registry-1.docker.io/team/*", "docker.io:443/team/a"));
    }

    #[test]
    fn the_more_specific_pattern_ranks_higher() {
        let digest = Digest::of(b"x");
        let rising = ["*", "r.io/*", "r.io/a/*", "r.io/a/b", "r.io/a/b:1", &format!("r.io/a/b@{digest}")];
        let ranks: Vec<_> =
            rising.iter().map(|text| text.parse::<Pattern>().unwrap().rank(&[digest])).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    }

    #[test]
    fn other_patterns_are_refused() {
        for text in ["", "**", "*/a", "r.io*", "r.io/a*", "r.io/*/b", "/*", "A", "A/*", "r.io/a:*", "a b"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
        assert!(format!("a:1@{}", Digest::of(b"x")).parse::<Pattern>().is_err());
    }
}
