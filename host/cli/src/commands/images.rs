//! `samara images`: what the store has.

use std::cmp::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use samara_package::store::{Tagged, Version};
use samara_package::{Digest, Store};
use serde_json::{Value, json};

use crate::args::ImagesArgs;
use crate::error::Outcome;
use crate::images;
use crate::output::size_text;
use crate::printer::{BOLD, DIM, Printer};
use crate::settings::Settings;

/// A line of the list.
struct Line {
    name: String,
    digest: Digest,
    size: Option<u64>,
    signatures: usize,
    since: u64,
    /// `None` for the version that the name stands for.
    past: Option<Past>,
}

/// What a version that a name does not stand for is to the current one.
#[derive(Clone, Copy)]
enum Past {
    Earlier,
    /// Newer, but the name was rolled back from it.
    RolledBack,
}

pub(crate) fn run(args: &ImagesArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let store = images::store_of(settings)?;
    let tags = store.tags()?;
    let lines: Vec<Line> = tags.iter().flat_map(|tagged| lines(&store, tagged, args.history)).collect();
    if printer.is_json() {
        printer.json(&lines.iter().map(Line::as_json).collect::<Vec<Value>>())?;
        return Ok(Outcome::Done);
    }
    if lines.is_empty() {
        printer.note("there are no images yet; `samara pack DIR` makes one, `samara pull REF` fetches one");
        return Ok(Outcome::Done);
    }
    printer.data(&table(&lines))?;
    Ok(Outcome::Done)
}

/// How long ago a time was, in seconds since 1970, for people.
pub(crate) fn age_text(since: u64, now: u64) -> String {
    let seconds = now.saturating_sub(since);
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn lines(store: &Store, tagged: &Tagged, history: bool) -> Vec<Line> {
    let line = |(index, version): (usize, &Version)| Line {
        name: tagged.name.clone(),
        digest: version.digest,
        size: images::size(store, &version.digest),
        signatures: samara_package::sign::signatures(store, &version.digest).map_or(0, |found| found.count()),
        since: version.since,
        past: match index.cmp(&tagged.current) {
            Ordering::Less => Some(Past::Earlier),
            Ordering::Equal => None,
            Ordering::Greater => Some(Past::RolledBack),
        },
    };
    let versions = tagged.versions.iter().enumerate().rev();
    versions.filter(|(index, _)| history || *index == tagged.current).map(line).collect()
}

fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).max("IMAGE".len());
    let mut text = format!(
        "{BOLD}{:<width$}  {:<12}  {:>10}  {:<8}  SINCE{BOLD:#}\n",
        "IMAGE", "DIGEST", "SIZE", "SIGNED"
    );
    for line in lines {
        let size = line.size.map_or_else(|| "incomplete".to_owned(), size_text);
        let signed = match line.signatures {
            0 => "no".to_owned(),
            1 => "yes".to_owned(),
            count => format!("{count} times"),
        };
        let row = format!(
            "{:<width$}  {:<12}  {size:>10}  {signed:<8}  {}",
            line.name,
            line.digest.short(),
            age_text(line.since, now())
        );
        match line.past {
            None => text.push_str(&format!("{row}\n")),
            Some(past) => text.push_str(&format!("{DIM}{row}  {}{DIM:#}\n", past.name())),
        }
    }
    text
}

impl Past {
    fn name(self) -> &'static str {
        match self {
            Past::Earlier => "earlier",
            Past::RolledBack => "rolled back",
        }
    }
}

impl Line {
    fn as_json(&self) -> Value {
        json!({
            "image": self.name,
            "digest": self.digest,
            "bytes": self.size,
            "signatures": self.signatures,
            "since": self.since,
            "current": self.past.is_none(),
            "past": self.past.map(Past::name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rounded_down() {
        let age = |seconds: u64| age_text(1_000_000, 1_000_000 + seconds);
        assert_eq!(age(59), "just now");
        assert_eq!(age(60), "1 minute ago");
        assert_eq!(age(7_199), "1 hour ago");
        assert_eq!(age(86_400 * 3), "3 days ago");
        assert_eq!(age_text(10, 5), "just now");
    }
}
