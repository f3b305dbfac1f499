//! Where the words of a guest go: what it prints, and what it logs.

use std::sync::Arc;

/// Where a function's own output goes. A command's goes to the process's own
/// streams, unless it is recorded.
#[derive(Clone, Default)]
pub enum GuestOutput {
    Discard,
    /// Everything to the process's standard error: standard output is for
    /// answers.
    #[default]
    Stderr,
    /// Line by line to a listener.
    Listener(Listener),
}

/// Hears what guests say, on the thread that runs them: it must be quick.
pub type Listener = Arc<dyn Fn(&GuestLine<'_>) + Send + Sync>;

/// A line that a guest printed, or a message that it logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestLine<'a> {
    pub function: &'a str,
    /// The stage that said it; in a function of one stage, that one.
    pub stage: &'a str,
    pub source: LineSource<'a>,
    /// As in [`CallOptions`](crate::CallOptions).
    pub request_id: Option<&'a str>,
    /// Without the line's end. A line longer than 8 KiB comes in pieces, and
    /// what is no UTF-8 is replaced.
    pub text: &'a str,
}

/// How a guest said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineSource<'a> {
    Stdout,
    Stderr,
    /// Through `wasi:logging`. `context` names the part of the guest that
    /// speaks, and may be empty.
    Log {
        level: Level,
        context: &'a str,
    },
}

/// The levels of `wasi:logging`, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl Level {
    /// Its name, as `wasi:logging` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Critical => "critical",
        }
    }
}

impl std::fmt::Debug for GuestOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            GuestOutput::Discard => "Discard",
            GuestOutput::Stderr => "Stderr",
            GuestOutput::Listener(_) => "Listener",
        })
    }
}
