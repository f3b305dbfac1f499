//! `rival.py`, told what to do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::rival::Answering;

pub(super) struct Rival(Answering);

impl Rival {
    pub(super) fn start(python: &Path, folder: &Path, threads: usize, waits: &str) -> Result<Self> {
        let folder = folder.to_str().context("the models' folder is not UTF-8")?;
        let arguments = [folder, &threads.to_string(), waits];
        Answering::start(python, "models/rival.py", &arguments).map(Self)
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
        let answer = self.0.ask(line)?;
        answer.parse().with_context(|| format!("the rival answered {line:?} with {answer:?}"))
    }
}
