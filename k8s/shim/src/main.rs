//! `containerd-shim-samara-v1`: runs samara's functions as containers.
//!
//! containerd starts one shim per pod. The shim makes a process for each of the
//! pod's containers, in the namespaces and control groups of that container and
//! with its image as the root; there the function is loaded and served, in this
//! same program. Containers whose entrypoint is a Linux program run as such.

#[cfg(target_os = "linux")]
mod asked;
#[cfg(target_os = "linux")]
mod bundle;
#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod compile;
#[cfg(target_os = "linux")]
mod container;
#[cfg(target_os = "linux")]
mod failure;
#[cfg(target_os = "linux")]
mod frame;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod image;
#[cfg(target_os = "linux")]
mod leftovers;
#[cfg(target_os = "linux")]
mod libraries;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod logs;
#[cfg(target_os = "linux")]
mod node;
#[cfg(target_os = "linux")]
mod policy;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod settings;
#[cfg(target_os = "linux")]
mod shim;
#[cfg(target_os = "linux")]
mod sweep;

#[cfg(target_os = "linux")]
fn main() {
    shim::run();
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "error: containerd's shims run on Linux");
    std::process::ExitCode::FAILURE
}
