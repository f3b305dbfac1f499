//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Puts samara's shim of containerd on a node of Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "samara-node-installer", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copies the shim to the node and adds the runtime `samara` to containerd's configuration.
    Install(Install),
    /// Takes away what `install` put there.
    Uninstall(Uninstall),
    /// Says what is there.
    Status(Status),
    /// Does nothing until it is told to end: what a pod runs after `install`.
    Wait,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    #[command(flatten)]
    pub(crate) node: Node,
    /// The shim; the file beside this program if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) shim: Option<PathBuf>,
    /// A library of ONNX Runtime to put beside the shim's folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Whether to restart containerd when its configuration has changed.
    #[arg(long, value_enum, default_value_t = Restart::Auto)]
    pub(crate) restart: Restart,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    pub(crate) node: Node,
    /// Whether to restart containerd when its configuration has changed.
    #[arg(long, value_enum, default_value_t = Restart::Auto)]
    pub(crate) restart: Restart,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) node: Node,
}

#[derive(Debug, Args)]
pub(crate) struct Node {
    /// Where the node's root folder is.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) host_root: PathBuf,
    /// What to write to standard output.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Restart {
    Auto,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}
