//! What the documents show is what the commands print.

use std::path::PathBuf;

use crate::support::{root, samara};

/// A command that a document shows, and the output that it shows below.
pub(crate) struct Shown {
    pub(crate) command: String,
    pub(crate) output: String,
}

#[test]
fn commands_print_what_the_documents_show() {
    let mut checked = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for shown in shown(&text) {
            // A server runs on; a page that starts one is followed in `serving`.
            if shown.command.ends_with(" &") {
                continue;
            }
            let words = split(&shown.command);
            let Some(("samara", arguments)) =
                words.split_first().map(|(program, rest)| (program.as_str(), rest))
            else {
                continue;
            };
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let printed = samara(&arguments).good();
            assert_eq!(
                printed.trim_end(),
                shown.output.trim_end(),
                "{}: {}",
                document.display(),
                shown.command
            );
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} commands with output were found");
}

/// The front page and the examples' pages.
fn documents() -> Vec<PathBuf> {
    let examples = root().join("examples").read_dir().unwrap().flatten();
    let pages = examples.map(|entry| entry.path().join("README.md")).filter(|page| page.exists());
    std::iter::once(root().join("README.md")).chain(pages).collect()
}

/// Reads the `console` blocks: a line after `$ ` is a command, lines after `> `
/// go on with it, what follows is its output.
pub(crate) fn shown(text: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            found.push(Shown { command: command.to_owned(), output: String::new() });
        } else if let (true, Some(shown)) = (inside, found.last_mut()) {
            let more = line.strip_prefix('>').filter(|_| shown.output.is_empty());
            if let Some(more) = more {
                shown.command.push('\n');
                shown.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                continue;
            }
            shown.output.push_str(line);
            shown.output.push('\n');
        }
    }
    found
}

/// Splits a command line at spaces, quotes respected.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
