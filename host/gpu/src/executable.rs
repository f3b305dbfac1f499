//! A model on a device, ready to run.

use std::sync::{Arc, Mutex};

use samara_nn::{KernelTime, Mismatch, Plan, Precision, RunContext, Tensor};
use tract_core::internal::{Symbol, SymbolValues, TDim, TypedModel};
use wgpu::BufferUsages;

use crate::alloc::{Block, Quota};
use crate::device::{Gpu, Gpus, lock};
use crate::error::{Error, Refusal, Result};
use crate::exec::{Arena, Shared, Times, given_up};
use crate::io::to_device;
use crate::lower::{Abilities, lower};
use crate::matrices;
use crate::pipeline::Pipeline;
use crate::plan::plan;
use crate::program::{Origin, Program};
use crate::schedule::{Bounds, Schedule, Sizes};
use crate::shader::Shader;

/// What a model may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutableOptions {
    /// Bytes of the device's memory, weights and intermediate tensors of all
    /// runs together.
    pub memory_limit: u64,
    /// Bytes of one tensor.
    pub tensor_limit: u64,
    /// Whether nodes that the GPU has no kernel for may run on the CPU.
    pub allow_cpu_nodes: bool,
    /// How exactly products of matrices are computed.
    pub precision: Precision,
}

impl Default for ExecutableOptions {
    fn default() -> Self {
        Self {
            memory_limit: 4 << 30,
            tensor_limit: 2 << 30,
            allow_cpu_nodes: false,
            precision: Precision::Exact,
        }
    }
}

/// A model on a GPU, save for what was left to the CPU. Any number of threads may run it at once.
pub struct Executable {
    gpus: Arc<Gpus>,
    adapter: Option<u32>,
    program: Program,
    input_names: Vec<String>,
    options: ExecutableOptions,
    resident: Mutex<Arc<Resident>>,
    times: Times,
}

/// What a model holds on its device.
struct Resident {
    gpu: Arc<Gpu>,
    bounds: Bounds,
    pipelines: Vec<Vec<Arc<Pipeline>>>,
    constants: Vec<Option<Block>>,
    quota: Quota,
    /// The one that was used last comes first.
    prepared: Mutex<Vec<Prepared>>,
}

/// A schedule with memory that no run is using.
struct Prepared {
    schedule: Arc<Schedule>,
    idle: Vec<Arena>,
}

/// Sets of input shapes that stay prepared.
const MOST_PREPARED: usize = 16;

impl Executable {
    /// Lowers a typed model, and puts it on the adapter with this number, or the
    /// first.
    ///
    /// # Errors
    /// [`Error::NoAdapter`]; [`Error::NoMatrices`] where it does not compute with the
    /// precision of `options`; [`Error::Unsupported`] naming all nodes that cannot
    /// run there; [`Error::TooLarge`] and [`Error::OutOfMemory`].
    pub fn load(
        gpus: &Arc<Gpus>,
        adapter: Option<u32>,
        model: &TypedModel,
        options: &ExecutableOptions,
    ) -> Result<Self> {
        let gpu = matrices::open(gpus, adapter, options.precision)?;
        let abilities = gpu.abilities;
        Self::on(gpus, adapter, gpu, abilities, model, options)
    }

    /// Puts a typed model on a device, as if that had these abilities.
    ///
    /// # Errors
    /// As [`Executable::load`], once the device is open.
    pub(crate) fn on(
        gpus: &Arc<Gpus>,
        adapter: Option<u32>,
        gpu: Arc<Gpu>,
        abilities: Abilities,
        model: &TypedModel,
        options: &ExecutableOptions,
    ) -> Result<Self> {
        let program = lower(model, abilities, options.allow_cpu_nodes)?;
        let resident = Resident::new(gpu, &program, options)?;
        let inputs = model.input_outlets().map_err(|error| Error::Failed(error.to_string()))?;
        let input_names = inputs.iter().map(|input| model.node(input.node).name.clone()).collect();
        Ok(Self {
            gpus: Arc::clone(gpus),
            adapter,
            program,
            input_names,
            options: *options,
            resident: Mutex::new(Arc::new(resident)),
            times: Times::default(),
        })
    }

    /// Runs the model. Inputs are in its order and of its datatypes.
    ///
    /// # Errors
    /// [`Error::Input`] when sizes contradict each other; [`Error::TooLarge`]
    /// before memory is taken; [`Error::Timeout`], [`Error::Cancelled`];
    /// [`Error::Lost`], after which the next run opens the device again.
    pub fn run(&self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>> {
        context.check(std::time::Instant::now()).map_err(given_up)?;
        let resident = self.resident()?;
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|tensor| tensor.shape().to_vec()).collect();
        let (schedule, idle) = resident.take(&self.program, &shapes, |shapes| self.sizes(shapes))?;
        let shared = resident.shared(&self.program, &self.times);
        let arena = match idle {
            Some(arena) => arena,
            None => resident.arena(&shared, &schedule)?,
        };
        let outputs = shared.run(&schedule, &arena, inputs, context)?;
        resident.give_back(&schedule, arena);
        Ok(outputs)
    }

    /// Bytes that it holds on the device now.
    pub fn device_bytes(&self) -> u64 {
        lock(&self.resident).quota.used()
    }

    /// What each of its kernels took so far, where that is measured.
    pub fn kernel_times(&self) -> Vec<KernelTime> {
        self.times.read()
    }

    /// The nodes that run on the CPU, each with the reason.
    pub fn cpu_nodes(&self) -> &[Refusal] {
        &self.program.elsewhere
    }

    /// What a run for inputs of these shapes does.
    ///
    /// # Errors
    /// As [`Executable::run`].
    pub fn plan(&self, shapes: &[Vec<usize>]) -> Result<Plan> {
        let resident = self.resident()?;
        let (schedule, idle) = resident.take(&self.program, shapes, |shapes| self.sizes(shapes))?;
        if let Some(arena) = idle {
            resident.give_back(&schedule, arena);
        }
        Ok(plan(&self.program, &schedule))
    }

    /// What the model holds on its device, made anew where that was lost.
    fn resident(&self) -> Result<Arc<Resident>> {
        let mut resident = lock(&self.resident);
        if resident.gpu.is_lost() {
            let gpu = matrices::open(&self.gpus, self.adapter, self.options.precision)?;
            *resident = Arc::new(Resident::new(gpu, &self.program, &self.options)?);
        }
        Ok(Arc::clone(&resident))
    }

    /// The sizes that input shapes give to the symbols.
    fn sizes(&self, shapes: &[Vec<usize>]) -> Result<Sizes> {
        let declared: Vec<&[TDim]> =
            self.program.inputs.iter().map(|&root| &self.program.buffer(root).shape[..]).collect();
        let mut values = SymbolValues::default();
        let mut seen: Vec<(&Symbol, usize, usize)> = Vec::new();
        for (index, (declared, shape)) in declared.iter().zip(shapes).enumerate() {
            for (axis, (size, &found)) in declared.iter().zip(shape).enumerate() {
                let TDim::Sym(symbol) = size else { continue };
                match seen.iter().find(|(known, ..)| *known == symbol) {
                    Some(&(_, other, other_axis)) if shapes[other][other_axis] != found => {
                        return Err(Error::Input(Mismatch::Unequal {
                            tensor: self.input_names[index].clone(),
                            axis,
                            found,
                            other: self.input_names[other].clone(),
                            other_axis,
                            expected: shapes[other][other_axis],
                        }));
                    }
                    Some(_) => {}
                    None => {
                        seen.push((symbol, index, axis));
                        values.set(symbol, found as i64);
                    }
                }
            }
        }
        let sizes = Sizes::new(values);
        for (index, (declared, shape)) in declared.iter().zip(shapes).enumerate() {
            let expected: Vec<i64> = declared.iter().map(|size| sizes.signed(size)).collect::<Result<_>>()?;
            if !expected.iter().copied().eq(shape.iter().map(|&size| size as i64)) {
                let tensor = self.input_names[index].clone();
                return Err(Error::Input(Mismatch::Shape { tensor, expected, found: shape.clone() }));
            }
        }
        Ok(sizes)
    }
}

impl Resident {
    fn new(gpu: Arc<Gpu>, program: &Program, options: &ExecutableOptions) -> Result<Self> {
        let quota = Quota::new(options.memory_limit);
        let bounds = Bounds { tensor: gpu.bounds.tensor.min(options.tensor_limit), ..gpu.bounds.clone() };
        check_constants(program, &bounds, &quota)?;
        let shaders: Vec<&Shader> =
            program.steps.iter().flat_map(|of| &of.variants).map(|variant| &variant.shader).collect();
        let mut compiled = gpu.pipelines(&shaders)?.into_iter();
        let of_step = program.steps.iter().map(|of| compiled.by_ref().take(of.variants.len()).collect());
        let pipelines = of_step.collect();
        let constants = upload(&gpu, program, &quota)?;
        Ok(Self { gpu, bounds, pipelines, constants, quota, prepared: Mutex::default() })
    }

    fn shared<'a>(&'a self, program: &'a Program, times: &'a Times) -> Shared<'a> {
        Shared { gpu: &self.gpu, program, pipelines: &self.pipelines, constants: &self.constants, times }
    }

    /// The schedule for these shapes, and memory for it where some is idle.
    fn take(
        &self,
        program: &Program,
        shapes: &[Vec<usize>],
        sizes: impl FnOnce(&[Vec<usize>]) -> Result<Sizes>,
    ) -> Result<(Arc<Schedule>, Option<Arena>)> {
        {
            let mut prepared = lock(&self.prepared);
            if let Some(index) = prepared.iter().position(|known| known.schedule.shapes == shapes) {
                prepared[..=index].rotate_right(1);
                let arena = prepared[0].idle.pop();
                return Ok((Arc::clone(&prepared[0].schedule), arena));
            }
        }
        let schedule = Arc::new(Schedule::new(program, shapes.to_vec(), sizes(shapes)?, &self.bounds)?);
        let mut prepared = lock(&self.prepared);
        prepared.truncate(MOST_PREPARED - 1);
        prepared.insert(0, Prepared { schedule: Arc::clone(&schedule), idle: Vec::new() });
        Ok((schedule, None))
    }

    /// Memory for a run; that which no run uses makes room where there is none.
    fn arena(&self, shared: &Shared<'_>, schedule: &Schedule) -> Result<Arena> {
        if !self.quota.allows(schedule.bytes()) {
            lock(&self.prepared).iter_mut().for_each(|prepared| prepared.idle.clear());
        }
        match Arena::new(shared, schedule, &self.quota) {
            Err(Error::OutOfMemory { .. }) => {
                lock(&self.prepared).iter_mut().for_each(|prepared| prepared.idle.clear());
                Arena::new(shared, schedule, &self.quota)
            }
            made => made,
        }
    }

    fn give_back(&self, schedule: &Arc<Schedule>, arena: Arena) {
        let mut prepared = lock(&self.prepared);
        if let Some(known) = prepared.iter_mut().find(|known| Arc::ptr_eq(&known.schedule, schedule)) {
            known.idle.push(arena);
        }
    }
}

fn constants(
    program: &Program,
) -> impl Iterator<Item = (usize, crate::dtype::Dtype, &tract_core::internal::Tensor)> {
    program.buffers.iter().enumerate().filter_map(|(index, buffer)| match &buffer.origin {
        Origin::Constant(tensor) => Some((index, buffer.dtype, &**tensor)),
        _ => None,
    })
}

/// Whether the weights fit, before any memory is taken.
fn check_constants(program: &Program, bounds: &Bounds, quota: &Quota) -> Result<()> {
    let mut all = 0u64;
    for (_, dtype, tensor) in constants(program) {
        let bytes = tensor.len() as u64 * dtype.size();
        if bytes > bounds.tensor {
            let what = "the size in bytes of a tensor of weights on the GPU".to_owned();
            return Err(Error::TooLarge { what, size: bytes, limit: bounds.tensor });
        }
        all = all.saturating_add(bytes);
    }
    match quota.allows(all) {
        true => Ok(()),
        false => Err(Error::TooLarge {
            what: "the GPU memory in bytes of its weights".to_owned(),
            size: all,
            limit: quota.limit(),
        }),
    }
}

fn upload(gpu: &Gpu, program: &Program, quota: &Quota) -> Result<Vec<Option<Block>>> {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    let mut blocks: Vec<Option<Block>> = program.buffers.iter().map(|_| None).collect();
    for (index, dtype, tensor) in constants(program) {
        let bytes = to_device(dtype, tensor.as_bytes());
        let block = quota.allocate(gpu, "its weights", bytes.len() as u64, usage)?;
        if !bytes.is_empty() {
            gpu.queue.write_buffer(&block.buffer, 0, &bytes);
        }
        blocks[index] = Some(block);
    }
    gpu.queue.submit([]);
    gpu.check()?;
    Ok(blocks)
}

#[cfg(test)]
mod tests;
