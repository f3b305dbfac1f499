//! What is said: words on standard error, data on standard output.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::args::Output;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Report {
    changed: Vec<PathBuf>,
}

/// What became of the restart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Restarted {
    Needed,
    Done,
    NotNeeded,
}

impl Report {
    /// A file that was written or removed.
    pub(crate) fn changed(&mut self, verb: &str, path: impl Into<PathBuf>) {
        let path = path.into();
        say(&format_args!("{verb} {}", path.display()));
        self.changed.push(path);
    }

    /// Ends with the summary.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn end(self, output: Output, restarted: Restarted) -> Result<()> {
        if self.changed.is_empty() {
            say(&"nothing to change");
        }
        if output == Output::Text {
            return Ok(());
        }
        let restart = match restarted {
            Restarted::Needed => "needed",
            Restarted::Done => "done",
            Restarted::NotNeeded => "not-needed",
        };
        let changed: Vec<_> = self.changed.iter().map(|path| path.to_string_lossy()).collect();
        print(&json!({ "changed": changed, "restart": restart }).to_string())
    }
}

/// Says something to people.
pub(crate) fn say(words: &dyn Display) {
    let _ = writeln!(stderr(), "{words}");
}

/// Writes a line of data.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn print(line: &str) -> Result<()> {
    writeln!(stdout(), "{line}").context("cannot write to standard output")
}

/// What is on a node.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) shim: Option<PathBuf>,
    pub(crate) libraries: Vec<PathBuf>,
    pub(crate) configuration: Option<PathBuf>,
    pub(crate) is_restart_due: bool,
}

impl Found {
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn print(&self, output: Output) -> Result<()> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let [shim, configuration] = [&self.shim, &self.configuration].map(|path| path.as_ref().map(text));
        let libraries: Vec<String> = self.libraries.iter().map(text).collect();
        if output == Output::Json {
            let restart = if self.is_restart_due { "needed" } else { "not-needed" };
            let all: Value = json!({
                "shim": shim, "libraries": libraries, "configuration": configuration, "restart": restart,
            });
            return print(&all.to_string());
        }
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        print(&format!("shim: {}", or_none(shim)))?;
        print(&format!("libraries: {}", or_none((!libraries.is_empty()).then(|| libraries.join(", ")))))?;
        print(&format!("runtime in: {}", or_none(configuration)))?;
        print(&format!("restart of containerd: {}", if self.is_restart_due { "due" } else { "not due" }))
    }
}
