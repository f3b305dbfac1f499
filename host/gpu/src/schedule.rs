//! A program for inputs of certain shapes: every launch with its numbers, and
//! every buffer with its place in memory.

mod lives;
mod slots;

use std::collections::HashSet;

use tract_core::internal::{SymbolValues, TDim};

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::to_device;
use crate::lower::HostInput;
use crate::program::{Cost, Launch, Origin, Place, Program, Root};
use crate::view::{View, volume};
use lives::Lives;
use slots::assign;

/// The sizes that the symbols of a program stand for.
pub(crate) struct Sizes {
    values: SymbolValues,
}

/// All that a run needs to know, made once per set of input shapes.
pub(crate) struct Schedule {
    /// The shapes of the inputs that it is for.
    pub shapes: Vec<Vec<usize>>,
    pub launches: Vec<Planned>,
    /// Nodes that the CPU computes, in the order of the run.
    pub hosts: Vec<HostRun>,
    pub sizes: Sizes,
    /// Bytes of each piece of memory.
    pub slots: Vec<u64>,
    /// Where each input is written to.
    pub inputs: Vec<Holder>,
    pub outputs: Vec<Output>,
    /// What is written once and never again: the slot and its bytes.
    pub derived: Vec<(usize, Vec<u8>)>,
    /// The parameters of all launches, one after the other.
    pub uniforms: Vec<u8>,
}

/// A launch with its place in the uniforms and its memory.
pub(crate) struct Planned {
    pub step: usize,
    pub variant: usize,
    pub uniform: std::ops::Range<u64>,
    pub writes: Holder,
    pub reads: Vec<Holder>,
    /// Whether it also takes the place for faults.
    pub has_faults: bool,
    pub workgroups: [u32; 3],
    pub cost: Cost,
}

/// A node that the CPU computes.
pub(crate) struct HostRun {
    pub step: usize,
    /// How many launches come before it.
    pub before: usize,
    /// What it takes from the device.
    pub inputs: Vec<Output>,
    /// What it gives to the device, whole buffers.
    pub outputs: Vec<Output>,
}

/// What holds a buffer's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Slot(usize),
    Constant(Root),
}

/// A tensor that leaves the device.
pub(crate) struct Output {
    pub holder: Holder,
    pub dtype: Dtype,
    /// Where its bytes begin in the holder.
    pub offset: u64,
    pub shape: Vec<usize>,
    pub elements: u64,
    /// Bytes that are read back, whole words of them.
    pub bytes: u64,
    /// Where they lie in what is read back.
    pub place: u64,
}

/// Bytes of the place where steps tell faults, which is read back behind the
/// outputs.
pub(crate) const FAULT_BYTES: u64 = 8;

/// What a device can address.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// The most bytes of one tensor.
    pub tensor: u64,
    /// How uniforms are aligned.
    pub uniform_alignment: u64,
    /// The most workgroups along one dimension.
    pub workgroups: u32,
}

impl Sizes {
    pub(crate) fn new(values: SymbolValues) -> Self {
        Self { values }
    }

    pub(crate) fn values(&self) -> &SymbolValues {
        &self.values
    }

    /// # Errors
    /// When the value does not follow from the sizes of the inputs.
    pub(crate) fn signed(&self, size: &TDim) -> Result<i64> {
        size.eval_to_i64(&self.values)
            .map_err(|_| Error::Failed(format!("the size {size} does not follow from the inputs")))
    }

    /// A size that a shader takes as a number of 32 bits.
    ///
    /// # Errors
    /// When it is negative, too large, or does not follow from the inputs.
    pub(crate) fn size(&self, size: &TDim) -> Result<u32> {
        let value = self.signed(size)?;
        u32::try_from(value).ok().filter(|&value| value <= LARGEST).ok_or_else(|| match value {
            ..0 => Error::Failed(format!("the size {size} would be {value}")),
            _ => Error::TooLarge {
                what: format!("the size {size}"),
                size: value.unsigned_abs(),
                limit: u64::from(LARGEST),
            },
        })
    }

    /// # Errors
    /// As [`Sizes::size`].
    pub(crate) fn volume(&self, view: &View) -> Result<u32> {
        self.size(&view.volume())
    }
}

/// Indices are computed in 32 bits, signed on the way.
const LARGEST: u32 = i32::MAX as u32;

impl Schedule {
    /// # Errors
    /// [`Error::TooLarge`] when a tensor takes more than `bounds` allow.
    pub(crate) fn new(
        program: &Program,
        shapes: Vec<Vec<usize>>,
        sizes: Sizes,
        bounds: &Bounds,
    ) -> Result<Self> {
        check_assumed(program, &sizes)?;
        let bytes = buffer_bytes(program, &sizes, bounds)?;
        let launches: Vec<Vec<Launch>> =
            program.steps.iter().map(|of| of.step.launches(&of.variants, &sizes)).collect::<Result<_>>()?;
        let lives = Lives::of(program, &bytes, &launches, bounds)?;
        let (slot_of, slots) = assign(&lives.intervals);
        let holder = |root: Root| match lives.interval_of[root.0] {
            Some(interval) => Holder::Slot(slot_of[interval]),
            None => Holder::Constant(root),
        };
        let mut uniforms = Vec::new();
        let mut planned: Vec<Planned> = Vec::new();
        let mut hosts = Vec::new();
        for (step, launches) in launches.into_iter().enumerate() {
            if let Some(node) = program.steps[step].step.host() {
                let read = node.inputs.iter().filter_map(HostInput::tensor).map(|(view, _)| view);
                let inputs = side_by_side(read, &holder, &sizes)?;
                let outputs = side_by_side(node.outputs.iter(), &holder, &sizes)?;
                hosts.push(HostRun { step, before: planned.len(), inputs, outputs });
            }
            for mut launch in launches {
                if launch.workgroups.contains(&0) {
                    continue;
                }
                check_workgroups(&program.steps[step].nodes, launch.workgroups, bounds)?;
                let place = |place: &Place| match place {
                    Place::Root(root) => holder(*root),
                    Place::Scratch { number, .. } => Holder::Slot(slot_of[lives.scratch(step, *number)]),
                };
                let has_faults = program.steps[step].variants[launch.variant].shader.has_faults;
                if has_faults {
                    // 0 means that there was none.
                    launch.params[0] = step as u32 + 1;
                }
                let start = uniforms.len() as u64;
                uniforms.extend(launch.params.iter().flat_map(|word| word.to_le_bytes()));
                let end = uniforms.len() as u64;
                uniforms.resize(end.next_multiple_of(bounds.uniform_alignment) as usize, 0);
                planned.push(Planned {
                    step,
                    variant: launch.variant,
                    uniform: start..end,
                    writes: place(&launch.writes),
                    reads: launch.reads.iter().map(place).collect(),
                    has_faults,
                    workgroups: launch.workgroups,
                    cost: launch.cost,
                });
            }
        }
        let outputs = side_by_side(program.outputs.iter(), &holder, &sizes)?;
        Ok(Self {
            shapes,
            launches: planned,
            slots,
            inputs: program.inputs.iter().map(|&root| holder(root)).collect(),
            outputs,
            derived: derived(program, &sizes, &lives, &slot_of)?,
            hosts,
            sizes,
            uniforms,
        })
    }

    /// Whether any launch may tell a fault.
    pub(crate) fn has_faults(&self) -> bool {
        self.launches.iter().any(|launch| launch.has_faults)
    }

    /// Where what is read back has the place for faults: behind the outputs.
    pub(crate) fn fault_place(&self) -> u64 {
        end(&self.outputs)
    }

    /// Bytes of memory through which nodes on the CPU get what they take.
    pub(crate) fn staging(&self) -> u64 {
        self.hosts.iter().map(HostRun::bytes).max().unwrap_or(0)
    }

    /// Bytes of all memory that a run takes on the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.slots.iter().sum::<u64>()
            + self.uniforms.len() as u64
            + self.staging()
            + self.fault_place()
            + 2 * FAULT_BYTES
    }
}

fn check_assumed(program: &Program, sizes: &Sizes) -> Result<()> {
    for (one, other) in &program.assumed {
        let (found, expected) = (sizes.signed(one)?, sizes.signed(other)?);
        if found != 1 && found != expected {
            return Err(Error::Failed(format!(
                "two tensors do not fit together: the sizes {one} and {other} are {found} and {expected}"
            )));
        }
    }
    Ok(())
}

impl HostRun {
    /// Bytes of what it takes from the device.
    pub(crate) fn bytes(&self) -> u64 {
        end(&self.inputs)
    }
}

/// Where the next tensor would begin.
fn end(tensors: &[Output]) -> u64 {
    tensors.last().map_or(0, |last| (last.place + last.bytes).next_multiple_of(8))
}

/// Tensors that leave the device together, each with its place.
fn side_by_side<'v>(
    views: impl Iterator<Item = &'v View>,
    holder: &impl Fn(Root) -> Holder,
    sizes: &Sizes,
) -> Result<Vec<Output>> {
    let mut tensors: Vec<Output> = Vec::new();
    for view in views {
        let place = end(&tensors);
        tensors.push(output(view, holder(view.root), place, sizes)?);
    }
    Ok(tensors)
}

fn output(view: &View, holder: Holder, place: u64, sizes: &Sizes) -> Result<Output> {
    let shape = view.shape().iter().map(|size| Ok(sizes.size(size)? as usize)).collect::<Result<_>>()?;
    let offset = u64::from(sizes.size(&view.offset)?) * view.dtype.size();
    let elements = u64::from(sizes.volume(view)?);
    let bytes = (elements * view.dtype.size()).next_multiple_of(4);
    Ok(Output { holder, dtype: view.dtype, offset, shape, elements, bytes, place })
}

/// The values that follow from sizes, each with a slot of its own.
fn derived(
    program: &Program,
    sizes: &Sizes,
    lives: &Lives,
    slot_of: &[usize],
) -> Result<Vec<(usize, Vec<u8>)>> {
    let mut all = Vec::new();
    for (index, buffer) in program.buffers.iter().enumerate() {
        if let (Origin::Derived(derived), Some(interval)) = (&buffer.origin, lives.interval_of[index]) {
            let tensor = derived.tensor(buffer.dtype, sizes)?;
            all.push((slot_of[interval], to_device(buffer.dtype, tensor.as_bytes()).into_owned()));
        }
    }
    Ok(all)
}

/// The buffers that anything is kept in: what was fused away leaves some behind.
fn used(program: &Program) -> HashSet<Root> {
    let steps = program.steps.iter().map(|of| &of.step);
    let of_steps =
        steps.flat_map(|step| step.reads().into_iter().chain(step.also_writes()).chain([step.writes()]));
    of_steps
        .chain(program.inputs.iter().copied())
        .chain(program.outputs.iter().map(|view| view.root))
        .collect()
}

/// The bytes of every buffer, those of constants among them.
fn buffer_bytes(program: &Program, sizes: &Sizes, bounds: &Bounds) -> Result<Vec<u64>> {
    let used = used(program);
    let bytes = program.buffers.iter().enumerate().map(|(index, buffer)| {
        if !used.contains(&Root(index)) {
            return Ok(0);
        }
        let elements = sizes.size(&volume(&buffer.shape))?;
        let bytes = u64::from(elements) * buffer.dtype.size();
        if bytes > bounds.tensor {
            let node = program.steps.iter().find(|step| {
                step.step.writes() == Root(index) || step.step.also_writes().contains(&Root(index))
            });
            let node = node.and_then(|step| step.nodes.last());
            let what = match node {
                Some(node) => format!("the size in bytes of what node `{node}` computes"),
                None => "the size in bytes of a tensor on the GPU".to_owned(),
            };
            return Err(Error::TooLarge { what, size: bytes, limit: bounds.tensor });
        }
        Ok(bytes)
    });
    bytes.collect()
}

fn check_workgroups(nodes: &[String], workgroups: [u32; 3], bounds: &Bounds) -> Result<()> {
    let most = workgroups.into_iter().max().unwrap_or(0);
    if most <= bounds.workgroups {
        return Ok(());
    }
    let node = nodes.last().map_or("", String::as_str);
    Err(Error::TooLarge {
        what: format!("the number of workgroups that node `{node}` takes"),
        size: u64::from(most),
        limit: u64::from(bounds.workgroups),
    })
}
