//! The policy: which images need whose signature before anything of them is
//! loaded. A file that people write:
//!
//! ```toml
//! default = "refuse"                       # what no rule names: "accept" or "refuse"
//! local = "accept"                         # folders and files, which have no name; "accept" if left out
//!
//! [[rule]]
//! reference = "registry.example.com/team/*"
//! require = "signature"                    # or "nothing", or "refuse"
//! keys = ["team.pub", "ci.pub"]            # beside this file; any of them suffices,
//! min-signatures = 2                       # or so many different ones
//! match-name = true                        # signed for this repository; if left out, for any
//! ```
//!
//! A key that signs images of several repositories lets one be passed off as
//! another, unless `match-name` compares the name that was signed. It does not
//! fit images that are mirrored under another name than they were signed for.
//!
//! The most specific rule that names an image holds, wherever it stands in the
//! file: one with a digest before one with a tag, a repository, a longer
//! prefix, a shorter one, and `*`.
//!
//! Whoever names an image by digest chooses its tag freely, so rules with a
//! tag hold only where the tag was asked for. A rule with the digest of an index
//! names the image that was chosen from it too; the image's own goes before it.
//! The names of registries are
//! compared as hosts: in any case, and with the port 443 as without one.

mod parse;
mod pattern;

use std::fmt;
use std::path::{Path, PathBuf};

use super::Result;
use super::error::Error;
use super::key::PublicKey;
use super::verify::{Verified, verify_named};
use crate::digest::Digest;
use crate::manifest::{self, Place};
use crate::reference::Reference;
use crate::referrer;
use crate::store::Store;
use pattern::Pattern;

/// Which images may be loaded.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `None` where there is no policy, and everything may.
    file: Option<PathBuf>,
    default: Answer,
    local: Answer,
    rules: Vec<Rule>,
}

/// Why something may be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyDecision {
    /// There is no policy.
    NoPolicy,
    /// No rule names it, and the file lets such things pass.
    Default { file: PathBuf },
    /// The rule asks for nothing.
    Unsigned { rule: String, place: Place },
    /// It has the signatures that the rule asks for.
    Signed { rule: String, place: Place, signers: Vec<Signer>, verified: Verified },
}

/// A key that signed, as a policy knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    pub file: PathBuf,
    /// [`PublicKey::id`]
    pub id: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accept,
    Refuse,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    place: Place,
    require: Require,
}

#[derive(Debug, Clone)]
enum Require {
    Nothing,
    Refuse,
    Signature { keys: Vec<TrustedKey>, least: usize, match_name: bool },
}

#[derive(Debug, Clone)]
struct TrustedKey {
    file: PathBuf,
    key: PublicKey,
}

impl Policy {
    /// Reads a policy and the keys that it names.
    ///
    /// # Errors
    /// The first problem in the file with its line and column; a key that
    /// cannot be read is one.
    pub fn load(path: &Path) -> Result<Self> {
        let unread = |source| Error::Policy(manifest::Error::Read { path: path.to_owned(), source });
        Self::parse(&std::fs::read_to_string(path).map_err(unread)?, path)
    }

    /// Reads the text of a policy; the keys that it names are beside `path`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        parse::parse(text, path).map_err(Error::Policy)
    }

    /// No policy: everything may be loaded.
    pub fn none() -> Self {
        Self { file: None, default: Answer::Accept, local: Answer::Accept, rules: Vec::new() }
    }

    /// Whether the image `digest` may be loaded under the name `reference`,
    /// by the signatures that the store has of it.
    ///
    /// # Errors
    /// [`Error::Refused`] when it may not, with the rule, what is missing and
    /// what helps; or when the store cannot be read.
    pub fn check(&self, store: &Store, reference: &Reference, digest: &Digest) -> Result<PolicyDecision> {
        let Some(file) = &self.file else { return Ok(PolicyDecision::NoPolicy) };
        let alike = referrer::alike(store, digest)?;
        let rules = self.rules.iter().filter(|rule| rule.pattern.names(reference, &alike));
        match rules.max_by_key(|rule| rule.pattern.rank(&alike)) {
            Some(rule) => rule.check(store, reference, digest),
            None if self.default == Answer::Accept => Ok(PolicyDecision::Default { file: file.clone() }),
            None => Err(Error::Refused {
                what: reference.to_string(),
                because: format!("no rule of `{}` names it", file.display()),
                hint: "add a `[[rule]]` for it that says whose signature it needs".to_owned(),
            }),
        }
    }

    /// Whether something without a name, a folder or a file, may be loaded;
    /// `what` is how messages call it.
    ///
    /// # Errors
    /// [`Error::Refused`] when it may not.
    pub fn check_local(&self, what: &str) -> Result<PolicyDecision> {
        match &self.file {
            None => Ok(PolicyDecision::NoPolicy),
            Some(file) if self.local == Answer::Accept => Ok(PolicyDecision::Default { file: file.clone() }),
            Some(file) => Err(Error::Refused {
                what: what.to_owned(),
                because: format!("`{}` says `local = \"refuse\"`", file.display()),
                hint: "pack and sign it, then name the image".to_owned(),
            }),
        }
    }
}

impl Rule {
    fn check(&self, store: &Store, reference: &Reference, digest: &Digest) -> Result<PolicyDecision> {
        let (rule, place) = (self.pattern.to_string(), self.place.clone());
        let refused = |because: String, hint: String| Error::Refused {
            what: reference.to_string(),
            because: format!("{because}, by the rule `{}` ({})", self.pattern, self.place),
            hint,
        };
        match &self.require {
            Require::Nothing => Ok(PolicyDecision::Unsigned { rule, place }),
            Require::Refuse => Err(refused(
                "the policy refuses it".to_owned(),
                "take another image, or change the rule".to_owned(),
            )),
            Require::Signature { keys, least, match_name } => {
                let public: Vec<PublicKey> = keys.iter().map(|trusted| trusted.key.clone()).collect();
                let is_meant = |signed: &str| !match_name || pattern::same_repository(signed, reference);
                let missing = match verify_named(store, digest, &public, is_meant) {
                    Ok(verified) if verified.keys.len() >= *least => {
                        let signers = signers(keys, &verified);
                        return Ok(PolicyDecision::Signed { rule, place, signers, verified });
                    }
                    Ok(Verified { keys, .. }) => {
                        format!("{digest} is signed by {} of the {least} keys that it needs", keys.len())
                    }
                    Err(
                        error @ (Error::Unsigned { .. } | Error::OtherKeys { .. } | Error::Damaged { .. }),
                    ) => error.to_string(),
                    Err(error) => return Err(error),
                };
                Err(refused(missing, advice(keys)))
            }
        }
    }
}

impl fmt::Display for PolicyDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyDecision::NoPolicy => f.write_str("there is no policy"),
            PolicyDecision::Default { file } => write!(f, "`{}` lets it pass", file.display()),
            PolicyDecision::Unsigned { rule, place } => {
                write!(f, "the rule `{rule}` ({place}) asks for no signature")
            }
            PolicyDecision::Signed { rule, place, signers, .. } => {
                let files: Vec<String> =
                    signers.iter().map(|signer| format!("`{}`", signer.file.display())).collect();
                write!(f, "signed by {}, as the rule `{rule}` ({place}) asks", files.join(" and "))
            }
        }
    }
}

fn signers(keys: &[TrustedKey], verified: &Verified) -> Vec<Signer> {
    let signers = keys.iter().map(|trusted| Signer { file: trusted.file.clone(), id: trusted.key.id() });
    signers.filter(|signer| verified.keys.contains(&signer.id)).collect()
}

fn advice(keys: &[TrustedKey]) -> String {
    let files: Vec<String> = keys.iter().map(|trusted| format!("`{}`", trusted.file.display())).collect();
    format!("`samara sign` signs it with the private key of {}", files.join(" or "))
}

#[cfg(test)]
mod tests;
