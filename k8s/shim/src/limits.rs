//! What the container's limits leave for a function. The share of the processor
//! needs no word here: threads are counted by what the container may use.

use anyhow::{Result, bail};
use samara_compose::MemoryGroup;
use samara_engine::Limits;
use samara_server::{MemoryBound, ServeLimits};

use crate::failure;
use crate::image::Image;
use crate::settings::Settings;

/// What the host itself takes, without functions, rounded up.
const HOST: u64 = 24 << 20;

/// The memory that this container may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In bytes; `None`: as much as there is.
    limit: Option<u64>,
    group: Option<MemoryGroup>,
}

impl Memory {
    pub(crate) fn of_this_container() -> Self {
        let group = MemoryGroup::of_this_process();
        Self { limit: group.as_ref().map(MemoryGroup::limit), group }
    }

    /// Refuses a function whose models cannot fit, before the kernel would end
    /// the container while they load.
    ///
    /// # Errors
    /// When the files of the models are more than there is room for, or one is
    /// missing.
    pub(crate) fn check(&self, image: &Image, settings: &Settings) -> Result<()> {
        let models = image.model_bytes(settings)?;
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
    pub(crate) fn bound(&self, limits: &mut Limits, models: u64) {
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(HOST + models).max(1 << 20);
            limits.memory = limits.memory.min(left);
            limits.tensor_memory = limits.tensor_memory.min(left);
            limits.output = limits.output.min(left);
        }
    }

    /// What requests may hold: half of what is left, with all their bodies.
    pub(crate) fn bound_bodies(&self, limits: &mut ServeLimits, models: u64) {
        if let Some(limit) = self.limit {
            let half = (limit.saturating_sub(HOST + models) / 2).max(1 << 20);
            limits.bodies = limits.bodies.min(half);
            limits.body = limits.body.min(half);
        }
    }

    /// What the server watches. Where little is left, the termination message says
    /// so: the kernel gives no time for last words.
    pub(crate) fn watched(&self) -> Option<MemoryBound> {
        let group = self.group.clone()?;
        let limit = group.limit();
        let used = move || {
            let used = group.used()?;
            if used > limit - limit / 20 {
                failure::expect(&format!(
                    "out of memory: {} MiB of the {} MiB that the container may use were in use\nhint: raise the pod's memory limit, or let fewer requests run at a time with `SAMARA_CONCURRENCY`",
                    mebibytes(used),
                    mebibytes(limit)
                ));
            }
            Some(used)
        };
        Some(MemoryBound { limit, used: Box::new(used) })
    }
}

/// Rounded up.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_bounds_an_instance() {
        let bounded = |limit| {
            let mut limits = Limits::default();
            Memory { limit, group: None }.bound(&mut limits, 40 << 20);
            limits.memory
        };
        assert_eq!(bounded(None), Limits::default().memory);
        assert_eq!(bounded(Some(128 << 20)), 64 << 20);
        assert_eq!(bounded(Some(32 << 20)), 1 << 20);
    }
}
