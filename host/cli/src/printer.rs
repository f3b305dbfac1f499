//! What is said, and where: data to standard output, everything else to
//! standard error.

use std::fmt::Display;
use std::io::{self, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::error::explain;
use crate::progress::Spinner;
use crate::settings::{Settings, Verbosity};

/// Emphasis; it never carries meaning alone.
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// Writes for people and programs.
#[derive(Debug)]
pub(crate) struct Printer {
    verbosity: Verbosity,
    color: anstream::ColorChoice,
    json: bool,
}

/// Nobody reads standard output any more.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct StdoutClosed;

impl Printer {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { verbosity: settings.verbosity, color: settings.color, json: settings.is_json() }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Writes data, styled or not, to standard output.
    ///
    /// # Errors
    /// [`StdoutClosed`], or why it cannot be written.
    pub(crate) fn data(&self, text: &str) -> anyhow::Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.color);
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
            Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
        }
    }

    /// Writes a value to standard output as indented JSON.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub(crate) fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.data(&text)
    }

    /// Writes a value to standard output as JSON on one line.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub(crate) fn json_line(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(value)?;
        text.push('\n');
        self.data(&text)
    }

    /// Something done, e.g. `Building digits`.
    pub(crate) fn step(&self, verb: &str, what: impl Display) {
        self.say(Verbosity::Normal, format_args!("{GREEN}{verb:>10}{GREEN:#} {what}\n"));
    }

    pub(crate) fn note(&self, message: impl Display) {
        self.say(Verbosity::Normal, format_args!("{CYAN}note{CYAN:#}: {message}\n"));
    }

    pub(crate) fn hint(&self, message: impl Display) {
        self.say(Verbosity::Normal, format_args!("{CYAN}hint{CYAN:#}: {message}\n"));
    }

    pub(crate) fn warn(&self, message: impl Display) {
        self.say(Verbosity::Normal, format_args!("{YELLOW}warning{YELLOW:#}: {message}\n"));
    }

    /// What only `--verbose` shows.
    pub(crate) fn detail(&self, message: impl Display) {
        self.say(Verbosity::Verbose, format_args!("{DIM}{message}{DIM:#}\n"));
    }

    /// Plain lines for people, which `--quiet` leaves away.
    pub(crate) fn text(&self, message: impl Display) {
        self.say(Verbosity::Normal, format_args!("{message}\n"));
    }

    pub(crate) fn error(&self, error: &anyhow::Error) {
        let (lines, hints) = explain(error);
        let mut text = String::new();
        for (index, line) in lines.iter().enumerate() {
            match index {
                0 => text.push_str(&format!("{RED}error{RED:#}: {line}\n")),
                _ => text.push_str(&format!("  caused by: {}\n", line.replace('\n', "\n    "))),
            }
        }
        for hint in hints {
            text.push_str(&format!("{CYAN}hint{CYAN:#}: {hint}\n"));
        }
        self.say(Verbosity::Quiet, text);
    }

    /// Shows that something long goes on, until the spinner is dropped; on a
    /// terminal only.
    pub(crate) fn spinner(&self, what: impl Into<String>) -> Spinner {
        match self.verbosity {
            Verbosity::Normal => Spinner::start(what.into()),
            Verbosity::Quiet | Verbosity::Verbose => Spinner::none(),
        }
    }

    fn say(&self, from: Verbosity, text: impl Display) {
        if self.verbosity >= from {
            let mut err = AutoStream::new(io::stderr().lock(), self.color);
            // A closed standard error leaves nobody to tell.
            let _ = err.write_all(text.to_string().as_bytes());
        }
    }
}
