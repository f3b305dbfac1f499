//! Memory of a device, within a limit for each model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wgpu::{Buffer, BufferDescriptor, BufferUsages};

use crate::device::Gpu;
use crate::error::{Error, Result};

/// What one model may take, and what it has taken.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    limit: u64,
    used: Arc<AtomicU64>,
}

/// A buffer that counts towards a quota until it is dropped.
pub(crate) struct Block {
    pub buffer: Buffer,
    bytes: u64,
    used: Arc<AtomicU64>,
}

impl Quota {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: Arc::default() }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are taken now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether so many bytes more may be taken.
    pub(crate) fn allows(&self, bytes: u64) -> bool {
        self.used().saturating_add(bytes) <= self.limit
    }

    /// # Errors
    /// [`Error::TooLarge`] over the limit, [`Error::OutOfMemory`] when the
    /// device has none left.
    pub(crate) fn allocate(&self, gpu: &Gpu, what: &str, bytes: u64, usage: BufferUsages) -> Result<Block> {
        // Nothing of no size can be bound, and copies take whole words.
        let bytes = bytes.next_multiple_of(4).max(16);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&used| used <= self.limit)
        });
        if let Err(used) = taken {
            return Err(Error::TooLarge {
                what: format!("the GPU memory in bytes of the model, with {what}"),
                size: used.saturating_add(bytes),
                limit: self.limit,
            });
        }
        let descriptor =
            BufferDescriptor { label: Some("samara"), size: bytes, usage, mapped_at_creation: false };
        match gpu.guarded(what, bytes, || gpu.device.create_buffer(&descriptor)) {
            Ok(buffer) => Ok(Block { buffer, bytes, used: Arc::clone(&self.used) }),
            Err(error) => {
                self.used.fetch_sub(bytes, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
