//! The one `wasmtime::Config`: what samara's sandbox is.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::error::{Error, Result};

/// The stack of one guest. Rust guests ask their linker for 1 MiB in linear
/// memory; this is the native one.
const WASM_STACK: usize = 1 << 20;

/// A fibre's stack: the guest's and what host functions need on top of it.
const FIBRE_STACK: usize = WASM_STACK + (1 << 20);

/// Pages that an instance wrote to and that stay mapped when its slot is freed,
/// reset by hand, so that the next call writes to warm ones. Where the kernel
/// cannot say which those are (Linux before 6.7), so many bytes from the start
/// of a memory.
const KEEP_RESIDENT: usize = 256 << 10;

/// Builds the engine, with room for `instances` sandboxes at a time.
pub(crate) fn engine(instances: u32) -> Result<Engine> {
    Engine::new(&config(instances)).map_err(|source| Error::Start { reason: format!("{source:#}") })
}

fn config(instances: u32) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBRE_STACK)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(instances)));
    config
}

/// A component made by a compiler holds one memory and a few core instances,
/// one of an interpreter with its libraries dozens; one that was composed of
/// others holds a set per part. Core instances are only counted, so that there
/// are enough for any mixture; memories and tables reserve address space.
fn pooling(instances: u32) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(MOST_CORE_INSTANCES))
        .total_memories(instances.saturating_add(instances / 2).max(4))
        .total_tables(instances.saturating_mul(2).max(8))
        .total_stacks(instances)
        .max_core_instances_per_component(MOST_CORE_INSTANCES)
        .max_memories_per_component(16)
        .max_tables_per_component(32)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(16 << 10)
        .table_elements(TABLE_ELEMENTS);
    pooling
}

/// The most modules that one component may instantiate.
const MOST_CORE_INSTANCES: u32 = 64;

/// The most elements that a table slot has room for; `Limits::table_elements`
/// may ask for fewer.
pub(crate) const TABLE_ELEMENTS: usize = 64 << 10;
