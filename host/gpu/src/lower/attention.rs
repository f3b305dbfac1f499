//! Attention: a product of queries and keys, its softmax, and the product of
//! that with values, as one kernel that keeps no scores.

use std::any::Any;

use tract_core::internal::TypedNode;
use tract_core::ops::nn::{Softmax, SoftmaxKind};

use super::Lowering;
use super::launch::{launch, params, spread};
use super::matmul::{BATCH_AXES, BATCHES, Batch, MatMul};
use super::rows::is_plain_softmax;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, MOST_READS, Spec, Variant};
use crate::tail::Tail;
use crate::view::{is_one, same};

static ATTENTION: Kernel = Kernel {
    name: "attention",
    body: include_str!("../kernels/attention.wgsl"),
    params: &[
        "lowest",
        "m",
        "n",
        "batches",
        "batch1",
        "batch2",
        "q_offset",
        "q_m",
        "q_k",
        "k_offset",
        "k_n",
        "k_k",
        "v_offset",
        "v_n",
        "v_d",
        "score_m",
        "out_m",
        "out_d",
        "q_batch0",
        "q_batch1",
        "q_batch2",
        "k_batch0",
        "k_batch1",
        "k_batch2",
        "v_batch0",
        "v_batch1",
        "v_batch2",
        "score_batch0",
        "score_batch1",
        "score_batch2",
        "out_batch0",
        "out_batch1",
        "out_batch2",
    ],
};

/// Queries of a workgroup, and keys that it takes at once.
const ROWS: u32 = 16;
const BLOCK: u32 = 32;
/// The longest vectors of queries, keys and values.
const DEEPEST: u32 = 128;
/// All loops over a block together take at most 218 rounds: so many keys take
/// fewer than 65,535, where loops may not be longer.
const MOST_KEYS: u32 = 9_000;

/// Where `product`, which a node is to become, takes the softmax of another
/// product that nobody else reads, all three as one; else the product again.
pub(super) fn fused(lowering: &mut Lowering<'_>, node: &TypedNode, product: MatMul) -> Box<dyn Step> {
    let most_keys = if lowering.abilities.long_loops { u32::MAX } else { MOST_KEYS };
    match parts(lowering, node, &product, most_keys) {
        None => Box::new(product),
        Some([scores, shares]) => {
            let taken = lowering.steps[scores].take().zip(lowering.steps[shares].take());
            let Some((scores, shares)) = taken else { return Box::new(product) };
            lowering.absorbed.extend(scores.nodes.into_iter().chain(shares.nodes));
            match (scores.step as Box<dyn Any>).downcast::<MatMul>() {
                Ok(scores) => Box::new(Attention { scores: *scores, mixed: product, most_keys }),
                Err(_) => unreachable!("a step was found to be a product and is one"),
            }
        }
    }
}

/// The steps of the scores and of their softmax.
fn parts(lowering: &Lowering<'_>, node: &TypedNode, product: &MatMul, most_keys: u32) -> Option<[usize; 2]> {
    let outlet = *node.inputs.iter().find(|input| {
        let softmax = lowering.model.node(input.node).op_as::<Softmax>();
        softmax.is_some_and(|op| op.kind == SoftmaxKind::Softmax && op.quant_output_dt.is_none())
    })?;
    let softmax = lowering.model.node(outlet.node);
    let axes = &softmax.op_as::<Softmax>()?.axes;
    let view_of = |outlet| match lowering.wires.get(&outlet)? {
        super::Wire::View(view) => Some(view.clone()),
        _ => None,
    };
    let (shares_view, scores_view) = (view_of(outlet)?, view_of(softmax.inputs[0])?);
    if axes[..] != [shares_view.rank().checked_sub(1)?] {
        return None;
    }
    let shares = lowering.only_for(outlet, &shares_view, node)?;
    let scores = lowering.only_for(softmax.inputs[0], &scores_view, softmax)?;
    let step = lowering.steps[shares].as_ref()?.step.as_ref();
    if !is_plain_softmax(step) {
        return None;
    }
    let step: &dyn Any = lowering.steps[scores].as_ref()?.step.as_ref();
    let scores_step = step.downcast_ref::<MatMul>()?;
    (fits(lowering, scores_step, product, most_keys) && product.a.root == shares_view.root)
        .then_some([scores, shares])
}

/// Whether a product of queries with keys and one of shares with values go
/// together: the same rows, and the same axes that they are repeated over.
fn fits(lowering: &Lowering<'_>, scores: &MatMul, mixed: &MatMul, most_keys: u32) -> bool {
    let depth = |size: &tract_core::internal::TDim| {
        size.as_i64().and_then(|size| u32::try_from(size).ok()).filter(|size| (1..=DEEPEST).contains(size))
    };
    let (Some(keys), Some(values)) = (depth(&scores.k), depth(&mixed.n)) else { return false };
    let bytes = 16 * (ROWS * quads(keys) + BLOCK * quads(keys.max(values))) + 4 * (ROWS * BLOCK + 3 * ROWS);
    let few = scores.n.as_i64().is_none_or(|keys| keys <= i64::from(most_keys));
    let batches = scores
        .batch
        .iter()
        .zip(&mixed.batch)
        .all(|(one, other)| same(&one.size, &other.size) && same(&one.out, &other.a));
    let reads = 3 + scores.tail.inputs().len() + mixed.tail.inputs().len();
    scores.found == "f32"
        && mixed.found == "f32"
        && same(&scores.m, &mixed.m)
        && same(&scores.n, &mixed.k)
        && is_one(&scores.out_n)
        && is_one(&mixed.a.inner)
        && same(&scores.out_m, &mixed.a.outer)
        && scores.batch.len() == mixed.batch.len()
        && batches
        && reads <= MOST_READS
        && few
        && bytes <= lowering.abilities.workgroup_bytes
}

/// Vectors of four elements.
fn quads(depth: u32) -> u32 {
    depth.div_ceil(4)
}

struct Attention {
    /// Queries with keys; its tail gives the scores.
    scores: MatMul,
    /// Their softmax with values.
    mixed: MatMul,
    most_keys: u32,
}

impl Attention {
    fn inputs(&self) -> [(&'static str, Dtype); 3] {
        [("q", self.scores.a.dtype), ("k", self.scores.b.dtype), ("v", self.mixed.b.dtype)]
    }
}

impl Step for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn reads(&self) -> Vec<Root> {
        let tails = self.scores.tail.inputs().iter().chain(self.mixed.tail.inputs());
        let operands = [self.scores.a.root, self.scores.b.root, self.mixed.b.root];
        operands.into_iter().chain(tails.map(|view| view.root)).collect()
    }

    fn writes(&self) -> Root {
        self.mixed.out
    }

    fn variants(&self) -> Vec<Variant> {
        // Both were looked at when the step was made.
        let [keys, values] = [&self.scores.k, &self.mixed.n].map(|size| size.as_i64().unwrap_or(1));
        let spec = Spec {
            inputs: &self.inputs(),
            declarations: vec![
                BATCHES.to_owned(),
                format!("const DEPTH = {keys}u;"),
                format!("const DEPTH_V = {values}u;"),
                format!("const QUADS_MOST = {}u;", (keys.max(values) + 3) / 4),
            ],
            scores: Some(&self.scores.tail),
            ..Spec::new(&ATTENTION, "f32", Some(&self.mixed.tail))
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let word = |value: &tract_core::internal::TDim| sizes.signed(value).map(|value| value as u32);
        let (q, k, v) = (&self.scores.a, &self.scores.b, &self.mixed.b);
        let (m, n) = (sizes.size(&self.scores.m)?, sizes.size(&self.scores.n)?);
        if n > self.most_keys {
            let what = "the number of keys of an attention".to_owned();
            return Err(Error::TooLarge { what, size: u64::from(n), limit: u64::from(self.most_keys) });
        }
        let axes = padded(&self.scores.batch);
        let mixed = padded(&self.mixed.batch);
        let batches = axes.iter().map(|axis| sizes.size(&axis.size)).product::<Result<u32>>()?;
        let mut words =
            vec![f32::NEG_INFINITY.to_bits(), m, n, batches, word(&axes[1].size)?, word(&axes[2].size)?];
        for side in [q, k] {
            words.extend([word(&side.offset)?, word(&side.outer)?, word(&side.inner)?]);
        }
        words.extend([word(&v.offset)?, word(&v.inner)?, word(&v.outer)?]);
        words.extend([word(&self.scores.out_m)?, word(&self.mixed.out_m)?, word(&self.mixed.out_n)?]);
        let strides = [
            axes.each_ref().map(|axis| &axis.a),
            axes.each_ref().map(|axis| &axis.b),
            mixed.each_ref().map(|axis| &axis.b),
            axes.each_ref().map(|axis| &axis.out),
            mixed.each_ref().map(|axis| &axis.out),
        ];
        for stride in strides.iter().flatten() {
            words.push(word(stride)?);
        }
        let params = params(&words, &variants[0], sizes)?;
        let [keys, values] = [&self.scores.k, &self.mixed.n].map(|size| sizes.size(size));
        let (keys, values) = (u64::from(keys?), u64::from(values?));
        let [rows, n] = [m, n].map(u64::from);
        let each = u64::from(batches);
        let cost = Cost {
            flops: 2 * each * rows * n * (keys + values),
            bytes: 4 * each * (rows * (keys + values) + n * (keys + values)),
        };
        // Of no keys there is no share to give.
        let tiles = if n == 0 { 0 } else { m.div_ceil(ROWS) };
        let workgroups = spread(tiles.saturating_mul(batches));
        Ok(vec![launch(0, params, self.mixed.out, self.reads(), workgroups, cost)])
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.mixed.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.mixed.tail = tail;
        self.mixed.out = writes;
    }
}

/// The axes that products are repeated over, with ones of size 1 before them.
fn padded(batch: &[Batch]) -> [Batch; BATCH_AXES] {
    let one = || Batch { size: 1.into(), a: 0.into(), b: 0.into(), out: 0.into() };
    let missing = BATCH_AXES - batch.len();
    std::array::from_fn(|axis| axis.checked_sub(missing).map_or_else(one, |axis| batch[axis].clone()))
}
