//! What the global flags come down to.

use std::path::PathBuf;

use crate::args::{Color, Format, GlobalArgs};
use crate::store::Store;

/// The settings of this process.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub format: Format,
    pub verbosity: Verbosity,
    pub color: anstream::ColorChoice,
    /// `None` where the user has no data directory and names none.
    pub store: Option<Store>,
    /// The policy file that is named.
    pub policy: Option<PathBuf>,
    /// Whether a driver that computes on the CPU counts as a GPU.
    pub allow_software_gpu: bool,
    /// What ONNX Runtime reaches GPUs by.
    pub onnxruntime_provider: Option<samara_backends::Provider>,
    /// Whether each kernel on a GPU is timed.
    pub gpu_timings: bool,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    Normal,
    Verbose,
}

impl Settings {
    pub(crate) fn new(args: &GlobalArgs) -> Self {
        let verbosity = match (args.quiet, args.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let color = match args.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        let store = args.store.clone().map(Store::at).or_else(Store::of_user);
        Self {
            format: args.output,
            verbosity,
            color,
            store,
            policy: args.policy.clone(),
            allow_software_gpu: args.allow_software_gpu,
            onnxruntime_provider: args.onnxruntime_provider.clone(),
            gpu_timings: args.gpu_timings,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }
}
