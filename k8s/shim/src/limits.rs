//! What the container's limits leave for a function. The share of the processor
//! needs no word here: threads are counted by what the container may use.

use std::fs;

use anyhow::{Result, bail};
use samara_engine::Limits;

use crate::image::Image;
use crate::settings::Settings;

/// Where control groups say how much memory there may be: version 2, version 1.
const LIMIT_FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// What the host itself takes, without functions, rounded up.
const HOST: u64 = 24 << 20;

/// Numbers from here up are version 1's way to say that there is no limit.
const NO_LIMIT: u64 = 1 << 62;

/// How many instances may run at a time where nothing bounds them.
const INSTANCES: u32 = 128;

/// The memory that this container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In bytes; `None`: as much as there is.
    limit: Option<u64>,
}

impl Memory {
    pub(crate) fn of_this_container() -> Self {
        let read = |file: &&str| parse(&fs::read_to_string(file).ok()?);
        Self { limit: LIMIT_FILES.iter().find_map(read) }
    }

    /// Refuses a function whose models cannot fit, before the kernel would end
    /// the container while they load.
    ///
    /// # Errors
    /// When the files of the models are more than there is room for, or one is
    /// missing.
    pub(crate) fn check(self, image: &Image, settings: &Settings) -> Result<()> {
        let sizes = image.model_sizes(settings)?;
        let models: u64 = sizes.iter().map(|(_, size)| size).sum();
        match self.limit {
            Some(limit) if models + HOST > limit => bail!(
                "out of memory: the models of `{}` are {} MiB and the host takes {} MiB, but the container may use {} MiB\nhint: raise the pod's memory limit",
                image.name(),
                mebibytes(models),
                mebibytes(HOST),
                mebibytes(limit)
            ),
            _ => Ok(()),
        }
    }

    /// The limits of one instance: the function's own, or what is left here
    /// where that is less.
    pub(crate) fn bound(self, limits: &mut Limits, models: u64) {
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(HOST + models).max(1 << 20);
            limits.memory = limits.memory.min(left);
            limits.tensor_memory = limits.tensor_memory.min(left);
            limits.output = limits.output.min(left);
        }
    }

    /// Sandboxes that may exist at a time.
    pub(crate) fn instances(self, settings: &Settings) -> u32 {
        settings.concurrency.map_or(INSTANCES, |count| u32::try_from(count).unwrap_or(INSTANCES)).max(1)
    }
}

fn parse(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes| bytes < NO_LIMIT)
}

/// Rounded up.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_written_in_two_ways() {
        assert_eq!(parse("134217728\n"), Some(128 << 20));
        assert_eq!(parse("max\n"), None);
        assert_eq!(parse("9223372036854771712\n"), None);
    }

    #[test]
    fn what_is_left_bounds_an_instance() {
        let bounded = |limit| {
            let mut limits = Limits::default();
            Memory { limit }.bound(&mut limits, 40 << 20);
            limits.memory
        };
        assert_eq!(bounded(None), Limits::default().memory);
        assert_eq!(bounded(Some(128 << 20)), 64 << 20);
        assert_eq!(bounded(Some(32 << 20)), 1 << 20);
    }
}
