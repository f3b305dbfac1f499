//! A program for inputs of certain shapes: every launch with its numbers, and
//! every buffer with its place in memory.

mod slots;

use tract_core::internal::{SymbolValues, TDim};

use crate::error::{Error, Result};
use crate::io::to_device;
use crate::program::{Cost, Launch, Origin, Place, Program, Root};
use crate::view::{View, volume};
use slots::{Interval, assign};

/// The sizes that the symbols of a program stand for.
pub(crate) struct Sizes {
    values: SymbolValues,
}

/// All that a run needs to know, made once per set of input shapes.
pub(crate) struct Schedule {
    /// The shapes of the inputs that it is for.
    pub shapes: Vec<Vec<usize>>,
    pub launches: Vec<Planned>,
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

/// What holds a buffer's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Slot(usize),
    Constant(Root),
}

pub(crate) struct Output {
    pub holder: Holder,
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
        sizes: &Sizes,
        bounds: &Bounds,
    ) -> Result<Self> {
        check_assumed(program, sizes)?;
        let bytes = buffer_bytes(program, sizes, bounds)?;
        let launches: Vec<Vec<Launch>> =
            program.steps.iter().map(|of| of.step.launches(&of.variants, sizes)).collect::<Result<_>>()?;
        let lives = Lives::of(program, &bytes, &launches, bounds)?;
        let (slot_of, slots) = assign(&lives.intervals);
        let holder = |root: Root| match lives.interval_of[root.0] {
            Some(interval) => Holder::Slot(slot_of[interval]),
            None => Holder::Constant(root),
        };
        let mut uniforms = Vec::new();
        let mut planned = Vec::new();
        for (step, launches) in launches.into_iter().enumerate() {
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
        let mut outputs: Vec<Output> = Vec::with_capacity(program.outputs.len());
        for view in &program.outputs {
            let place = outputs.last().map_or(0, |last| (last.place + last.bytes).next_multiple_of(8));
            outputs.push(output(view, holder(view.root), place, sizes)?);
        }
        Ok(Self {
            shapes,
            launches: planned,
            slots,
            inputs: program.inputs.iter().map(|&root| holder(root)).collect(),
            outputs,
            derived: derived(program, sizes, &lives, &slot_of)?,
            uniforms,
        })
    }

    /// Whether any launch may tell a fault.
    pub(crate) fn has_faults(&self) -> bool {
        self.launches.iter().any(|launch| launch.has_faults)
    }

    /// Where what is read back has the place for faults: behind the outputs.
    pub(crate) fn fault_place(&self) -> u64 {
        self.outputs.last().map_or(0, |last| (last.place + last.bytes).next_multiple_of(8))
    }

    /// Bytes of all memory that a run takes on the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.slots.iter().sum::<u64>() + self.uniforms.len() as u64 + self.fault_place() + 2 * FAULT_BYTES
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

fn output(view: &View, holder: Holder, place: u64, sizes: &Sizes) -> Result<Output> {
    let shape = view.shape().iter().map(|size| Ok(sizes.size(size)? as usize)).collect::<Result<_>>()?;
    let offset = u64::from(sizes.size(&view.offset)?) * view.dtype.size();
    let elements = u64::from(sizes.volume(view)?);
    let bytes = (elements * view.dtype.size()).next_multiple_of(4);
    Ok(Output { holder, offset, shape, elements, bytes, place })
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

/// The bytes of every buffer, those of constants among them.
fn buffer_bytes(program: &Program, sizes: &Sizes, bounds: &Bounds) -> Result<Vec<u64>> {
    let bytes = program.buffers.iter().enumerate().map(|(index, buffer)| {
        let elements = sizes.size(&volume(&buffer.shape))?;
        let bytes = u64::from(elements) * buffer.dtype.size();
        if bytes > bounds.tensor {
            let node = program.steps.iter().find(|step| step.step.writes() == Root(index));
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

/// When each buffer and each piece of scratch memory is in use.
struct Lives {
    intervals: Vec<Interval>,
    /// `None` for constants.
    interval_of: Vec<Option<usize>>,
    /// Step, number and interval.
    scratch: Vec<(usize, usize, usize)>,
}

impl Lives {
    fn of(program: &Program, bytes: &[u64], launches: &[Vec<Launch>], bounds: &Bounds) -> Result<Self> {
        let end = program.steps.len() + 1;
        let mut lives = Self {
            intervals: Vec::new(),
            interval_of: vec![None; program.buffers.len()],
            scratch: Vec::new(),
        };
        // Step 0 is the writing of the inputs.
        for &root in &program.inputs {
            lives.begin(root, bytes, 0);
        }
        for (index, buffer) in program.buffers.iter().enumerate() {
            if matches!(buffer.origin, Origin::Derived(_)) {
                lives.begin(Root(index), bytes, 0);
                lives.extend(Root(index), end);
            }
        }
        for (index, step) in program.steps.iter().enumerate() {
            let now = index + 1;
            lives.begin(step.step.writes(), bytes, now);
            for root in step.step.reads() {
                lives.extend(root, now);
            }
            for place in launches[index].iter().flat_map(|launch| launch.reads.iter().chain([&launch.writes]))
            {
                lives.add_scratch(index, now, place, bounds)?;
            }
        }
        for output in &program.outputs {
            lives.extend(output.root, end);
        }
        debug_assert!(program.buffers.iter().zip(&lives.interval_of).all(|(buffer, interval)| {
            interval.is_none() || !matches!(buffer.origin, Origin::Constant(_))
        }));
        Ok(lives)
    }

    fn begin(&mut self, root: Root, bytes: &[u64], now: usize) {
        match self.interval_of[root.0] {
            // A step that goes on writing what an earlier one began.
            Some(_) => self.extend(root, now),
            None => {
                self.interval_of[root.0] = Some(self.intervals.len());
                self.intervals.push(Interval { bytes: bytes[root.0], first: now, last: now });
            }
        }
    }

    fn extend(&mut self, root: Root, now: usize) {
        if let Some(interval) = self.interval_of[root.0] {
            let last = &mut self.intervals[interval].last;
            *last = now.max(*last);
        }
    }

    fn add_scratch(&mut self, step: usize, now: usize, place: &Place, bounds: &Bounds) -> Result<()> {
        let &Place::Scratch { number, bytes } = place else { return Ok(()) };
        if bytes > bounds.tensor {
            let what = "the size in bytes of memory for partial results".to_owned();
            return Err(Error::TooLarge { what, size: bytes, limit: bounds.tensor });
        }
        if !self.scratch.iter().any(|&(known, other, _)| (known, other) == (step, number)) {
            self.scratch.push((step, number, self.intervals.len()));
            self.intervals.push(Interval { bytes, first: now, last: now });
        }
        Ok(())
    }

    fn scratch(&self, step: usize, number: usize) -> usize {
        let found = self.scratch.iter().find(|&&(known, other, _)| (known, other) == (step, number));
        found.map_or(0, |&(_, _, interval)| interval)
    }
}
