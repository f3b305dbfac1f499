//! Where a model must run.

use std::fmt;
use std::str::FromStr;

/// Where a model must run. Only [`Target::GpuOrCpu`] lets the host choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Target {
    #[default]
    Cpu,
    /// A GPU: the given adapter, or the host's first.
    Gpu(Option<u32>),
    /// A GPU where there is one that can run the model, else the CPU.
    GpuOrCpu,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Cpu => f.pad("cpu"),
            Target::Gpu(None) => f.pad("gpu"),
            Target::Gpu(Some(index)) => write!(f, "gpu:{index}"),
            Target::GpuOrCpu => f.pad("gpu-or-cpu"),
        }
    }
}

/// A word that names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown target `{0}`; use `cpu`, `gpu`, `gpu:N` or `gpu-or-cpu`")]
pub struct UnknownTarget(pub String);

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(word: &str) -> Result<Self, UnknownTarget> {
        match word {
            "cpu" => Ok(Target::Cpu),
            "gpu" => Ok(Target::Gpu(None)),
            "gpu-or-cpu" => Ok(Target::GpuOrCpu),
            _ => word
                .strip_prefix("gpu:")
                .and_then(|index| index.parse().ok())
                .map(|index| Target::Gpu(Some(index)))
                .ok_or_else(|| UnknownTarget(word.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_targets_round_trip() {
        for target in [Target::Cpu, Target::Gpu(None), Target::Gpu(Some(3)), Target::GpuOrCpu] {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        assert!("gpu:x".parse::<Target>().is_err());
    }
}
