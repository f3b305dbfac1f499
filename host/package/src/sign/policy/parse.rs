//! Reads a policy file. Whatever is doubtful in it is an error, never a pass.

use std::collections::BTreeSet;
use std::path::Path;

use super::pattern::Pattern;
use super::{Answer, Policy, Require, Rule, TrustedKey};
use crate::manifest::reader::{Entry, Section, Source};
use crate::manifest::{Error, Problem};
use crate::sign::key::PublicKey;

type Result<T> = std::result::Result<T, Error>;

/// Parses the text of a policy; keys are beside `path`.
pub(super) fn parse(text: &str, path: &Path) -> Result<Policy> {
    let source = Source { text, path };
    let document = source.parse()?;
    let root = Section::root(source, &document, "the policy");
    root.check_keys(&["default", "local", "rule"])?;
    let policy = Policy {
        file: Some(path.to_owned()),
        default: answer(&root.need("default", "what happens to images that no rule names")?)?,
        local: root.get("local").map_or(Ok(Answer::Accept), |entry| answer(&entry))?,
        rules: root
            .sections("rule", "`[[rule]]`")?
            .iter()
            .map(|section| rule(section, path))
            .collect::<Result<_>>()?,
    };
    for (position, rule) in policy.rules.iter().enumerate() {
        if policy.rules[..position].iter().any(|before| before.pattern == rule.pattern) {
            let problem = Problem::Conflict { reason: format!("a second rule for `{}`", rule.pattern) };
            return Err(Error::Invalid { place: rule.place.clone(), problem: Box::new(problem) });
        }
    }
    Ok(policy)
}

fn rule(section: &Section<'_>, policy: &Path) -> Result<Rule> {
    section.check_keys(&["reference", "require", "keys", "min-signatures", "match-name"])?;
    let reference = section.need("reference", "the images that it is about")?;
    let require = section.need("require", "\"signature\", \"nothing\" or \"refuse\"")?;
    let require = match require.string()? {
        "signature" => signature(section, policy)?,
        "nothing" => Require::Nothing,
        "refuse" => Require::Refuse,
        _ => return Err(require.bad("it must be \"signature\", \"nothing\" or \"refuse\"")),
    };
    if !matches!(require, Require::Signature { .. }) {
        for key in ["keys", "min-signatures", "match-name"] {
            if let Some(entry) = section.get(key) {
                let reason = format!("`{key}` has a meaning only with `require = \"signature\"`");
                return Err(entry.error(Problem::Conflict { reason }));
            }
        }
    }
    Ok(Rule { pattern: reference.parsed(str::parse::<Pattern>)?, place: reference.place(), require })
}

fn signature(section: &Section<'_>, policy: &Path) -> Result<Require> {
    let entry = section.need("keys", "the public keys of which one must have signed")?;
    let keys: Vec<TrustedKey> =
        entry.items()?.iter().map(|item| trusted_key(item, policy)).collect::<Result<_>>()?;
    // The same key in two files is one key.
    let different: BTreeSet<_> = keys.iter().map(|trusted| trusted.key.id()).collect();
    if keys.is_empty() {
        return Err(
            entry.bad("without a key no signature could suffice; name one, or `require = \"refuse\"`")
        );
    }
    let least = match section.get("min-signatures") {
        Some(least) => {
            let count = least.small_count()?;
            if count > different.len() {
                return Err(least.bad(format!("there are {} different keys", different.len())));
            }
            count
        }
        None => 1,
    };
    let match_name = section.get("match-name").map_or(Ok(false), |entry| entry.bool())?;
    Ok(Require::Signature { keys, least, match_name })
}

fn trusted_key(entry: &Entry<'_>, policy: &Path) -> Result<TrustedKey> {
    let file = policy.parent().unwrap_or(Path::new("")).join(entry.text()?);
    match PublicKey::from_file(&file) {
        Ok(key) => Ok(TrustedKey { file, key }),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}"));
            Err(entry.bad(format!("{error}{}", cause.unwrap_or_default())))
        }
    }
}

fn answer(entry: &Entry<'_>) -> Result<Answer> {
    match entry.string()? {
        "accept" => Ok(Answer::Accept),
        "refuse" => Ok(Answer::Refuse),
        _ => Err(entry.bad("it must be \"accept\" or \"refuse\"")),
    }
}
