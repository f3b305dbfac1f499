//! Products of matrices.

use tract_core::internal::{DatumType, TDim, TypedNode};
use tract_core::ops::einsum::prefix_matmul::PrefixMatMul;

use super::launch::{launch, params, spread};
use super::tiles::{Extent, Tiled, partial_tail, split_sum};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::Tail;
use crate::view::{Axis, View, is_one, same};

static GEMM: Kernel = Kernel {
    name: "gemm",
    body: include_str!("../kernels/gemm.wgsl"),
    params: &[
        "m", "n", "k", "a_offset", "a_m", "a_k", "b_offset", "b_k", "b_n", "batches", "batch1", "batch2",
        "a_batch0", "a_batch1", "a_batch2", "b_batch0", "b_batch1", "b_batch2", "splits", "share",
    ],
};

static GEMV: Kernel = Kernel {
    name: "gemv",
    body: include_str!("../kernels/gemv.wgsl"),
    params: &[
        "m", "n", "k", "a_offset", "a_m", "a_k", "b_offset", "b_k", "b_n", "batches", "batch1", "batch2",
        "a_batch0", "a_batch1", "a_batch2", "b_batch0", "b_batch1", "b_batch2", "out_m", "out_n",
    ],
};

/// A matrix of at most so many rows is taken whole by every workgroup.
const FEW: u32 = 4;
/// Axes over which products are repeated, at most.
const BATCH_AXES: usize = 3;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<PrefixMatMul>()?;
    Some(prefix(lowering, node, op).map(|view| vec![view]))
}

fn prefix(lowering: &mut Lowering<'_>, node: &TypedNode, op: &PrefixMatMul) -> Result<View, String> {
    if op.quantize_output.is_some() {
        return Err("products of quantised matrices are not computed on the GPU".to_owned());
    }
    let mut a = lowering.view(node.inputs[0])?;
    let mut b = lowering.view(node.inputs[1])?;
    let out = lowering.output(node)?;
    let found = accumulator(&a, &b, out.dtype, op.operating_dt)?;
    let rank = a.rank();
    if op.transpose_a {
        a.axes.swap(rank - 2, rank - 1);
    }
    if op.transpose_b {
        b.axes.swap(rank - 2, rank - 1);
    }
    if op.transpose_c {
        // What is asked for is the product of both, transposed, in the other order.
        std::mem::swap(&mut a, &mut b);
        a.axes.swap(rank - 2, rank - 1);
        b.axes.swap(rank - 2, rank - 1);
    }
    let batch = batch(&a, &b, &out);
    let Some(batch) = batch else {
        return Err(format!("the GPU repeats products over at most {BATCH_AXES} axes"));
    };
    let tail = Tail::of_kernel(out.dtype);
    lowering.push(Box::new(MatMul { a, b, batch, found, tail, out: out.root }), vec![node.name.clone()]);
    Ok(out)
}

/// The WGSL type in which products are added up.
fn accumulator(a: &View, b: &View, out: Dtype, operating: Option<DatumType>) -> Result<&'static str, String> {
    let fits = a.dtype == b.dtype && operating.is_none_or(|native| Dtype::of(native) == Some(out));
    match (fits, a.dtype, out) {
        (true, Dtype::F32, Dtype::F32) | (true, Dtype::F16, Dtype::F16) => Ok("f32"),
        (true, Dtype::I32, Dtype::I32) => Ok("i32"),
        _ => Err(format!("the GPU does not multiply {:?} by {:?} into {out:?}", a.dtype, b.dtype)),
    }
}

/// An axis over which products are repeated.
#[derive(Debug, Clone)]
struct Batch {
    size: TDim,
    a: TDim,
    b: TDim,
}

/// The axes in front of the matrices, as few as can be told; `None` where they
/// are too many.
fn batch(a: &View, b: &View, out: &View) -> Option<Vec<Batch>> {
    let rank = out.rank() - 2;
    let mut axes: Vec<Batch> = Vec::new();
    for index in 0..rank {
        let size = out.axes[index].size.clone();
        if is_one(&size) {
            continue;
        }
        let stride = |axis: &Axis| if is_one(&axis.size) { TDim::from(0) } else { axis.stride.clone() };
        let next = Batch { a: stride(&a.axes[index]), b: stride(&b.axes[index]), size };
        let joins = |last: &Batch| {
            same(&last.a, &(next.a.clone() * next.size.clone()))
                && same(&last.b, &(next.b.clone() * next.size.clone()))
        };
        match axes.last_mut() {
            Some(last) if joins(last) => {
                *last = Batch { size: (last.size.clone() * next.size.clone()).reduce(), ..next };
            }
            _ => axes.push(next),
        }
    }
    (axes.len() <= BATCH_AXES).then_some(axes)
}

/// One product of matrices, or many.
struct MatMul {
    /// `[..., m, k]`.
    a: View,
    /// `[..., k, n]`.
    b: View,
    batch: Vec<Batch>,
    found: &'static str,
    tail: Tail,
    out: Root,
}

/// The ways to compute it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tiled,
    /// Tiles whose inner axis is shared out, then added up.
    Split,
    FewRows,
    FewColumns,
}

fn way(extent: Extent) -> Way {
    if extent.m <= FEW {
        Way::FewRows
    } else if extent.n <= FEW {
        Way::FewColumns
    } else if extent.splits() > 1 {
        Way::Split
    } else {
        Way::Tiled
    }
}

impl MatMul {
    fn extent(&self, size: impl Fn(&TDim) -> Result<u32>) -> Result<Extent> {
        let rank = self.a.rank();
        let batches = self.batch.iter().map(|axis| size(&axis.size)).product::<Result<u32>>()?;
        Ok(Extent {
            m: size(&self.a.axes[rank - 2].size)?,
            k: size(&self.a.axes[rank - 1].size)?,
            n: size(&self.b.axes[rank - 1].size)?,
            batches,
        })
    }

    /// The ways that some sizes may take.
    fn ways(&self) -> Vec<Way> {
        let known = |size: &TDim| {
            let value = size.as_i64().and_then(|value| u32::try_from(value).ok());
            value.ok_or_else(|| Error::Failed(String::new()))
        };
        match self.extent(known) {
            Ok(extent) => vec![way(extent)],
            Err(_) => vec![Way::Tiled, Way::Split, Way::FewRows, Way::FewColumns],
        }
    }

    /// The shaders of a way; two for [`Way::Split`].
    fn variants_of(&self, way: Way) -> Vec<Variant> {
        match way {
            Way::Tiled => vec![self.gemm(&self.tail, false)],
            Way::Split => {
                vec![self.gemm(&partial_tail(self.found), true), split_sum(self.found, &self.tail)]
            }
            Way::FewRows => vec![self.gemv(&self.b, &self.a)],
            Way::FewColumns => vec![self.gemv(&transposed(&self.a), &transposed(&self.b))],
        }
    }

    fn gemm(&self, tail: &Tail, partial: bool) -> Variant {
        let rank = self.a.rank();
        let spec = Spec {
            inputs: &[("a", self.a.dtype), ("b", self.b.dtype)],
            declarations: vec![
                format!("const A_ALONG_K = {};", is_one(&self.a.axes[rank - 1].stride)),
                format!("const B_ALONG_N = {};", !is_one(&self.b.axes[rank - 2].stride)),
                format!("const PARTIAL = {partial};"),
            ],
            ..Spec::new(&GEMM, self.found, Some(tail))
        };
        spec.render()
    }

    /// A product of the few rows of `small` with `large`, `[k, n]`.
    fn gemv(&self, large: &View, small: &View) -> Variant {
        let along_n = !is_one(&large.axes[large.rank() - 2].stride);
        let spec = Spec {
            inputs: &[("a", small.dtype), ("b", large.dtype)],
            declarations: vec![
                format!("const B_ALONG_N = {along_n};"),
                format!("const LANES_N = {}u;", if along_n { 32 } else { 4 }),
            ],
            ..Spec::new(&GEMV, self.found, Some(&self.tail))
        };
        spec.render()
    }

    /// Sizes, offsets and strides as both kernels take them, for matrices `a`
    /// and `b` with the strides of their batches.
    fn addresses(&self, extent: Extent, sizes: &Sizes, is_swapped: bool) -> Result<Vec<u32>> {
        let (a, b) = match is_swapped {
            false => (self.a.clone(), self.b.clone()),
            true => (transposed(&self.b), transposed(&self.a)),
        };
        let (m, n) = if is_swapped { (extent.n, extent.m) } else { (extent.m, extent.n) };
        let rank = a.rank();
        let word = |value: &TDim| sizes.signed(value).map(|value| value as u32);
        let mut words = vec![m, n, extent.k, word(&a.offset)?];
        words.extend([word(&a.axes[rank - 2].stride)?, word(&a.axes[rank - 1].stride)?, word(&b.offset)?]);
        words.extend([word(&b.axes[rank - 2].stride)?, word(&b.axes[rank - 1].stride)?, extent.batches]);
        let missing = BATCH_AXES - self.batch.len();
        let one = Batch { size: TDim::from(1), a: TDim::from(0), b: TDim::from(0) };
        let axes: Vec<&Batch> = std::iter::repeat_n(&one, missing).chain(&self.batch).collect();
        for axis in &axes[1..] {
            words.push(word(&axis.size)?);
        }
        for axis in &axes {
            words.push(word(if is_swapped { &axis.b } else { &axis.a })?);
        }
        for axis in &axes {
            words.push(word(if is_swapped { &axis.a } else { &axis.b })?);
        }
        Ok(words)
    }

    fn tiled(&self, way: Way, first: usize, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let extent = self.extent(|size| sizes.size(size))?;
        let tiled = Tiled {
            extent,
            splits: if way == Way::Split { extent.splits() } else { 1 },
            params: self.addresses(extent, sizes, false)?,
            operands: vec![self.a.root, self.b.root],
            tail: &self.tail,
            out: self.out,
            bytes: self.bytes(extent),
        };
        tiled.launches(first, variants, sizes)
    }

    fn few(&self, way: Way, first: usize, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let extent = self.extent(|size| sizes.size(size))?;
        let is_swapped = way == Way::FewColumns;
        let (large, out) = match is_swapped {
            false => (self.b.clone(), [extent.n, 1]),
            true => (transposed(&self.a), [1, extent.n]),
        };
        let columns = if is_swapped { extent.m } else { extent.n };
        let lanes = if is_one(&large.axes[large.rank() - 2].stride) { 4 } else { 32 };
        let mut kernel = self.addresses(extent, sizes, is_swapped)?;
        kernel.extend(out);
        let params = params(&kernel, &variants[first], sizes)?;
        let workgroups = spread(columns.div_ceil(lanes).saturating_mul(extent.batches));
        let cost = Cost { flops: extent.flops(), bytes: self.bytes(extent) };
        let mut reads = self.reads();
        if is_swapped {
            reads.swap(0, 1);
        }
        Ok(vec![launch(first, params, self.out, reads, workgroups, cost)])
    }

    fn bytes(&self, extent: Extent) -> u64 {
        let [m, n, k, batches] = [extent.m, extent.n, extent.k, extent.batches].map(u64::from);
        batches * (m * k * self.a.dtype.size() + k * n * self.b.dtype.size() + m * n * 4)
    }
}

impl Step for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn reads(&self) -> Vec<Root> {
        [&self.a, &self.b].into_iter().chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        self.ways().into_iter().flat_map(|way| self.variants_of(way)).collect()
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let way = way(self.extent(|size| sizes.size(size))?);
        let before = self.ways().into_iter().take_while(|known| *known != way);
        let first = before.map(|way| if way == Way::Split { 2 } else { 1 }).sum();
        match way {
            Way::Tiled | Way::Split => self.tiled(way, first, variants, sizes),
            Way::FewRows | Way::FewColumns => self.few(way, first, variants, sizes),
        }
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }
}

/// The matrices of a view, rows and columns in each other's place.
fn transposed(view: &View) -> View {
    let mut view = view.clone();
    let rank = view.rank();
    view.axes.swap(rank - 2, rank - 1);
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_follows_the_sizes() {
        let way = |m, n, k| way(Extent { m, n, k, batches: 1 });
        assert_eq!(way(1, 1000, 1280), Way::FewRows);
        assert_eq!(way(1000, 3, 1280), Way::FewColumns);
        assert_eq!(way(64, 64, 4096), Way::Split);
        assert_eq!(way(64, 64, 100), Way::Tiled);
        assert_eq!(way(4096, 4096, 4096), Way::Tiled);
    }
}
