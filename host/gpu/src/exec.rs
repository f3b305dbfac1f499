//! One run: inputs up, launches in as few submissions as may be, outputs down.

mod host;
mod timer;

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use samara_nn::{RunContext, Tensor};
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BufferUsages, CommandEncoder, ComputePass,
    ComputePassDescriptor, PollType, SubmissionIndex,
};

use crate::alloc::{Block, Quota};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::io::{from_device, to_device};
use crate::pipeline::Pipeline;
use crate::program::{Program, Root};
use timer::Timer;
pub(crate) use timer::Times;

use crate::schedule::{FAULT_BYTES, Holder, Schedule};

/// All memory that one run at a time takes for one set of shapes.
pub(crate) struct Arena {
    slots: Vec<Block>,
    groups: Vec<BindGroup>,
    readback: Block,
    /// The number of a step that found a value that it cannot go on with, plus 1.
    faults: Block,
    /// What nodes on the CPU take goes through it.
    staging: Option<Block>,
    timer: Option<Timer>,
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
    pub times: &'a Times,
}

const SLOT: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_DST).union(BufferUsages::COPY_SRC);

/// How long to wait for another thread before looking again.
const GLANCE: Duration = Duration::from_millis(1);

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
        let faults = allocate("its faults", FAULT_BYTES, SLOT)?;
        let uniform_usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let uniforms = allocate("its parameters", schedule.uniforms.len() as u64, uniform_usage)?;
        let readback_usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let readback = allocate("its outputs", schedule.fault_place() + FAULT_BYTES, readback_usage)?;
        for (slot, bytes) in schedule.derived.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            gpu.queue.write_buffer(&slots[*slot].buffer, 0, bytes);
        }
        let staging = match schedule.staging() {
            0 => None,
            bytes => Some(allocate("what the CPU takes", bytes, readback_usage)?),
        };
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
            let buffers = buffers.chain(launch.has_faults.then(|| faults.buffer.as_entire_binding()));
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
        let timer = gpu.timings.then(|| Timer::new(gpu, schedule, quota)).transpose()?;
        Ok(Self { slots, groups, readback, faults, staging, timer, _uniforms: uniforms })
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
        if schedule.has_faults() {
            self.gpu.queue.write_buffer(&arena.faults.buffer, 0, &[0; FAULT_BYTES as usize]);
        }
        let last = self.submit(schedule, arena, context, started)?;
        let (done, mapped) = mpsc::channel();
        arena.readback.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody listens any more once the call was given up.
            let _ = done.send(result.map_err(|error| error.to_string()));
        });
        self.wait(&last)?;
        self.receive(&mapped, context, started)?;
        let outputs = self.read(schedule, arena);
        arena.readback.buffer.unmap();
        if let Some(timer) = &arena.timer {
            timer.tell(self.gpu, self.program, schedule, self.times)?;
        }
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
        let mut hosts = schedule.hosts.iter().peekable();
        loop {
            while let Some(run) = hosts.next_if(|run| run.before == next) {
                context.check(started).map_err(given_up)?;
                self.run_host(schedule, run, arena, context, started)?;
            }
            if let Some(early) = submitted.len().checked_sub(IN_FLIGHT) {
                self.wait(&submitted[early])?;
                context.check(started).map_err(given_up)?;
            }
            let most = hosts.peek().map_or(schedule.launches.len(), |run| run.before) - next;
            let end = next + portion(schedule, next, self.gpu.submission).min(most);
            let is_last = end == schedule.launches.len() && hosts.peek().is_none();
            let index = self.gpu.guarded("a run", 0, || {
                let mut encoder =
                    self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                self.encode(&mut encoder, schedule, arena, next..end);
                if is_last {
                    self.copy_outputs(&mut encoder, schedule, arena);
                    if let Some(timer) = &arena.timer {
                        timer.resolve(&mut encoder, schedule);
                    }
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
        let dispatch = |pass: &mut ComputePass<'_>, index: usize| {
            let launch = &schedule.launches[index];
            let [x, y, z] = launch.workgroups;
            pass.set_pipeline(&self.pipelines[launch.step][launch.variant].raw);
            pass.set_bind_group(0, &arena.groups[index], &[]);
            pass.dispatch_workgroups(x, y, z);
        };
        if let Some(timer) = &arena.timer {
            for index in launches {
                let timestamp_writes = Some(timer.writes(index));
                let descriptor = ComputePassDescriptor { label: None, timestamp_writes };
                dispatch(&mut encoder.begin_compute_pass(&descriptor), index);
            }
            return;
        }
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        launches.for_each(|index| dispatch(&mut pass, index));
    }

    fn copy_outputs(&self, encoder: &mut CommandEncoder, schedule: &Schedule, arena: &Arena) {
        for output in schedule.outputs.iter().filter(|output| output.bytes > 0) {
            let holder = self.buffer(&arena.slots, output.holder);
            let readback = &arena.readback.buffer;
            encoder.copy_buffer_to_buffer(holder, output.offset, readback, output.place, output.bytes);
        }
        if schedule.has_faults() {
            let place = schedule.fault_place();
            encoder.copy_buffer_to_buffer(
                &arena.faults.buffer,
                0,
                &arena.readback.buffer,
                place,
                FAULT_BYTES,
            );
        }
    }

    /// Waits until a submission is done, which takes the time of a portion at
    /// most. Not in shorter turns: the library panics where a wait that ran out
    /// of time meets another thread's.
    fn wait(&self, submission: &SubmissionIndex) -> Result<()> {
        let wait = PollType::Wait { submission_index: Some(submission.clone()), timeout: None };
        let waited = self.gpu.device.poll(wait);
        if waited.is_err() && self.gpu.was_lost() {
            return self.gpu.check();
        }
        self.gpu.check()?;
        waited.map(drop).map_err(|error| Error::Failed(error.to_string()))
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
                    self.gpu.was_lost();
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

    fn check_fault(&self, bytes: &[u8]) -> Result<()> {
        let number = bytes.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let Some(of) = (number as usize).checked_sub(1).and_then(|step| self.program.steps.get(step)) else {
            return Ok(());
        };
        let node = of.nodes.first().map_or("", String::as_str);
        Err(Error::Failed(format!("node `{node}`: {}", of.step.fault())))
    }

    fn read(&self, schedule: &Schedule, arena: &Arena) -> Result<Vec<Tensor>> {
        let range = arena.readback.buffer.get_mapped_range(..);
        let mapped = range.map_err(|error| Error::Failed(format!("the outputs cannot be read: {error}")))?;
        if schedule.has_faults() {
            let place = schedule.fault_place() as usize;
            self.check_fault(&mapped[place..])?;
        }
        let outputs = schedule.outputs.iter().zip(&self.program.outputs);
        let tensors = outputs.map(|(output, view)| {
            let bytes = &mapped[output.place as usize..(output.place + output.bytes) as usize];
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

/// Why a call does not go on.
pub(crate) fn given_up(error: samara_nn::Error) -> Error {
    match error {
        samara_nn::Error::Timeout { after } => Error::Timeout { after },
        _ => Error::Cancelled,
    }
}
