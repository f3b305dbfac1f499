//! `samara-node-installer`: puts samara's shim of containerd on a node of
//! Kubernetes, tells containerd of it, and takes both away again.
//!
//! It runs on the node, or in a privileged pod that has the node's root mounted.

#[cfg(target_os = "linux")]
mod args;
#[cfg(target_os = "linux")]
mod config;
#[cfg(target_os = "linux")]
mod containerd;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod imports;
#[cfg(target_os = "linux")]
mod node;
#[cfg(target_os = "linux")]
mod part;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod programs;
#[cfg(target_os = "linux")]
mod rancher;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod restart;
#[cfg(target_os = "linux")]
mod wait;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn run() -> anyhow::Result<()> {
    use args::{Arguments, Command};
    use clap::Parser;

    match Arguments::parse().command {
        Command::Install(install) => node::install(&install),
        Command::Uninstall(uninstall) => node::uninstall(&uninstall),
        Command::Status(status) => node::status(&status),
        Command::Wait => wait::for_the_end(),
    }
}

#[cfg(not(target_os = "linux"))]
fn run() -> anyhow::Result<()> {
    anyhow::bail!("nodes of Kubernetes that can have samara run Linux")
}
