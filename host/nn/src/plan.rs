//! What a run of a model does, for people.

use std::fmt;
use std::time::Duration;

use crate::error::Result;

/// A model that knows beforehand what a run does.
pub trait Planned {
    /// What a run for inputs of these shapes does.
    ///
    /// # Errors
    /// As a run with such inputs.
    fn plan(&self, shapes: &[Vec<usize>]) -> Result<Plan>;

    /// What each of its kernels took so far, where that is measured, by name.
    fn kernel_times(&self) -> Vec<KernelTime> {
        Vec::new()
    }
}

/// What the launches of one kernel took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelTime {
    /// As in [`PlanStep`].
    pub kernel: String,
    pub launches: u64,
    /// All of them together, on the device.
    pub total: Duration,
}

/// The steps of a run, with what each is estimated to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<PlanStep>,
    /// Bytes for one run at a time, weights left out.
    pub memory: u64,
}

/// A step of a run: one launch on a GPU, or a node on the CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// What it is called, with all that was fused into it.
    pub kernel: String,
    /// The nodes of the model that it computes.
    pub nodes: Vec<String>,
    /// Arithmetic operations.
    pub flops: u64,
    /// Bytes that are read and written.
    pub bytes: u64,
}

impl Plan {
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|step| step.flops).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.bytes).sum()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.steps.iter().map(|step| step.kernel.len()).max().unwrap_or(0);
        for step in &self.steps {
            let (kernel, nodes) = (&step.kernel, step.nodes.join(", "));
            let (flops, bytes) = (in_millions(step.flops), in_millions(step.bytes));
            writeln!(f, "{kernel:<width$}  {flops:>9} MFLOP  {bytes:>9} MB  {nodes}")?;
        }
        let (flops, memory) = (in_millions(self.flops()), in_millions(self.memory));
        write!(f, "{} steps, {flops} MFLOP, {memory} MB of memory beside the weights", self.steps.len())
    }
}

fn in_millions(count: u64) -> String {
    format!("{:.3}", count as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_table_with_its_sums() {
        let step = |kernel: &str, flops| PlanStep {
            kernel: kernel.to_owned(),
            nodes: vec!["a".to_owned(), "b".to_owned()],
            flops,
            bytes: 2_000_000,
        };
        let plan = Plan { steps: vec![step("conv+add", 1_500_000), step("map", 500)], memory: 3_000_000 };
        assert_eq!(
            plan.to_string(),
            "conv+add      1.500 MFLOP      2.000 MB  a, b\n\
             map           0.001 MFLOP      2.000 MB  a, b\n\
             2 steps, 1.500 MFLOP, 3.000 MB of memory beside the weights"
        );
    }
}
