//! What operators have in common that compute each element of their output by
//! itself, one per thread, out of elements of their inputs wherever they lie.

use tract_core::internal::{TDim, TypedNode};

use super::Lowering;
use super::launch::{THREADS, launch, params, spread};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::{Tail, Word, render_place};
use crate::view::{Axis, View, volume};

/// A step of one kernel whose parameters are `step`, where it may find values
/// that it cannot go on with, `count` and then what [`Each::number`] gave.
pub(super) struct Each {
    kernel: &'static Kernel,
    inputs: Vec<(&'static str, View)>,
    places: Vec<(&'static str, View)>,
    declarations: Vec<String>,
    words: Vec<Word>,
    numbers: Vec<TDim>,
    fits: Vec<(TDim, TDim)>,
    rounds: u64,
    fault: Option<&'static str>,
    found: &'static str,
    shape: Vec<TDim>,
    tail: Tail,
    out: Root,
}

impl Each {
    /// A kernel that finds elements of the output's datatype.
    pub(super) fn new(kernel: &'static Kernel, out: &View) -> Self {
        Self {
            kernel,
            inputs: Vec::new(),
            places: Vec::new(),
            declarations: Vec::new(),
            words: Vec::new(),
            numbers: Vec::new(),
            fits: Vec::new(),
            rounds: 0,
            fault: None,
            found: out.dtype.stored(),
            shape: out.shape(),
            tail: Tail::of_kernel(out.dtype),
            out: out.root,
        }
    }

    /// The kernel finds values of another WGSL type.
    pub(super) fn finding(self, found: &'static str) -> Self {
        Self { found, ..self }
    }

    /// The kernel reads a tensor, which it calls so.
    pub(super) fn input(mut self, name: &'static str, view: &View) -> Self {
        self.inputs.push((name, view.clone()));
        self
    }

    /// The kernel calls a function that gives the place of an element in a view.
    pub(super) fn place(mut self, name: &'static str, view: View) -> Self {
        self.places.push((name, view));
        self
    }

    /// The kernel takes declarations, which read these words.
    pub(super) fn declare(mut self, text: impl Into<String>, words: Vec<Word>) -> Self {
        self.declarations.push(text.into());
        self.words = words;
        self
    }

    /// The next parameter.
    pub(super) fn number(mut self, number: impl Into<TDim>) -> Self {
        self.numbers.push(number.into());
        self
    }

    /// A size that must not be larger than another.
    pub(super) fn fits(mut self, size: TDim, most: TDim) -> Self {
        self.fits.push((size, most));
        self
    }

    /// Operations for each element.
    pub(super) fn rounds(self, rounds: u64) -> Self {
        Self { rounds, ..self }
    }

    /// What it means that the kernel cannot go on.
    pub(super) fn fault(self, fault: &'static str) -> Self {
        Self { fault: Some(fault), ..self }
    }

    pub(super) fn push(self, lowering: &mut Lowering<'_>, node: &TypedNode) {
        lowering.push(Box::new(self), vec![node.name.clone()]);
    }
}

impl Step for Each {
    fn name(&self) -> &'static str {
        self.kernel.name
    }

    fn reads(&self) -> Vec<Root> {
        let inputs = self.inputs.iter().map(|(_, view)| view);
        inputs.chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        let mut declarations = self.declarations.clone();
        let mut words = self.words.clone();
        for (name, view) in &self.places {
            let (place, all) = render_place(name, view, words);
            declarations.push(place);
            words = all;
        }
        let inputs: Vec<(&'static str, Dtype)> =
            self.inputs.iter().map(|(name, view)| (*name, view.dtype)).collect();
        let spec = Spec {
            inputs: &inputs,
            declarations,
            words,
            has_faults: self.fault.is_some(),
            ..Spec::new(self.kernel, self.found, Some(&self.tail))
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        for (size, most) in &self.fits {
            check_fits(size, most, sizes)?;
        }
        let count = sizes.size(&volume(&self.shape))?;
        let mut numbers = if self.fault.is_some() { vec![0, count] } else { vec![count] };
        for number in &self.numbers {
            // Strides may be negative: addresses wrap.
            numbers.push(sizes.signed(number)? as u32);
        }
        let params = params(&numbers, &variants[0], sizes)?;
        let cost = Cost { flops: self.rounds.saturating_mul(u64::from(count)), bytes: 8 * u64::from(count) };
        let workgroups = spread(count.div_ceil(THREADS));
        Ok(vec![launch(0, params, self.out, self.reads(), workgroups, cost)])
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }

    fn fault(&self) -> &'static str {
        self.fault.unwrap_or("it found a value that it cannot go on with")
    }
}

/// # Errors
/// When a size is larger than `most`.
pub(super) fn check_fits(size: &TDim, most: &TDim, sizes: &Sizes) -> Result<()> {
    let (found, bound) = (sizes.signed(size)?, sizes.signed(most)?);
    if found <= bound {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "two tensors do not fit together: the size {size} is {found}, more than the {bound} of {most}"
    )))
}

/// The sizes of `shape`, addressed by these strides in the buffer of `view`.
pub(super) fn strided(view: &View, shape: &[TDim], strides: impl IntoIterator<Item = TDim>) -> View {
    let axes = shape.iter().cloned().zip(strides).map(|(size, stride)| Axis { size, stride }).collect();
    View { axes, ..view.clone() }
}

/// The coordinate along an axis of the element with an index, as a place.
pub(super) fn coordinate(out: &View, axis: usize) -> View {
    let shape = out.shape();
    let strides = (0..shape.len()).map(|other| TDim::from(i64::from(other == axis)));
    View { offset: TDim::from(0), ..strided(out, &shape, strides) }
}
