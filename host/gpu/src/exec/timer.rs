//! What each launch takes, measured by the device.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use samara_nn::KernelTime;
use wgpu::{
    BufferUsages, CommandEncoder, ComputePassTimestampWrites, MapMode, PollType, QuerySet,
    QuerySetDescriptor, QueryType,
};

use crate::alloc::{Block, Quota};
use crate::device::{Gpu, lock};
use crate::error::{Error, Result};
use crate::plan::kernel;
use crate::program::Program;
use crate::schedule::Schedule;

/// What the kernels of a model took in all its runs.
#[derive(Default)]
pub(crate) struct Times(Mutex<BTreeMap<String, KernelTime>>);

/// Two moments for each launch of a run.
pub(crate) struct Timer {
    sets: Vec<QuerySet>,
    resolved: Block,
    readback: Block,
}

/// Launches whose moments one set holds.
const PER_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Bytes of two moments.
const BYTES: u64 = 2 * wgpu::QUERY_SIZE as u64;

impl Times {
    /// Adds a run's launches to what is known.
    fn add(&self, program: &Program, schedule: &Schedule, taken: impl Iterator<Item = Duration>) {
        let mut times = lock(&self.0);
        for (launch, taken) in schedule.launches.iter().zip(taken) {
            let kernel = kernel(&program.steps[launch.step], launch.variant);
            let time = times.entry(kernel).or_insert_with_key(|kernel| KernelTime {
                kernel: kernel.clone(),
                launches: 0,
                total: Duration::ZERO,
            });
            time.launches += 1;
            time.total += taken;
        }
    }

    /// By the names of the kernels.
    pub(crate) fn read(&self) -> Vec<KernelTime> {
        lock(&self.0).values().cloned().collect()
    }
}

impl Timer {
    /// # Errors
    /// When the model's quota or the device has no memory left for it.
    pub(super) fn new(gpu: &Gpu, schedule: &Schedule, quota: &Quota) -> Result<Self> {
        let launches = schedule.launches.len();
        let sets = (0..launches).step_by(PER_SET).map(|first| {
            let count = 2 * (launches - first).min(PER_SET) as u32;
            let ty = QueryType::Timestamp;
            gpu.device.create_query_set(&QuerySetDescriptor { label: Some("samara"), ty, count })
        });
        let sets = gpu.guarded("its times", 0, || sets.collect())?;
        let bytes = launches as u64 * BYTES;
        let resolve = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let read = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        Ok(Self {
            sets,
            resolved: quota.allocate(gpu, "its times", bytes, resolve)?,
            readback: quota.allocate(gpu, "its times", bytes, read)?,
        })
    }

    /// Where a launch leaves when it began and ended.
    pub(super) fn writes(&self, launch: usize) -> ComputePassTimestampWrites<'_> {
        let first = 2 * (launch % PER_SET) as u32;
        ComputePassTimestampWrites {
            query_set: &self.sets[launch / PER_SET],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Has the moments brought to where they can be read.
    pub(super) fn resolve(&self, encoder: &mut CommandEncoder, schedule: &Schedule) {
        let launches = schedule.launches.len();
        for (index, set) in self.sets.iter().enumerate() {
            let count = 2 * (launches - index * PER_SET).min(PER_SET) as u32;
            let offset = (index * PER_SET) as u64 * BYTES;
            encoder.resolve_query_set(set, 0..count, &self.resolved.buffer, offset);
        }
        if launches > 0 {
            let bytes = launches as u64 * BYTES;
            encoder.copy_buffer_to_buffer(&self.resolved.buffer, 0, &self.readback.buffer, 0, bytes);
        }
    }

    /// Adds what a run took that has ended.
    ///
    /// # Errors
    /// [`Error::Failed`] when the moments cannot be read.
    pub(super) fn tell(
        &self,
        gpu: &Gpu,
        program: &Program,
        schedule: &Schedule,
        times: &Times,
    ) -> Result<()> {
        let failed = |reason: String| Error::Failed(format!("its times cannot be read: {reason}"));
        self.readback.buffer.map_async(MapMode::Read, .., |_| {});
        gpu.device.poll(PollType::wait_indefinitely()).map_err(|error| failed(error.to_string()))?;
        let mapped = self.readback.buffer.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
        let period = f64::from(gpu.queue.get_timestamp_period());
        let taken = mapped.chunks_exact(BYTES as usize).map(|moments| {
            let moment =
                |at: usize| moments[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let ticks = moment(wgpu::QUERY_SIZE as usize).saturating_sub(moment(0));
            Duration::from_nanos((ticks as f64 * period) as u64)
        });
        times.add(program, schedule, taken);
        drop(mapped);
        self.readback.buffer.unmap();
        Ok(())
    }
}
