//! The commands that are about a node.

use std::path::Path;

use anyhow::Result;

use crate::args::{Install, Restart, Status, Uninstall};
use crate::config::SHIM;
use crate::containerd;
use crate::host::Host;
use crate::plan::{Is, Plan};
use crate::programs::{self, Program};
use crate::rancher::Rancher;
use crate::report::{Found, Report, Restarted, say};
use crate::restart;

/// Puts the shim on the node. What can be refused is refused before anything
/// is changed.
///
/// # Errors
/// When something is missing, or cannot be read, written or restarted.
pub(crate) fn install(arguments: &Install) -> Result<()> {
    let host = Host::new(&arguments.node.host_root)?;
    let mut programs = vec![Program::shim(arguments.shim.as_deref())?];
    if let Some(library) = &arguments.onnxruntime {
        programs.push(Program::onnxruntime(library)?);
    }
    let plan = match Rancher::of(&host) {
        Some(rancher) => rancher.install(&host)?,
        None => containerd::install(&host)?,
    };
    let is_open = !plan.open(&host)?.is_empty();
    let mut report = Report::default();
    for program in &programs {
        if let Some(path) = program.install(&host)? {
            report.changed("wrote", path);
        }
    }
    for note in &plan.notes {
        say(note);
    }
    if is_open && arguments.restart == Restart::Auto {
        restart::note(&host)?;
    }
    make(&host, &plan, &mut report)?;
    let is_due = is_open || restart::is_due(&host);
    let restarted = restarted(is_due, arguments.restart, &plan.service)?;
    if matches!(restarted, Restarted::Done) {
        restart::forget(&host)?;
    }
    report.end(arguments.node.output, restarted)
}

/// Takes away what [`install`] put there.
///
/// # Errors
/// When something cannot be read, removed or restarted.
pub(crate) fn uninstall(arguments: &Uninstall) -> Result<()> {
    let host = Host::new(&arguments.node.host_root)?;
    let plan = match Rancher::of(&host) {
        Some(rancher) => rancher.uninstall(&host)?,
        None => containerd::uninstall(&host)?,
    };
    let mut report = Report::default();
    let is_due = !plan.open(&host)?.is_empty();
    make(&host, &plan, &mut report)?;
    restart::forget(&host)?;
    for path in programs::uninstall(&host)? {
        report.changed("removed", path);
    }
    let restarted = restarted(is_due, arguments.restart, &plan.service)?;
    report.end(arguments.node.output, restarted)
}

/// Says what is there.
///
/// # Errors
/// When something cannot be read.
pub(crate) fn status(arguments: &Status) -> Result<()> {
    let host = Host::new(&arguments.node.host_root)?;
    let configuration = match Rancher::of(&host) {
        Some(rancher) => rancher.configured(&host)?,
        None => containerd::configured(&host)?,
    };
    let found = Found {
        shim: host.has(Path::new(SHIM)).then(|| SHIM.into()),
        libraries: programs::libraries(&host)?,
        configuration,
        is_restart_due: restart::is_due(&host),
    };
    found.print(arguments.node.output)
}

fn make(host: &Host, plan: &Plan, report: &mut Report) -> Result<()> {
    for wanted in plan.open(host)? {
        wanted.make(host)?;
        report.changed(if matches!(wanted.is, Is::Text(_)) { "wrote" } else { "removed" }, &wanted.path);
    }
    Ok(())
}

fn restarted(is_due: bool, restart: Restart, service: &str) -> Result<Restarted> {
    match restart {
        _ if !is_due => Ok(Restarted::NotNeeded),
        Restart::Never => {
            say(&format_args!(
                "containerd is to be restarted: run `systemctl restart {service}` on the node"
            ));
            Ok(Restarted::Needed)
        }
        Restart::Auto => {
            restart::restart(service)?;
            say(&format_args!("restarted {service}"));
            Ok(Restarted::Done)
        }
    }
}
