//! A tensor with updates where indices lead. Of several updates of an element
//! the last one counts, or all are joined with it in their order.
//!
//! The updates lie in lanes that never meet in an element: those along the axis
//! that is counted, or the elements of the slices that whole tuples lead to.

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::array::{ScatterElements, ScatterNd, ScatterReduction};

use super::each::{check_fits, strided};
use super::indexed::{OUTSIDE, Tuples, indices};
use super::launch::{THREADS, launch, params, spread};
use super::map::Map;
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Place, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::{Tail, render_place};
use crate::view::{Axis, View, row_major, same, volume};

static CLEAR: Kernel =
    Kernel { name: "clear", body: include_str!("../kernels/clear.wgsl"), params: &["count"] };

static CLAIM: Kernel = Kernel {
    name: "scatter_claim",
    body: include_str!("../kernels/scatter_claim.wgsl"),
    params: &["step", "count", "lanes"],
};

static SETTLE: Kernel = Kernel {
    name: "scatter_settle",
    body: include_str!("../kernels/scatter_settle.wgsl"),
    params: &["count"],
};

static JOIN: Kernel = Kernel {
    name: "scatter_join",
    body: include_str!("../kernels/scatter_join.wgsl"),
    params: &["step", "lanes", "first", "last"],
};

/// The most updates that a thread joins in one launch.
const ROUNDS: u32 = 8192;
/// What the device could do while it waits for an update of one lane.
const LANES_AT_ONCE: u64 = 4096;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let lowered = if let Some(op) = node.op_as::<ScatterElements>() {
        scatter_elements(lowering, node, op)
    } else {
        scatter_nd(lowering, node, node.op_as::<ScatterNd>()?)
    };
    Some(lowered.map(|view| vec![view]))
}

fn scatter_elements(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    op: &ScatterElements,
) -> Result<View, String> {
    let tensors = Tensors::new(lowering, node)?;
    let [indices, updates] = [&tensors.indices, &tensors.updates];
    let rows = row_major(&tensors.out.shape());
    if indices.rank() != rows.len() || updates.rank() != rows.len() {
        return Err("its inputs differ in rank".to_owned());
    }
    let without = |axes: &[Axis]| {
        let kept = axes.iter().enumerate().filter(|(at, _)| *at != op.axis);
        kept.map(|(_, axis)| axis.clone()).collect::<Vec<Axis>>()
    };
    let lanes: Vec<TDim> = without(&indices.axes).into_iter().map(|axis| axis.size).collect();
    let unmoved = |axes: &[Axis]| {
        let stride =
            |(at, axis): (usize, &Axis)| if at == op.axis { TDim::from(0) } else { axis.stride.clone() };
        axes.iter().enumerate().map(stride).collect::<Vec<TDim>>()
    };
    let mut fits: Vec<(TDim, TDim)> = Vec::new();
    for (at, (index, update)) in indices.axes.iter().zip(&updates.axes).enumerate() {
        // The updates of indices, and where indices stay inside by themselves.
        fits.push((index.size.clone(), update.size.clone()));
        if at != op.axis {
            fits.push((index.size.clone(), rows[at].size.clone()));
        }
    }
    let layout = Layout {
        out_lane: strided(&tensors.out, &lanes, without(&rows).into_iter().map(|axis| axis.stride)),
        index_lane: strided(indices, &lanes, without(&indices.axes).into_iter().map(|axis| axis.stride)),
        index_update: View { axes: vec![indices.axes[op.axis].clone()], ..at_begin(indices) },
        element_lane: strided(updates, &lanes, without(&updates.axes).into_iter().map(|axis| axis.stride)),
        lane_of_out: strided(updates, &tensors.out.shape(), unmoved(&updates.axes)),
        element_update: View { axes: vec![updates.axes[op.axis].clone()], ..at_begin(updates) },
        tuples: Tuples { between: TDim::from(0), axes: vec![rows[op.axis].clone()], dtype: indices.dtype },
        fits,
    };
    push(lowering, node, tensors, layout, op.reduction)
}

fn scatter_nd(lowering: &mut Lowering<'_>, node: &TypedNode, op: &ScatterNd) -> Result<View, String> {
    let tensors = Tensors::new(lowering, node)?;
    let [indices, updates] = [&tensors.indices, &tensors.updates];
    let rows = row_major(&tensors.out.shape());
    let Some((components, along)) = indices.axes.split_last() else {
        return Err("its indices have no axis".to_owned());
    };
    let counted = super::indexed::components(components)?;
    if counted > rows.len() || updates.rank() != along.len() + rows.len() - counted {
        return Err("its updates do not have the axes that its indices lead to".to_owned());
    }
    let slice = &updates.axes[along.len()..];
    let lanes: Vec<TDim> = rows[counted..].iter().map(|axis| axis.size.clone()).collect();
    let stride = |axis: &Axis| axis.stride.clone();
    let fits = along.iter().zip(&updates.axes).chain(rows[counted..].iter().zip(slice));
    let fits = fits.map(|(least, axis)| (least.size.clone(), axis.size.clone())).collect();
    let shape: Vec<TDim> = along.iter().map(|axis| axis.size.clone()).collect();
    let zeros = std::iter::repeat_n(TDim::from(0), counted);
    let layout = Layout {
        out_lane: strided(&tensors.out, &lanes, rows[counted..].iter().map(stride)),
        index_lane: strided(indices, &lanes, lanes.iter().map(|_| TDim::from(0))),
        index_update: View { axes: along.to_vec(), ..at_begin(indices) },
        element_lane: strided(updates, &lanes, slice.iter().map(stride)),
        lane_of_out: strided(updates, &tensors.out.shape(), zeros.chain(slice.iter().map(stride))),
        element_update: strided(&at_begin(updates), &shape, updates.axes[..along.len()].iter().map(stride)),
        tuples: Tuples { between: stride(components), axes: rows[..counted].to_vec(), dtype: indices.dtype },
        fits,
    };
    push(lowering, node, tensors, layout, op.reduction)
}

/// Places that count from the beginning of a tensor.
fn at_begin(view: &View) -> View {
    View { offset: TDim::from(0), ..view.clone() }
}

struct Tensors {
    data: View,
    indices: View,
    updates: View,
    out: View,
}

impl Tensors {
    fn new(lowering: &mut Lowering<'_>, node: &TypedNode) -> Result<Self, String> {
        let tensors = Self {
            data: lowering.view(node.inputs[0])?,
            indices: indices(lowering, node)?,
            updates: lowering.view(node.inputs[2])?,
            out: lowering.output(node)?,
        };
        let dtype = tensors.out.dtype;
        if tensors.data.dtype != dtype || tensors.updates.dtype != dtype {
            return Err(format!("the GPU does not put {:?} into {dtype:?}", tensors.updates.dtype));
        }
        Ok(tensors)
    }
}

/// Where all lies. What has `lane` in its name is counted by lanes, what has
/// `update` by the updates of a lane; both together give a place.
struct Layout {
    out_lane: View,
    index_lane: View,
    index_update: View,
    element_lane: View,
    /// As `element_lane`, counted by elements of the output.
    lane_of_out: View,
    element_update: View,
    tuples: Tuples,
    /// Sizes that must not be larger than others.
    fits: Vec<(TDim, TDim)>,
}

fn push(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    tensors: Tensors,
    layout: Layout,
    reduction: ScatterReduction,
) -> Result<View, String> {
    let (out, nodes) = (tensors.out.clone(), vec![node.name.clone()]);
    let Some(join) = join(reduction, out.dtype)? else {
        let tail = Tail::of_kernel(out.dtype);
        lowering.push(Box::new(Replacing { tail, out: out.root, tensors, layout }), nodes);
        return Ok(out);
    };
    let copy = Map::copy(tensors.data.clone(), out.root);
    lowering.push(Box::new(copy), nodes.clone());
    lowering.push(Box::new(Joining { tensors, layout, join }), nodes);
    Ok(out)
}

/// How an update is joined with what is there; `None` where it replaces it.
fn join(reduction: ScatterReduction, dtype: Dtype) -> Result<Option<String>, String> {
    if reduction != ScatterReduction::None && dtype == Dtype::Bool {
        return Err("the GPU does not join Bool so".to_owned());
    }
    Ok(Some(match reduction {
        ScatterReduction::None => return Ok(None),
        ScatterReduction::Add => dtype.wrap("a + b".to_owned()),
        ScatterReduction::Mul => dtype.wrap("a * b".to_owned()),
        ScatterReduction::Min => "select(a, b, b < a)".to_owned(),
        ScatterReduction::Max => "select(a, b, b > a)".to_owned(),
    }))
}

impl Layout {
    fn check(&self, sizes: &Sizes) -> Result<()> {
        let mut unsure = self.fits.iter().filter(|(size, most)| !same(size, most));
        unsure.try_for_each(|(size, most)| check_fits(size, most, sizes))
    }

    /// How many lanes, and how many updates in each.
    fn extent(&self, sizes: &Sizes) -> Result<(u32, u32)> {
        let updates = sizes.size(&volume(&self.index_update.shape()))?;
        Ok((sizes.size(&volume(&self.out_lane.shape()))?, updates))
    }

    /// A kernel that follows the indices.
    fn follow(&self, places: &[(&str, &View)]) -> (Vec<String>, Vec<crate::tail::Word>) {
        let mut words = Vec::new();
        let mut declarations = vec![self.tuples.declarations(&mut words)];
        for (name, view) in places {
            let (place, all) = render_place(name, view, words);
            declarations.push(place);
            words = all;
        }
        (declarations, words)
    }
}

/// The last update of each element takes its place.
struct Replacing {
    tensors: Tensors,
    layout: Layout,
    tail: Tail,
    out: Root,
}

impl Replacing {
    fn claim(&self) -> Variant {
        let layout = &self.layout;
        let (declarations, words) = layout.follow(&[
            ("out_lane", &layout.out_lane),
            ("index_lane", &layout.index_lane),
            ("index_update", &layout.index_update),
        ]);
        let spec = Spec {
            inputs: &[("indices", layout.tuples.dtype)],
            declarations,
            words,
            out: "atomic<u32>",
            has_faults: true,
            ..Spec::new(&CLAIM, "u32", None)
        };
        spec.render()
    }

    fn settle(&self) -> Variant {
        let dtype = self.tensors.data.dtype;
        let mut words = Vec::new();
        let mut declarations = Vec::new();
        for (name, view) in [
            ("data_place", &self.tensors.data),
            ("element_lane", &self.layout.lane_of_out),
            ("element_update", &self.layout.element_update),
        ] {
            let (place, all) = render_place(name, view, words);
            declarations.push(place);
            words = all;
        }
        let spec = Spec {
            inputs: &[("claims", Dtype::U32), ("data", dtype), ("updates", dtype)],
            declarations,
            words,
            ..Spec::new(&SETTLE, dtype.stored(), Some(&self.tail))
        };
        spec.render()
    }
}

impl Step for Replacing {
    fn name(&self) -> &'static str {
        "scatter"
    }

    fn reads(&self) -> Vec<Root> {
        let Tensors { data, indices, updates, .. } = &self.tensors;
        [indices, data, updates].into_iter().chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        vec![Spec::new(&CLEAR, "u32", None).render(), self.claim(), self.settle()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        self.layout.check(sizes)?;
        let (lanes, updates) = self.layout.extent(sizes)?;
        let elements = sizes.volume(&self.tensors.out)?;
        let claimed = sizes.size(&TDim::from(i64::from(lanes) * i64::from(updates)))?;
        let claims = Place::Scratch { number: 0, bytes: 4 * u64::from(elements.max(1)) };
        let plain = |variant: usize, kernel: &[u32], count: u32, reads: Vec<Root>| -> Result<Launch> {
            let cost = Cost { flops: 0, bytes: 12 * u64::from(count) };
            let params = params(kernel, &variants[variant], sizes)?;
            Ok(launch(variant, params, self.out, reads, spread(count.div_ceil(THREADS)), cost))
        };
        let mut launches = vec![
            plain(0, &[elements], elements, Vec::new())?,
            plain(1, &[0, claimed, lanes], claimed, vec![self.tensors.indices.root])?,
            plain(2, &[elements], elements, self.reads().split_off(1))?,
        ];
        launches[0].writes = claims;
        launches[1].writes = claims;
        launches[2].reads.insert(0, claims);
        Ok(launches)
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }

    fn fault(&self) -> &'static str {
        OUTSIDE
    }
}

/// Goes on with a copy of the data: every update is joined with what is there.
struct Joining {
    tensors: Tensors,
    layout: Layout,
    join: String,
}

impl Step for Joining {
    fn name(&self) -> &'static str {
        "scatter"
    }

    fn reads(&self) -> Vec<Root> {
        vec![self.tensors.indices.root, self.tensors.updates.root]
    }

    fn writes(&self) -> Root {
        self.tensors.out.root
    }

    fn variants(&self) -> Vec<Variant> {
        let layout = &self.layout;
        let stored = self.tensors.out.dtype.stored();
        let (mut declarations, words) = layout.follow(&[
            ("out_lane", &layout.out_lane),
            ("index_lane", &layout.index_lane),
            ("index_update", &layout.index_update),
            ("element_lane", &layout.element_lane),
            ("element_update", &layout.element_update),
        ]);
        declarations.push(format!("fn join(a: Found, b: Found) -> Found {{ return {}; }}", self.join));
        let spec = Spec {
            inputs: &[("indices", layout.tuples.dtype), ("updates", self.tensors.updates.dtype)],
            declarations,
            words,
            has_faults: true,
            ..Spec::new(&JOIN, stored, None)
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        self.layout.check(sizes)?;
        let (lanes, updates) = self.layout.extent(sizes)?;
        let part = |first: u32| {
            let last = updates.min(first.saturating_add(ROUNDS));
            let params = params(&[0, lanes, first, last], &variants[0], sizes)?;
            let rounds = u64::from(last - first);
            let cost = Cost {
                flops: rounds * u64::from(lanes).max(LANES_AT_ONCE),
                bytes: 16 * rounds * u64::from(lanes),
            };
            let workgroups = spread(lanes.div_ceil(THREADS));
            Ok(launch(0, params, self.writes(), self.reads(), workgroups, cost))
        };
        (0..updates).step_by(ROUNDS as usize).map(part).collect()
    }

    fn fault(&self) -> &'static str {
        OUTSIDE
    }
}
