//! Products of tensors over common axes, as products of matrices: which axes are
//! rows, which columns, over which the product is added up, and over which it is
//! repeated.

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::einsum::EinSum;

use super::matmul::{BATCH_AXES, Batch, MatMul, Side};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::tail::Tail;
use crate::view::{self, View, is_one, same};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<EinSum>()?;
    Some(product(lowering, node, op).map(|view| vec![view]))
}

/// An axis of the product: how long it is, and its strides in the tensors that
/// have it.
#[derive(Debug, Clone)]
struct Axis {
    size: TDim,
    a: Option<TDim>,
    b: Option<TDim>,
    out: Option<TDim>,
}

impl Axis {
    fn is_sum(&self) -> bool {
        self.out.is_none()
    }

    fn is_row(&self) -> bool {
        self.b.is_none() && !self.is_sum()
    }

    fn is_column(&self) -> bool {
        self.a.is_none() && !self.is_sum()
    }

    fn swapped(self) -> Self {
        Self { a: self.b, b: self.a, ..self }
    }

    /// Whether this axis and the `inner` one are one, as far as these strides go.
    fn joins(&self, inner: &Axis, strides: &[fn(&Axis) -> &Option<TDim>]) -> bool {
        strides.iter().all(|stride| match (stride(self), stride(inner)) {
            (Some(outer), Some(stride)) => same(outer, &(stride.clone() * inner.size.clone())),
            (outer, inner) => outer.is_none() && inner.is_none(),
        })
    }
}

fn a(axis: &Axis) -> &Option<TDim> {
    &axis.a
}

fn b(axis: &Axis) -> &Option<TDim> {
    &axis.b
}

fn out(axis: &Axis) -> &Option<TDim> {
    &axis.out
}

fn product(lowering: &mut Lowering<'_>, node: &TypedNode, op: &EinSum) -> Result<View, String> {
    let [mut left, mut right] = match (op.q_params, &node.inputs[..]) {
        (Some(_), _) => super::quantise::integers(lowering, node, op)?,
        (None, &[left, right]) => [lowering.view(left)?, lowering.view(right)?],
        (None, inputs) => return Err(format!("the GPU multiplies two tensors, not {}", inputs.len())),
    };
    let output = lowering.output(node)?;
    let found = accumulator(left.dtype, right.dtype, output.dtype, Dtype::of(op.operating_dt))?;
    let mut axes = axes(op, &left, &right, &output)?;
    copy_unless_sums_join(lowering, &mut left, &mut axes, &node.name, |axis| &mut axis.a);
    copy_unless_sums_join(lowering, &mut right, &mut axes, &node.name, |axis| &mut axis.b);
    // Neighbouring threads write neighbouring columns.
    let last = axes.iter().rfind(|axis| !axis.is_sum() && !is_one(&axis.size));
    if last.is_some_and(Axis::is_row) {
        std::mem::swap(&mut left, &mut right);
        axes = axes.into_iter().map(Axis::swapped).collect();
    }
    let cooperative = lowering.abilities.cooperative.filter(|_| found == "f32");
    let product = matrices(&left, &right, axes, found, output.dtype, output.root)?;
    let product = MatMul { cooperative, ..product };
    let step = super::attention::fused(lowering, node, product);
    let mut nodes = std::mem::take(&mut lowering.absorbed);
    nodes.push(node.name.clone());
    lowering.push(step, nodes);
    Ok(output)
}

/// The WGSL type in which products are added up.
fn accumulator(
    one: Dtype,
    other: Dtype,
    out: Dtype,
    operating: Option<Dtype>,
) -> Result<&'static str, String> {
    match (one == other && operating == Some(out), one, out) {
        (true, Dtype::F32, Dtype::F32) | (true, Dtype::F16, Dtype::F16) => Ok("f32"),
        (true, Dtype::I32, Dtype::I32) => Ok("i32"),
        _ => Err(format!("the GPU does not multiply {one:?} by {other:?} into {out:?}")),
    }
}

/// The axes in the order of the output, then those that are added up, in the
/// order of the first tensor.
fn axes(op: &EinSum, left: &View, right: &View, output: &View) -> Result<Vec<Axis>, String> {
    let mut placed = Vec::new();
    for axis in op.axes.iter_all_axes() {
        let (in_a, in_b, in_out) = (&axis.inputs[0], &axis.inputs[1], &axis.outputs[0]);
        if [in_a, in_b, in_out].iter().any(|places| places.len() > 1) {
            return Err("the GPU takes no diagonals".to_owned());
        }
        let of = |view: &View, places: &[usize]| places.first().map(|&place| view.axes[place].clone());
        let (one, other) = (of(left, in_a), of(right, in_b));
        let whole = of(output, in_out);
        let sizes = whole.iter().chain(&one).chain(&other).map(|axis| &axis.size);
        // An axis of size 1 is repeated where the others are longer.
        let size = sizes.clone().find(|size| !is_one(size)).or_else(|| sizes.clone().next()).cloned();
        let Some(size) = size else { continue };
        let stride = |axis: view::Axis| {
            if is_one(&axis.size) && !is_one(&size) { TDim::from(0) } else { axis.stride }
        };
        if in_out.is_empty() && (in_a.is_empty() || in_b.is_empty()) && !is_one(&size) {
            return Err("the GPU does not add up an axis of one tensor alone".to_owned());
        }
        let order = (in_out.is_empty(), in_out.first().or(in_a.first()).copied());
        let (a, b, out) = (one.map(stride), other.map(stride), whole.map(|axis| axis.stride));
        if !in_out.is_empty() || !is_one(&size) {
            placed.push((order, Axis { size, a, b, out }));
        }
    }
    placed.sort_by_key(|(order, _)| *order);
    Ok(placed.into_iter().map(|(_, axis)| axis).collect())
}

/// Copies a tensor whose axes that are added up do not lie as one, so that they
/// do.
fn copy_unless_sums_join(
    lowering: &mut Lowering<'_>,
    tensor: &mut View,
    axes: &mut [Axis],
    node: &str,
    stride: fn(&mut Axis) -> &mut Option<TDim>,
) {
    let (mut sums, mut lies): (Vec<view::Axis>, Vec<view::Axis>) = (Vec::new(), Vec::new());
    for axis in axes.iter_mut() {
        let (size, is_sum) = (axis.size.clone(), axis.is_sum());
        if let Some(stride) = stride(axis).clone() {
            if is_sum { &mut sums } else { &mut lies }.push(view::Axis { size, stride });
        }
    }
    let joined =
        sums.windows(2).all(|pair| same(&pair[0].stride, &(pair[1].stride.clone() * pair[1].size.clone())));
    if joined {
        return;
    }
    // What is repeated is copied as often: no size is told from another here.
    lies.extend(sums);
    let arranged = View { axes: lies, ..tensor.clone() };
    *tensor = lowering.copied(&arranged, node);
    let strides = tensor.axes.iter().map(|axis| axis.stride.clone()).collect::<Vec<TDim>>();
    let mut places = strides.into_iter();
    // Axes are in the order in which they were arranged.
    for axis in axes.iter_mut() {
        if let Some(stride) = stride(axis) {
            *stride = places.next().unwrap_or_default();
        }
    }
}

/// The step: as many of the last rows, columns and summed axes as lie as one are
/// each an axis of the matrices; the rest is repeated over.
fn matrices(
    left: &View,
    right: &View,
    axes: Vec<Axis>,
    found: &'static str,
    dtype: Dtype,
    root: crate::program::Root,
) -> Result<MatMul, String> {
    let (sums, kept): (Vec<Axis>, Vec<Axis>) = axes.into_iter().partition(Axis::is_sum);
    let (rows, kept) = take_run(kept, Axis::is_row, &[a, out]);
    let (columns, kept) = take_run(kept, Axis::is_column, &[b, out]);
    let (sums, rest) = take_run(sums, |_| true, &[a, b]);
    if !rest.is_empty() {
        return Err("the axes that it adds up lie apart".to_owned());
    }
    let or_zero = |stride: Option<TDim>| stride.unwrap_or_default();
    let mut batch: Vec<Axis> = Vec::new();
    for axis in kept.into_iter().filter(|axis| !is_one(&axis.size)) {
        match batch.last_mut() {
            Some(last) if last.joins(&axis, &[a, b, out]) => {
                *last = Axis { size: (last.size.clone() * axis.size.clone()).reduce(), ..axis };
            }
            _ => batch.push(axis),
        }
    }
    if batch.len() > BATCH_AXES {
        return Err(format!("the GPU repeats products over at most {BATCH_AXES} axes"));
    }
    let batch = batch.into_iter().map(|axis| Batch {
        size: axis.size,
        a: or_zero(axis.a),
        b: or_zero(axis.b),
        out: or_zero(axis.out),
    });
    let side = |tensor: &View, outer: &Option<TDim>, inner: &Option<TDim>| Side {
        root: tensor.root,
        dtype: tensor.dtype,
        offset: tensor.offset.clone(),
        outer: outer.clone().unwrap_or_default(),
        inner: inner.clone().unwrap_or_default(),
    };
    Ok(MatMul {
        a: side(left, &rows.a, &sums.a),
        b: side(right, &columns.b, &sums.b),
        m: rows.size,
        n: columns.size,
        k: sums.size,
        batch: batch.collect(),
        out_m: or_zero(rows.out),
        out_n: or_zero(columns.out),
        found,
        cooperative: None,
        tail: Tail::of_kernel(dtype),
        out: root,
    })
}

/// Takes the last axes of a kind that lie as one, as one axis; of size 1 where
/// there is none.
fn take_run(
    axes: Vec<Axis>,
    is_kind: impl Fn(&Axis) -> bool,
    strides: &[fn(&Axis) -> &Option<TDim>],
) -> (Axis, Vec<Axis>) {
    let mut run: Option<Axis> = None;
    let mut rest = Vec::with_capacity(axes.len());
    let mut is_open = true;
    for axis in axes.into_iter().rev() {
        let joins = |run: &Axis| axis.joins(run, strides);
        if is_kind(&axis) && is_one(&axis.size) {
            // What has one element lies anywhere.
        } else if !is_kind(&axis) || !is_open {
            rest.push(axis);
        } else if run.as_ref().is_none_or(joins) {
            run = Some(match run {
                Some(run) => Axis { size: (axis.size * run.size.clone()).reduce(), ..run },
                None => axis,
            });
        } else {
            is_open = false;
            rest.push(axis);
        }
    }
    rest.reverse();
    let none = Axis { size: TDim::from(1), a: None, b: None, out: None };
    (run.unwrap_or(none), rest)
}

#[cfg(test)]
mod tests {
    use tract_core::internal::{DatumType, SymbolScope};

    use super::*;
    use crate::program::Root;

    /// The matrices of `expression` over tensors that lie row by row.
    fn of(expression: &str, left: &[TDim], right: &[TDim], out: &[TDim]) -> MatMul {
        let op = EinSum::new(expression.parse().unwrap(), DatumType::F32);
        let [left, right, out] =
            [(0, left), (1, right), (2, out)].map(|(root, shape)| View::whole(Root(root), Dtype::F32, shape));
        let axes = axes(&op, &left, &right, &out).unwrap();
        matrices(&left, &right, axes, "f32", Dtype::F32, out.root).unwrap()
    }

    fn text(sizes: &[&TDim]) -> Vec<String> {
        sizes.iter().map(|size| size.to_string()).collect()
    }

    #[test]
    fn a_convolution_by_one_pixel_repeats_over_images_and_copies_nothing() {
        let symbols = SymbolScope::default();
        let n = TDim::from(symbols.sym("N"));
        let size = |size: i64| TDim::from(size);
        let images = [n.clone(), size(3), size(5), size(7)];
        let step = of("oi,nihw->nohw", &[size(8), size(3)], &images, &[n, size(8), size(5), size(7)]);
        assert_eq!(text(&[&step.m, &step.k, &step.n]), ["8", "3", "35"]);
        assert_eq!(text(&[&step.out_m, &step.out_n]), ["35", "1"]);
        let [batch] = &step.batch[..] else { panic!("{:?}", step.batch) };
        assert_eq!(text(&[&batch.size, &batch.a, &batch.b, &batch.out]), ["N", "0", "105", "280"]);
    }

    #[test]
    fn heads_are_repeated_over_wherever_they_lie() {
        let size = |size: i64| TDim::from(size);
        let shape = |sizes: [i64; 4]| sizes.map(size);
        let step = of("bhst,bthd->bshd", &shape([2, 4, 6, 6]), &shape([2, 6, 4, 8]), &shape([2, 6, 4, 8]));
        assert_eq!(text(&[&step.m, &step.k, &step.n]), ["6", "6", "8"]);
        assert_eq!(
            text(&[&step.a.outer, &step.a.inner, &step.b.outer, &step.b.inner]),
            ["6", "1", "1", "32"]
        );
        assert_eq!(text(&[&step.out_m, &step.out_n]), ["32", "1"]);
        assert_eq!(step.batch.len(), 2);
    }
}
