//! Functions of single elements. A node's functions join the step that computes
//! its argument where nobody else reads that, and else make a step of their own.

pub(super) mod functions;

use tract_core::internal::{OutletId, TypedNode};

use super::launch::{THREADS, launch, params, spread};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Origin, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, MOST_READS, Spec, Variant};
use crate::tail::{Handle, Tail, render_place};
use crate::view::{View, same};

pub(super) static MAP: Kernel =
    Kernel { name: "map", body: include_str!("../kernels/map.wgsl"), params: &["count"] };

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let applied = match functions::recognise(node)? {
        Ok(applied) => applied,
        Err(reason) => return Some(Err(reason)),
    };
    Some(map(lowering, node, &applied).map(|view| vec![view]))
}

/// A step that computes its elements one by one.
pub(super) struct Map {
    tail: Tail,
    /// Where the elements go, which may be a part of the buffer.
    to: View,
}

impl Map {
    /// What a tail computes of its inputs.
    pub(super) fn new(tail: Tail, to: View) -> Self {
        Self { tail, to }
    }

    /// A copy row by row.
    pub(super) fn copy(from: View, to: Root) -> Self {
        let to = View::whole(to, from.dtype, &from.shape());
        Self::copy_into(from, to)
    }

    /// A copy to where a view says.
    pub(super) fn copy_into(from: View, to: View) -> Self {
        let mut tail = Tail::empty();
        tail.input(from);
        Self { tail, to }
    }

    fn variant(&self) -> Variant {
        let (place, words) = render_place("place", &self.to, Vec::new());
        let spec = Spec { declarations: vec![place], words, ..Spec::new(&MAP, "u32", Some(&self.tail)) };
        spec.render()
    }
}

impl Step for Map {
    fn name(&self) -> &'static str {
        if self.tail.calls() == 0 { "copy" } else { "map" }
    }

    fn reads(&self) -> Vec<Root> {
        self.tail.inputs().iter().map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.to.root
    }

    fn variants(&self) -> Vec<Variant> {
        vec![self.variant()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let count = sizes.volume(&self.to)?;
        let params = params(&[count], &variants[0], sizes)?;
        let read: u64 = self.tail.inputs().iter().map(|view| view.dtype.size()).sum();
        let cost = Cost {
            flops: u64::from(count) * self.tail.calls() as u64,
            bytes: u64::from(count) * (read + self.to.dtype.size()),
        };
        let workgroups = spread(count.div_ceil(THREADS));
        Ok(vec![launch(0, params, self.writes(), self.reads(), workgroups, cost)])
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.to.root = writes;
        self.to.dtype = tail.dtype(tail.last());
        self.tail = tail;
    }

    fn is_map(&self) -> bool {
        true
    }
}

/// An argument of a function.
enum Argument {
    Scalar(Dtype, [u32; 2]),
    Tensor(OutletId, View),
}

/// Where the value of an argument comes from, once it is decided what is fused.
#[derive(Clone, Copy, PartialEq)]
enum Fusion {
    /// The tail goes on behind the kernel of this step.
    Behind(usize),
    /// The functions of this step are taken over.
    Over(usize),
    None,
}

fn map(lowering: &mut Lowering<'_>, node: &TypedNode, applied: &functions::Applied) -> Result<View, String> {
    let (dtype, shape) = lowering.fact(node.id.into())?;
    let mut arguments = Vec::with_capacity(node.inputs.len());
    for &input in &node.inputs {
        arguments.push(argument(lowering, input, &shape)?);
    }
    let types: Vec<Dtype> = arguments
        .iter()
        .map(|argument| match argument {
            Argument::Scalar(dtype, _) => *dtype,
            Argument::Tensor(_, view) => view.dtype,
        })
        .collect();
    applied.check(&types, dtype)?;
    let mut fusions = fusions(lowering, node, &arguments);
    let tail = loop {
        let tail = build(lowering, &arguments, &fusions, applied, dtype);
        let behind = fusions
            .iter()
            .find_map(|fusion| if let Fusion::Behind(step) = fusion { Some(*step) } else { None });
        let read_by_kernel = behind.map_or(0, |step| kernel_reads(lowering, step));
        if read_by_kernel + tail.inputs().len() <= MOST_READS {
            break tail;
        }
        // Too many tensors for one shader: fuse less.
        if let Some(fusion) = fusions.iter_mut().rev().find(|fusion| matches!(fusion, Fusion::Over(_))) {
            let given_up = *fusion;
            fusions
                .iter_mut()
                .filter(|fusion| **fusion == given_up)
                .for_each(|fusion| *fusion = Fusion::None);
        } else {
            fusions.fill(Fusion::None);
        }
    };
    let root = lowering.buffer(dtype, &shape, Origin::Step);
    let view = View::whole(root, dtype, &shape);
    let mut nodes = Vec::new();
    let mut base = None;
    for fusion in fusions {
        let (Fusion::Behind(step) | Fusion::Over(step)) = fusion else { continue };
        if let Some(taken) = lowering.steps[step].take() {
            nodes.extend(taken.nodes);
            if matches!(fusion, Fusion::Behind(_)) {
                base = Some(taken.step);
            }
        }
    }
    nodes.push(node.name.clone());
    let step = match base {
        Some(mut step) => {
            step.set_tail(tail, root);
            step
        }
        None => Box::new(Map { tail, to: view.clone() }),
    };
    lowering.push(step, nodes);
    Ok(view)
}

fn argument(
    lowering: &mut Lowering<'_>,
    outlet: OutletId,
    shape: &[tract_core::internal::TDim],
) -> Result<Argument, String> {
    if let Some(tensor) = lowering.known(outlet)
        && let Some((dtype, bits)) = functions::uniform_bits(tensor)
    {
        lowering.check(dtype)?;
        return Ok(Argument::Scalar(dtype, bits));
    }
    let view = lowering.view(outlet)?;
    Ok(Argument::Tensor(outlet, lowering.broadcast(view, shape)))
}

/// Which steps can be fused: at most one whose kernel goes first, the latest.
fn fusions(lowering: &Lowering<'_>, node: &TypedNode, arguments: &[Argument]) -> Vec<Fusion> {
    let mut fusions: Vec<Fusion> = arguments
        .iter()
        .map(|argument| {
            let Argument::Tensor(outlet, view) = argument else { return Fusion::None };
            let step = lowering.only_for(*outlet, view, node);
            let Some((step, of)) = step.and_then(|step| Some((step, lowering.steps[step].as_ref()?))) else {
                return Fusion::None;
            };
            let whole =
                of.step.tail().is_some() && same(&view.volume(), &volume_of(lowering, of.step.writes()));
            match (whole, of.step.is_map()) {
                (false, _) => Fusion::None,
                (true, true) => Fusion::Over(step),
                (true, false) => Fusion::Behind(step),
            }
        })
        .collect();
    let latest = fusions
        .iter()
        .filter_map(|fusion| if let Fusion::Behind(step) = fusion { Some(*step) } else { None })
        .max();
    for fusion in &mut fusions {
        if matches!(fusion, Fusion::Behind(step) if Some(*step) != latest) {
            *fusion = Fusion::None;
        }
    }
    fusions
}

fn volume_of(lowering: &Lowering<'_>, root: Root) -> tract_core::internal::TDim {
    crate::view::volume(&lowering.buffers[root.0].shape)
}

/// The tensors that the kernel of a step reads itself.
fn kernel_reads(lowering: &Lowering<'_>, step: usize) -> usize {
    lowering.steps[step]
        .as_ref()
        .map_or(0, |of| of.step.reads().len() - of.step.tail().map_or(0, |tail| tail.inputs().len()))
}

fn build(
    lowering: &Lowering<'_>,
    arguments: &[Argument],
    fusions: &[Fusion],
    applied: &functions::Applied,
    dtype: Dtype,
) -> Tail {
    let tail_of = |step: usize| lowering.steps[step].as_ref().and_then(|of| of.step.tail()).cloned();
    let mut tail = Tail::empty();
    let mut absorbed: Vec<(usize, Handle)> = Vec::new();
    // What follows a kernel begins with the value that the kernel found.
    let mut order: Vec<usize> = (0..fusions.len()).filter(|&index| fusions[index] != Fusion::None).collect();
    order.sort_by_key(|&index| matches!(fusions[index], Fusion::Over(_)));
    for index in order {
        let (Fusion::Behind(step) | Fusion::Over(step)) = fusions[index] else { continue };
        if absorbed.iter().all(|(known, _)| *known != step)
            && let Some(other) = tail_of(step)
        {
            absorbed.push((step, tail.absorb(other)));
        }
    }
    let handles: Vec<Handle> = arguments
        .iter()
        .zip(fusions)
        .map(|(argument, fusion)| match (argument, fusion) {
            (Argument::Scalar(dtype, bits), _) => tail.scalar(*dtype, *bits),
            (Argument::Tensor(_, view), Fusion::None) => tail.input(view.clone()),
            (Argument::Tensor(_, view), Fusion::Behind(step) | Fusion::Over(step)) => {
                let known = absorbed.iter().find(|(known, _)| known == step);
                known.map_or_else(|| tail.input(view.clone()), |(_, handle)| *handle)
            }
        })
        .collect();
    applied.apply(&mut tail, &handles, dtype);
    tail
}
