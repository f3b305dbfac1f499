//! `rival.py`, which answers as long as it is asked.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::root;

pub(super) struct Rival {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Rival {
    pub(super) fn start(python: &Path, folder: &Path, threads: usize, waits: &str) -> Result<Self> {
        let mut process = Command::new(python)
            .arg(root().join("tests/benches/models/rival.py"))
            .arg(folder)
            .args([&threads.to_string(), waits])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = process.stdin.take().context("it has no input")?;
        let answers = BufReader::new(process.stdout.take().context("it has no output")?);
        Ok(Self { process, asks, answers })
    }

    /// Takes a case for what follows.
    pub(super) fn choose(&mut self, case: &str) -> Result<()> {
        self.ask(&format!("choose {case}")).map(drop)
    }

    /// Opens a session instead of the last one; how long that took.
    pub(super) fn open(&mut self) -> Result<Duration> {
        Ok(Duration::from_nanos(self.ask("open")?))
    }

    /// How long that many runs took, without the way to it.
    pub(super) fn run(&mut self, count: u32) -> Result<Duration> {
        Ok(Duration::from_nanos(self.ask(&format!("run {count}"))?))
    }

    /// The first output of the last run.
    pub(super) fn answer(&mut self) -> Result<Vec<f32>> {
        let file = tempfile::NamedTempFile::new()?;
        self.ask(&format!("answer {}", file.path().display()))?;
        let bytes = std::fs::read(file.path())?;
        Ok(bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }

    /// The bytes by which its memory grew by that many runs at once.
    pub(super) fn memory(&mut self, count: usize, how: &str) -> Result<u64> {
        Ok(self.ask(&format!("memory {count} {how}"))? << 10)
    }

    fn ask(&mut self, line: &str) -> Result<u64> {
        writeln!(self.asks, "{line}")?;
        self.asks.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().with_context(|| format!("the rival answered {line:?} with {answer:?}"))
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
