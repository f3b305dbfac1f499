//! One run: inputs up, launches in as few submissions as may be, outputs down.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use samara_nn::{RunContext, Tensor};
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BufferUsages, CommandEncoder, ComputePassDescriptor,
    PollType, SubmissionIndex,
};

use crate::alloc::{Block, Quota};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::io::{from_device, to_device};
use crate::pipeline::Pipeline;
use crate::program::{Program, Root};
use crate::schedule::{Holder, Schedule};

/// All memory that one run at a time takes for one set of shapes.
pub(crate) struct Arena {
    slots: Vec<Block>,
    groups: Vec<BindGroup>,
    readback: Block,
    // Bound in `groups`.
    _uniforms: Block,
}

/// What the runs of a model share on its device.
pub(crate) struct Shared<'a> {
    pub gpu: &'a Gpu,
    pub program: &'a Program,
    /// Of each step, in the order of its variants.
    pub pipelines: &'a [Vec<Arc<Pipeline>>],
    /// By number of the buffer; `None` for what is no constant.
    pub constants: &'a [Option<Block>],
}

const SLOT: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_DST).union(BufferUsages::COPY_SRC);

/// How long a wait lasts before it is looked whether the call still matters.
const GLANCE: Duration = Duration::from_millis(10);

/// Submissions of one run that are under way at once.
const IN_FLIGHT: usize = 2;

impl Arena {
    /// # Errors
    /// When the model's quota or the device has no memory left for it.
    pub(crate) fn new(shared: &Shared<'_>, schedule: &Schedule, quota: &Quota) -> Result<Self> {
        let gpu = shared.gpu;
        let allocate = |what: &str, bytes: u64, usage| quota.allocate(gpu, what, bytes, usage);
        let slots: Vec<Block> = schedule
            .slots
            .iter()
            .map(|&bytes| allocate("its intermediate tensors", bytes, SLOT))
            .collect::<Result<_>>()?;
        let uniform_usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let uniforms = allocate("its parameters", schedule.uniforms.len() as u64, uniform_usage)?;
        let readback_usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let readback = allocate("its outputs", readback_bytes(shared.program, schedule), readback_usage)?;
        if !schedule.uniforms.is_empty() {
            gpu.queue.write_buffer(&uniforms.buffer, 0, &schedule.uniforms);
        }
        let groups = schedule.launches.iter().map(|launch| {
            let pipeline = &shared.pipelines[launch.step][launch.variant];
            let range = wgpu::BufferBinding {
                buffer: &uniforms.buffer,
                offset: launch.uniform.start,
                size: wgpu::BufferSize::new(launch.uniform.end - launch.uniform.start),
            };
            let holders = std::iter::once(&launch.writes).chain(&launch.reads);
            let buffers = holders.map(|holder| shared.buffer(&slots, *holder).as_entire_binding());
            let resources = std::iter::once(wgpu::BindingResource::Buffer(range)).chain(buffers);
            let entries: Vec<BindGroupEntry<'_>> = resources
                .enumerate()
                .map(|(index, resource)| BindGroupEntry { binding: index as u32, resource })
                .collect();
            gpu.device.create_bind_group(&BindGroupDescriptor {
                label: None,
                layout: &pipeline.layout,
                entries: &entries,
            })
        });
        let groups = gpu.guarded("bindings", 0, || groups.collect())?;
        Ok(Self { slots, groups, readback, _uniforms: uniforms })
    }
}

impl<'a> Shared<'a> {
    fn buffer<'b>(&'b self, slots: &'b [Block], holder: Holder) -> &'b wgpu::Buffer {
        match holder {
            Holder::Slot(slot) => &slots[slot].buffer,
            Holder::Constant(Root(index)) => match &self.constants[index] {
                Some(block) => &block.buffer,
                None => {
                    unreachable!("what has no slot is a constant, and constants are uploaded before a run")
                }
            },
        }
    }

    /// Runs all launches of a schedule. After an error the arena is not used
    /// again: the device may still be writing into it.
    ///
    /// # Errors
    /// [`Error::Timeout`] and [`Error::Cancelled`] between submissions and while
    /// waiting, [`Error::Lost`], [`Error::Failed`].
    pub(crate) fn run(
        &self,
        schedule: &Schedule,
        arena: &Arena,
        inputs: &[Tensor],
        context: &RunContext,
    ) -> Result<Vec<Tensor>> {
        let started = Instant::now();
        self.gpu.check()?;
        for ((tensor, &root), holder) in inputs.iter().zip(&self.program.inputs).zip(&schedule.inputs) {
            let bytes = to_device(self.program.buffer(root).dtype, tensor.data());
            if !bytes.is_empty() {
                self.gpu.queue.write_buffer(self.buffer(&arena.slots, *holder), 0, &bytes);
            }
        }
        let last = self.submit(schedule, arena, context, started)?;
        let (done, mapped) = mpsc::channel();
        arena.readback.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody listens any more once the call was given up.
            let _ = done.send(result.map_err(|error| error.to_string()));
        });
        self.wait(&last, context, started)?;
        self.receive(&mapped, context, started)?;
        let outputs = self.read(schedule, arena);
        arena.readback.buffer.unmap();
        outputs
    }

    /// Submits launches in bounded portions, the outputs' copies with the last.
    fn submit(
        &self,
        schedule: &Schedule,
        arena: &Arena,
        context: &RunContext,
        started: Instant,
    ) -> Result<SubmissionIndex> {
        let mut submitted: Vec<SubmissionIndex> = Vec::new();
        let mut next = 0;
        loop {
            context.check(started).map_err(given_up)?;
            if let Some(early) = submitted.len().checked_sub(IN_FLIGHT) {
                self.wait(&submitted[early], context, started)?;
            }
            let end = next + portion(schedule, next, self.gpu.submission);
            let is_last = end == schedule.launches.len();
            let index = self.gpu.guarded("a run", 0, || {
                let mut encoder =
                    self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                self.encode(&mut encoder, schedule, arena, next..end);
                if is_last {
                    self.copy_outputs(&mut encoder, schedule, arena);
                }
                self.gpu.queue.submit([encoder.finish()])
            })?;
            if is_last {
                return Ok(index);
            }
            submitted.push(index);
            next = end;
        }
    }

    fn encode(
        &self,
        encoder: &mut CommandEncoder,
        schedule: &Schedule,
        arena: &Arena,
        launches: std::ops::Range<usize>,
    ) {
        if launches.is_empty() {
            return;
        }
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        for index in launches {
            let launch = &schedule.launches[index];
            let [x, y, z] = launch.workgroups;
            pass.set_pipeline(&self.pipelines[launch.step][launch.variant].raw);
            pass.set_bind_group(0, &arena.groups[index], &[]);
            pass.dispatch_workgroups(x, y, z);
        }
    }

    fn copy_outputs(&self, encoder: &mut CommandEncoder, schedule: &Schedule, arena: &Arena) {
        for (output, (bytes, place)) in schedule.outputs.iter().zip(readback_places(self.program, schedule)) {
            if bytes > 0 {
                let from = self.buffer(&arena.slots, output.holder);
                encoder.copy_buffer_to_buffer(from, output.offset, &arena.readback.buffer, place, bytes);
            }
        }
    }

    /// Waits until a submission is done.
    fn wait(&self, submission: &SubmissionIndex, context: &RunContext, started: Instant) -> Result<()> {
        loop {
            let wait = PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(GLANCE) };
            match self.gpu.device.poll(wait) {
                Ok(_) => return self.gpu.check(),
                Err(wgpu::PollError::Timeout) => context.check(started).map_err(given_up)?,
                Err(error) => {
                    self.gpu.check()?;
                    return Err(Error::Failed(error.to_string()));
                }
            }
        }
    }

    /// Waits until the outputs can be read. Another thread may be the one that
    /// is told so by the device, and take its time to say it.
    fn receive(
        &self,
        mapped: &mpsc::Receiver<Result<(), String>>,
        context: &RunContext,
        started: Instant,
    ) -> Result<()> {
        loop {
            match mapped.recv_timeout(GLANCE) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(reason)) => {
                    self.gpu.check()?;
                    return Err(Error::Failed(format!("the outputs cannot be read: {reason}")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.gpu.check()?;
                    context.check(started).map_err(given_up)?;
                    // What goes wrong here is met again by the next wait.
                    let _ = self.gpu.device.poll(PollType::Poll);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.gpu.check()?;
                    return Err(Error::Failed("the outputs cannot be read".to_owned()));
                }
            }
        }
    }

    fn read(&self, schedule: &Schedule, arena: &Arena) -> Result<Vec<Tensor>> {
        let range = arena.readback.buffer.get_mapped_range(..);
        let mapped = range.map_err(|error| Error::Failed(format!("the outputs cannot be read: {error}")))?;
        let places = readback_places(self.program, schedule);
        let outputs = schedule.outputs.iter().zip(&self.program.outputs).zip(places);
        let tensors = outputs.map(|((output, view), (bytes, place))| {
            let bytes = &mapped[place as usize..(place + bytes) as usize];
            let data = from_device(view.dtype, bytes, output.elements as usize);
            let tensor = Tensor::new(view.dtype.outside(), output.shape.clone(), data);
            tensor.map_err(|error| Error::Failed(error.to_string()))
        });
        tensors.collect()
    }
}

/// How many launches from `first` on go into one submission: at least one, and
/// no more than fit `budget` operations.
fn portion(schedule: &Schedule, first: usize, budget: u64) -> usize {
    let mut spent = 0u64;
    let rest = &schedule.launches[first..];
    let over = rest.iter().position(|launch| {
        spent = spent.saturating_add(launch.cost.flops.max(launch.cost.bytes));
        spent > budget
    });
    over.map_or(rest.len(), |over| over.max(1))
}

/// Bytes of each output, and where they begin in the memory that is read back.
fn readback_places(program: &Program, schedule: &Schedule) -> Vec<(u64, u64)> {
    let mut end = 0;
    let outputs = schedule.outputs.iter().zip(&program.outputs);
    outputs
        .map(|(output, view)| {
            let bytes = (output.elements * view.dtype.size()).next_multiple_of(4);
            let place = end;
            // Both ends of a copy are aligned.
            end = (end + bytes).next_multiple_of(8);
            (bytes, place)
        })
        .collect()
}

fn readback_bytes(program: &Program, schedule: &Schedule) -> u64 {
    readback_places(program, schedule).last().map_or(0, |(bytes, place)| bytes + place)
}

/// Why a call does not go on.
pub(crate) fn given_up(error: samara_nn::Error) -> Error {
    match error {
        samara_nn::Error::Timeout { after } => Error::Timeout { after },
        _ => Error::Cancelled,
    }
}
