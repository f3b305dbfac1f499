//! Command functions: run to their end, as any program in a container is.

use std::path::Path;

use anyhow::Result;
use samara_engine::{DirectoryGrant, Function, Grants};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::settings::Settings;

/// What a shell says of a program that SIGTERM ended.
pub(crate) const TERMINATED: i32 = 128 + 15;

/// A command is given what a container gives any program: its environment and its
/// files. The network stays closed but for the hosts that are allowed.
pub(crate) fn grants(environment: &[(String, String)], settings: &Settings) -> Grants {
    Grants {
        http_hosts: settings.allow_http.clone(),
        environment: environment.to_vec(),
        directories: vec![DirectoryGrant {
            host: Path::new("/").to_owned(),
            guest: "/".to_owned(),
            writable: true,
        }],
    }
}

/// Runs it, and gives its exit code. Its first argument is its own name.
///
/// # Errors
/// When a trap or a limit ends it.
pub(crate) fn run(runtime: &Runtime, function: &Function, arguments: &[String]) -> Result<i32> {
    let arguments = arguments.get(1..).unwrap_or_default();
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            code = function.run_command(arguments, None) => Ok(code?),
            _ = terminate.recv() => Ok(TERMINATED),
            _ = interrupt.recv() => Ok(TERMINATED),
        }
    })
}
