//! What a run does, for people.

use std::fmt;

use crate::program::{Cost, Program};
use crate::schedule::Schedule;

/// The launches of a run, with what each is estimated to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<PlanStep>,
    /// Bytes on the device for one run at a time, weights left out.
    pub memory: u64,
}

/// One launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// The kernel, and the functions that were fused into it.
    pub kernel: String,
    /// The nodes of the model that it computes.
    pub nodes: Vec<String>,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that are read and written.
    pub bytes: u64,
}

impl Plan {
    pub(crate) fn new(program: &Program, schedule: &Schedule) -> Self {
        let steps = schedule.launches.iter().map(|launch| {
            let of = &program.steps[launch.step];
            let functions = of.step.tail().map(|tail| tail.call_names()).unwrap_or_default();
            let kernel = std::iter::once(of.step.name().to_owned()).chain(functions);
            let Cost { flops, bytes } = launch.cost;
            PlanStep { kernel: kernel.collect::<Vec<_>>().join("+"), nodes: of.nodes.clone(), flops, bytes }
        });
        Self { steps: steps.collect(), memory: schedule.bytes() }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let nodes = step.nodes.join(", ");
            writeln!(f, "{:<32} {:>14} FLOP {:>12} B  {nodes}", step.kernel, step.flops, step.bytes)?;
        }
        let flops: u64 = self.steps.iter().map(|step| step.flops).sum();
        write!(
            f,
            "{} launches, {flops} FLOP, {} bytes of memory beside the weights",
            self.steps.len(),
            self.memory
        )
    }
}
