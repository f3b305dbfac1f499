//! Restarting containerd, which reads its configuration when it starts.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::host::Host;

/// There while containerd has yet to read what was changed.
const PENDING: &str = "/opt/samara/restart-pending";

/// Notes that a restart is due, before the first change.
///
/// # Errors
/// When the note cannot be written.
pub(crate) fn note(host: &Host) -> Result<()> {
    host.write(Path::new(PENDING), b"", None)
}

/// Whether a restart is still due.
pub(crate) fn is_due(host: &Host) -> bool {
    host.has(Path::new(PENDING))
}

/// Takes the note away.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn forget(host: &Host) -> Result<()> {
    host.remove(Path::new(PENDING)).map(|_| ())
}

/// Restarts a service of the node from within the node's own processes and files.
///
/// # Errors
/// When it does not work out, with what to run by hand.
pub(crate) fn restart(service: &str) -> Result<()> {
    let by_hand = || format!("containerd was not restarted; run `systemctl restart {service}` on the node");
    let mut command = Command::new("nsenter");
    command.args(["--target", "1", "--mount", "--", "systemctl", "restart", service]);
    // Standard output is for the summary.
    let output =
        command.stdin(Stdio::null()).output().context("cannot run `nsenter`").with_context(by_hand)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let said = if said.is_empty() { output.status.to_string() } else { said.to_owned() };
    bail!("{}: {said}", by_hand())
}
