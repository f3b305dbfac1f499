//! A rival in Python that answers each line with one, as long as it is asked.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use crate::process::root;

pub(crate) struct Answering {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Answering {
    /// Starts a script of this folder.
    pub(crate) fn start(python: &Path, script: &str, arguments: &[&str]) -> Result<Self> {
        let mut process = Command::new(python)
            .arg(root().join("tests/benches").join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = process.stdin.take().context("it has no input")?;
        let answers = BufReader::new(process.stdout.take().context("it has no output")?);
        Ok(Self { process, asks, answers })
    }

    /// What it answers a line with, without the end of the line.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.asks, "{line}")?;
        self.asks.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
