//! What one instance may use, and the accounting that holds it to that.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::config::TABLE_ELEMENTS;

/// What one call of a function may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: u64,
    /// Elements of all its tables together.
    pub table_elements: usize,
    /// Bytes of all tensors that the instance made and holds, in the host.
    pub tensor_memory: u64,
    /// Bytes of all outputs of one call together.
    pub output: u64,
    /// From the call to the answer.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 20_000,
            tensor_memory: 256 << 20,
            output: 64 << 20,
            deadline: Duration::from_secs(30),
        }
    }
}

/// Core instances, memories and tables of one component; more is no program
/// that a compiler makes.
const MOST_CORE_ITEMS: usize = 64;

/// Counts what one store has taken, and remembers what it was refused.
pub(crate) struct Meter {
    limits: Limits,
    memory: u64,
    table_elements: usize,
    tensors: u64,
    refused: Option<Refused>,
}

/// The limit that an instance ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Memory,
    Table,
    Tensors,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, table_elements: 0, tensors: 0, refused: None }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Linear memory in use, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// Takes tensor bytes from the quota; `false` when they are not there.
    pub(crate) fn take_tensor(&mut self, bytes: u64) -> bool {
        let taken = self.tensors.saturating_add(bytes);
        if taken > self.limits.tensor_memory {
            self.refused = Some(Refused::Tensors);
            return false;
        }
        self.tensors = taken;
        true
    }

    pub(crate) fn give_back_tensor(&mut self, bytes: u64) {
        self.tensors = self.tensors.saturating_sub(bytes);
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add((desired - current) as u64);
        if total > self.limits.memory {
            self.refused = Some(Refused::Memory);
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired - current);
        if total > self.limits.table_elements || desired > TABLE_ELEMENTS {
            self.refused = Some(Refused::Table);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MOST_CORE_ITEMS
    }

    fn tables(&self) -> usize {
        MOST_CORE_ITEMS
    }

    fn memories(&self) -> usize {
        MOST_CORE_ITEMS
    }
}

/// Bytes in the largest unit that divides them evenly, as a manifest writes them.
pub(crate) fn format_bytes(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_an_instance_share_one_limit() {
        let mut meter = Meter::new(Limits { memory: 3 << 16, ..Limits::default() });
        assert!(meter.memory_growing(0, 2 << 16, None).unwrap());
        assert!(!meter.memory_growing(0, 2 << 16, None).unwrap());
        assert_eq!(meter.refused(), Some(Refused::Memory));
        assert!(meter.memory_growing(2 << 16, 3 << 16, None).unwrap());
    }

    #[test]
    fn tensor_bytes_come_back() {
        let mut meter = Meter::new(Limits { tensor_memory: 10, ..Limits::default() });
        assert!(meter.take_tensor(8));
        assert!(!meter.take_tensor(3));
        meter.give_back_tensor(8);
        assert!(meter.take_tensor(10));
        assert!(!meter.take_tensor(u64::MAX));
    }

    #[test]
    fn sizes_are_written_as_manifests_do() {
        assert_eq!(format_bytes(64 << 20), "64MiB");
        assert_eq!(format_bytes(1536), "1536 bytes");
        assert_eq!(format_bytes(2048), "2KiB");
    }
}
