//! How long each buffer holds what somebody still reads.

use super::Bounds;
use super::slots::Interval;
use crate::error::{Error, Result};
use crate::program::{Launch, Origin, Place, Program, Root};

/// When each buffer and each piece of scratch memory is in use.
pub(super) struct Lives {
    pub intervals: Vec<Interval>,
    /// `None` for constants.
    pub interval_of: Vec<Option<usize>>,
    /// Step, number and interval.
    scratch: Vec<(usize, usize, usize)>,
}

impl Lives {
    /// # Errors
    /// [`Error::TooLarge`] for scratch memory beyond `bounds`.
    pub(super) fn of(
        program: &Program,
        bytes: &[u64],
        launches: &[Vec<Launch>],
        bounds: &Bounds,
    ) -> Result<Self> {
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
            step.step.also_writes().into_iter().for_each(|root| lives.begin(root, bytes, now));
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

    /// The interval of a step's scratch memory.
    pub(super) fn scratch(&self, step: usize, number: usize) -> usize {
        let found = self.scratch.iter().find(|&&(known, other, _)| (known, other) == (step, number));
        found.map_or(0, |&(_, _, interval)| interval)
    }
}
