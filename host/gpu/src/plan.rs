//! What a run does, for people.

use samara_nn::{Plan, PlanStep};

use crate::program::{Cost, Program, StepOf};
use crate::schedule::{HostRun, Schedule};

/// The launches of a run and the nodes that the CPU computes, in their order.
pub(crate) fn plan(program: &Program, schedule: &Schedule) -> Plan {
    let mut steps = Vec::with_capacity(schedule.launches.len() + schedule.hosts.len());
    let mut hosts = schedule.hosts.iter().peekable();
    for (index, launch) in schedule.launches.iter().enumerate() {
        while let Some(host) = hosts.next_if(|host| host.before == index) {
            steps.push(on_the_cpu(&program.steps[host.step], host));
        }
        let of = &program.steps[launch.step];
        steps.push(step(of, kernel(of, launch.variant), launch.cost));
    }
    steps.extend(hosts.map(|host| on_the_cpu(&program.steps[host.step], host)));
    Plan { steps, memory: schedule.bytes() }
}

fn on_the_cpu(of: &StepOf, host: &HostRun) -> PlanStep {
    step(of, of.step.name().to_owned(), Cost { flops: 0, bytes: host.bytes() })
}

fn step(of: &StepOf, kernel: String, Cost { flops, bytes }: Cost) -> PlanStep {
    PlanStep { kernel, nodes: of.nodes.clone(), flops, bytes }
}

/// What a launch of a step is called, with all that was fused into the step.
pub(crate) fn kernel(of: &StepOf, variant: usize) -> String {
    let name = of.step.name_with(&of.variants[variant].shader);
    let functions = of.step.tail().map(|tail| tail.call_names()).unwrap_or_default();
    let names: Vec<String> = std::iter::once(name.to_owned()).chain(functions).collect();
    names.join("+")
}
