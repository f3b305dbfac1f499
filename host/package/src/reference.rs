//! The name of an image: `registry/repository:tag@digest`.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::text::tame;

const DEFAULT_TAG: &str = "latest";
const LONGEST_REPOSITORY: usize = 255;
/// Of a host name (RFC 1035) and a port.
const LONGEST_REGISTRY: usize = 253 + ":65535".len();
const LONGEST_TAG: usize = 128;

/// The name of an image. Without a registry it names one of the local store
/// only: there is no default registry that a name could silently go to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no image reference: {reason}")]
pub struct InvalidReference {
    pub text: String,
    pub reason: &'static str,
}

impl Reference {
    /// Host and port of the registry, e.g. `localhost:5000`.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The repository in the registry, e.g. `team/digits`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where neither a tag nor a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, e.g. `localhost:5000/team/digits`.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The same repository under another tag.
    ///
    /// # Errors
    /// When `tag` is none.
    pub fn with_tag(&self, tag: &str) -> Result<Self, InvalidReference> {
        check_tag(tag).map_err(|reason| InvalidReference { text: tame(tag), reason })?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository, exactly this image.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The reference without a digest, where it also has a tag.
    pub fn without_digest(&self) -> Self {
        match self.tag {
            Some(_) => Self { digest: None, ..self.clone() },
            None => self.clone(),
        }
    }
}

impl fmt::Display for Reference {
    /// The whole name, with the tag that was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let refuse = |reason| InvalidReference { text: tame(text), reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| {
                    refuse("behind `@` stands `sha256:` and 64 lower-case hexadecimal digits")
                })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (registry, rest) = match rest.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, rest),
        };
        if let Some(registry) = registry {
            check_registry(registry).map_err(refuse)?;
        }
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            // Two texts for one image are equal references.
            None => (rest, digest.is_none().then_some(DEFAULT_TAG)),
        };
        check_repository(repository).map_err(refuse)?;
        tag.map_or(Ok(()), check_tag).map_err(refuse)?;
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// Whether the part before the first slash is a host, as Docker tells it.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    const REASON: &str = "the registry must be a host name or address, with `:` and a port if need be";
    if registry.len() > LONGEST_REGISTRY {
        return Err("the registry's name is longer than that of a host can be");
    }
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(REASON)?;
            let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
            (
                if is_address { "v6" } else { "" },
                port.strip_prefix(':').map_or((!port.is_empty()).then_some(""), Some),
            )
        }
        None => registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (host.split('.').all(is_label) && port_fits).then_some(()).ok_or(REASON)
}

/// The grammar of the OCI distribution specification 1.1.
fn check_repository(repository: &str) -> Result<(), &'static str> {
    const REASON: &str =
        "the repository must be lower-case letters and digits, joined by `.`, `_`, `__`, `-` or `/`";
    if repository.len() > LONGEST_REPOSITORY {
        return Err("the repository's name is longer than 255 bytes");
    }
    let is_word_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_component = |component: &str| {
        let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let separated = separators.filter(|separator| !separator.is_empty()).all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        });
        separated
            && component.bytes().next().is_some_and(is_word_byte)
            && component.bytes().last().is_some_and(is_word_byte)
    };
    repository.split('/').all(is_component).then_some(()).ok_or(REASON)
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let is_word_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word_byte)
        && tag.bytes().all(|byte| is_word_byte(byte) || byte == b'.' || byte == b'-');
    fits.then_some(()).ok_or("the tag must be up to 128 letters, digits, `_`, `.` or `-`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<String>) {
        let reference: Reference = text.parse().unwrap();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (owned(reference.registry()), reference.repository().to_owned(), owned(reference.tag()))
    }

    fn expected(
        registry: Option<&str>,
        repository: &str,
        tag: Option<&str>,
    ) -> (Option<String>, String, Option<String>) {
        (registry.map(str::to_owned), repository.to_owned(), tag.map(str::to_owned))
    }

    #[test]
    fn names_have_a_registry_where_one_is_written() {
        assert_eq!(parts("digits"), expected(None, "digits", Some("latest")));
        assert_eq!(parts("team/digits:1"), expected(None, "team/digits", Some("1")));
        assert_eq!(parts("localhost/digits"), expected(Some("localhost"), "digits", Some("latest")));
        assert_eq!(parts("localhost:5000/a/b:v1.2"), expected(Some("localhost:5000"), "a/b", Some("v1.2")));
        assert_eq!(parts("ghcr.io/x/y__z-a.b"), expected(Some("ghcr.io"), "x/y__z-a.b", Some("latest")));
        assert_eq!(parts("[::1]:5000/x:1"), expected(Some("[::1]:5000"), "x", Some("1")));
    }

    #[test]
    fn the_usual_tag_may_be_left_out() {
        let reference: Reference = "r.io/a".parse().unwrap();
        assert_eq!(reference, "r.io/a:latest".parse().unwrap());
        assert_eq!(reference.without_digest(), reference);
    }

    #[test]
    fn a_digest_names_one_image() {
        let digest = Digest::of(b"x");
        let reference: Reference = format!("r.io/a@{digest}").parse().unwrap();
        assert_eq!((reference.tag(), reference.digest()), (None, Some(&digest)));
        assert_eq!(reference.to_string(), format!("r.io/a@{digest}"));
        let both: Reference = format!("r.io/a:1@{digest}").parse().unwrap();
        assert_eq!((both.tag(), both.digest()), (Some("1"), Some(&digest)));
        assert_eq!(both.without_digest().to_string(), "r.io/a:1");
        assert_eq!("a".parse::<Reference>().unwrap().with_digest(digest).to_string(), format!("a@{digest}"));
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "a".repeat(256);
        let texts = [
            "",
            ":",
            "a:",
            ":1",
            "A",
            "a//b",
            "a/",
            "/a",
            "../a",
            "a/../b",
            "a___b",
            "a..b",
            "-a",
            "a b",
            "a:b c",
            "a@sha256:00",
            "a@",
            "r.io:x/a",
            "r.io:0/a",
            "r..io/a",
            "[::1/a",
            "[x]/a",
            "[::1]5/a",
            "a:.x",
            &long,
            &format!("{}io/a", "r.".repeat(130)),
        ];
        for text in texts {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_text_makes_no_long_message() {
        let error = "ä".repeat(100_000).parse::<Reference>().unwrap_err();
        assert!(error.to_string().len() < 1000);
    }
}
