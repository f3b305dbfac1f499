//! What a run does, for people.

use samara_nn::{Plan, PlanStep};

use crate::program::{Cost, Program, StepOf};
use crate::schedule::Schedule;

/// The launches of a run and the nodes that the CPU computes, in their order.
pub(crate) fn plan(program: &Program, schedule: &Schedule) -> Plan {
    let mut steps = Vec::with_capacity(schedule.launches.len() + schedule.hosts.len());
    let mut hosts = schedule.hosts.iter().peekable();
    for (index, launch) in schedule.launches.iter().enumerate() {
        while let Some(host) = hosts.next_if(|host| host.before == index) {
            steps.push(step(&program.steps[host.step], Cost { flops: 0, bytes: host.bytes() }));
        }
        steps.push(step(&program.steps[launch.step], launch.cost));
    }
    steps.extend(hosts.map(|host| step(&program.steps[host.step], Cost { flops: 0, bytes: host.bytes() })));
    Plan { steps, memory: schedule.bytes() }
}

fn step(of: &StepOf, Cost { flops, bytes }: Cost) -> PlanStep {
    PlanStep { kernel: kernel(of), nodes: of.nodes.clone(), flops, bytes }
}

/// What a step is called, with all that was fused into it.
pub(crate) fn kernel(of: &StepOf) -> String {
    let functions = of.step.tail().map(|tail| tail.call_names()).unwrap_or_default();
    let names: Vec<String> = std::iter::once(of.step.name().to_owned()).chain(functions).collect();
    names.join("+")
}
