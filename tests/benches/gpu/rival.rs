//! PyTorch's numbers, from the script that this program carries.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

const SCRIPT: &str = include_str!("torch_rival.py");

/// What the script printed, line by line; nothing where it could not run.
#[derive(Default)]
pub(crate) struct Rival {
    lines: Vec<Value>,
}

/// How PyTorch runs a model.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Eager,
    Compiled,
}

impl Rival {
    /// Runs the script, which says on standard error why it does not.
    pub(crate) fn run(python: &Path, cpu: bool, quick: bool) -> Result<Self> {
        let mut script = tempfile::Builder::new().suffix(".py").tempfile()?;
        script.write_all(SCRIPT.as_bytes())?;
        let mut command = Command::new(python);
        command.arg(script.path()).args(cpu.then_some("--cpu")).args(quick.then_some("--quick"));
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("`{}` cannot be run", python.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(Self { lines: text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect() })
    }

    pub(crate) fn name(&self) -> String {
        match self.find("torch", &[]) {
            Some(line) => {
                let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
                format!("{} on {}", text("version"), text("device"))
            }
            None => "not measured".to_owned(),
        }
    }

    /// TFLOP/s.
    pub(crate) fn product(&self, size: usize, datatype: &str) -> Option<f64> {
        self.find("gemm", &[("size", size.into()), ("dtype", datatype.into())])?["tflops"].as_f64()
    }

    /// Milliseconds.
    pub(crate) fn model(&self, name: &str, datatype: &str, batch: usize, way: Way) -> Option<f64> {
        let way = match way {
            Way::Eager => "eager",
            Way::Compiled => "compile",
        };
        let keys = [("dtype", datatype.into()), ("batch", batch.into()), ("way", way.into())];
        self.find(name, &keys)?["ms"].as_f64()
    }

    fn find(&self, what: &str, keys: &[(&str, Value)]) -> Option<&Value> {
        let matches =
            |line: &&Value| line["what"] == what && keys.iter().all(|(key, value)| line[*key] == *value);
        self.lines.iter().find(matches)
    }
}
