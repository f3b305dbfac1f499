//! Sums, products, extremes and their places.

use tract_core::internal::TypedNode;
use tract_core::ops::nn::{Reduce, Reducer};

use super::Rows;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::lower::launch::{THREADS, launch, params, spread};
use crate::lower::{Lowered, Lowering};
use crate::program::{Cost, Launch, Origin, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::Tail;
use crate::view::{View, is_one};

static REDUCE: Kernel = Kernel {
    name: "reduce",
    body: include_str!("../../kernels/reduce.wgsl"),
    params: &["count", "length", "bound_low", "bound_high"],
};

static SERIAL: Kernel = Kernel {
    name: "reduce_serial",
    body: include_str!("../../kernels/reduce_serial.wgsl"),
    params: &["count", "length", "bound_low", "bound_high"],
};

/// A row this short is left to one thread.
const SHORT: u32 = 32;
/// So many rows beside each other are left to a thread each, up to this length.
const MANY: u32 = 4096;
const LONGEST_SERIAL: u32 = 60_000;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<Reduce>()?;
    Some(reduce(lowering, node, op).map(|view| vec![view]))
}

fn reduce(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Reduce) -> Result<View, String> {
    let (view, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    let dtype = view.dtype;
    let wide = matches!(dtype, Dtype::F16 | Dtype::F32 | Dtype::I32 | Dtype::U32 | Dtype::I64 | Dtype::U64);
    let takes = match op.reducer {
        Reducer::All | Reducer::Any => dtype == Dtype::Bool,
        Reducer::MeanOfSquares => dtype.is_float(),
        Reducer::Max | Reducer::Min | Reducer::ArgMax(_) | Reducer::ArgMin(_) => dtype != Dtype::Bool,
        Reducer::Sum | Reducer::Prod => wide,
    };
    if !takes {
        return Err(format!("the GPU does not reduce {dtype:?} so"));
    }
    let rows = Rows::new(&view, &op.axes);
    let step = Reduction { rows, reducer: op.reducer, tail: Tail::of_kernel(out.dtype), out: out.root };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(out)
}

/// The extreme, sum or product of all elements of a tensor, as a tensor of no
/// axes.
pub(in crate::lower) fn over_all(
    lowering: &mut Lowering<'_>,
    view: &View,
    reducer: Reducer,
    node: &str,
) -> View {
    let axes: Vec<usize> = (0..view.rank()).collect();
    let root = lowering.buffer(view.dtype, &[], Origin::Step);
    let (rows, tail) = (Rows::new(view, &axes), Tail::of_kernel(view.dtype));
    lowering.push(Box::new(Reduction { rows, reducer, tail, out: root }), vec![node.to_owned()]);
    View::whole(root, view.dtype, &[])
}

struct Reduction {
    rows: Rows,
    reducer: Reducer,
    tail: Tail,
    out: Root,
}

impl Reduction {
    /// The type of elements as they are computed with.
    fn element(&self) -> &'static str {
        match self.rows.begins.dtype {
            Dtype::F16 => "f32",
            dtype => dtype.stored(),
        }
    }

    /// The type of what it hands to the tail.
    fn found(&self) -> &'static str {
        match self.reducer {
            Reducer::ArgMax(_) | Reducer::ArgMin(_) => "u32",
            _ => self.element(),
        }
    }

    fn declarations(&self) -> String {
        let element = self.element();
        let bound = match self.rows.begins.dtype {
            Dtype::I64 => "bitcast<i64>(u64(params.bound_low) | (u64(params.bound_high) << 32u))".to_owned(),
            Dtype::U64 => "(u64(params.bound_low) | (u64(params.bound_high) << 32u))".to_owned(),
            _ => format!("bitcast<{element}>(params.bound_low)"),
        };
        let plain = |start: &str, lift: &str, join: &str, settle: &str| {
            format!(
                "alias State = {element};\n\
                 fn start() -> State {{ return {start}; }}\n\
                 fn lift(stored: Stored, j: u32) -> State {{ let x = State(stored); return {lift}; }}\n\
                 fn join(a: State, b: State) -> State {{ return {join}; }}\n\
                 fn settle(state: State) -> Found {{ return {settle}; }}\n"
            )
        };
        let placed = |better: &str, last: bool| {
            let tie = if last { "b.index > a.index" } else { "b.index < a.index" };
            format!(
                "struct State {{ value: {element}, index: u32 }}\n\
                 fn start() -> State {{ return State({bound}, 0u); }}\n\
                 fn lift(stored: Stored, j: u32) -> State {{ return State({element}(stored), j); }}\n\
                 fn join(a: State, b: State) -> State {{\n\
                 \x20   if (b.value {better} a.value || (b.value == a.value && {tie})) {{ return b; }}\n\
                 \x20   return a;\n}}\n\
                 fn settle(state: State) -> Found {{ return state.index; }}\n"
            )
        };
        match self.reducer {
            Reducer::Sum => plain("State(0)", "x", "a + b", "state"),
            Reducer::Prod => plain("State(1)", "x", "a * b", "state"),
            Reducer::Max => plain(&bound, "x", "select(a, b, a < b)", "state"),
            Reducer::Min => plain(&bound, "x", "select(a, b, b < a)", "state"),
            Reducer::MeanOfSquares => plain("0.0", "x * x", "a + b", "state * (1.0 / f32(params.length))"),
            Reducer::All => plain("1u", "x", "min(a, b)", "state"),
            Reducer::Any => plain("0u", "x", "max(a, b)", "state"),
            Reducer::ArgMax(last) => placed(">", last),
            Reducer::ArgMin(last) => placed("<", last),
        }
    }

    /// The bits of what every element is better than.
    fn bound(&self) -> [u32; 2] {
        let lowest = matches!(self.reducer, Reducer::Max | Reducer::ArgMax(_));
        let value = match (self.rows.begins.dtype, lowest) {
            (Dtype::F16 | Dtype::F32, true) => u64::from(f32::NEG_INFINITY.to_bits()),
            (Dtype::F16 | Dtype::F32, false) => u64::from(f32::INFINITY.to_bits()),
            (Dtype::I64, true) => i64::MIN as u64,
            (Dtype::I64, false) => i64::MAX as u64,
            (Dtype::I8 | Dtype::I16 | Dtype::I32, true) => u64::from(i32::MIN as u32),
            (Dtype::I8 | Dtype::I16 | Dtype::I32, false) => u64::from(i32::MAX as u32),
            (_, true) => 0,
            (_, false) => u64::MAX,
        };
        [value as u32, (value >> 32) as u32]
    }

    fn variant(&self, kernel: &'static Kernel) -> Variant {
        let (places, words) = self.rows.render("", Vec::new());
        let stored = self.rows.begins.dtype;
        let spec = Spec {
            inputs: &[("input", stored)],
            declarations: vec![format!("alias Stored = {};", stored.stored()), places, self.declarations()],
            words,
            ..Spec::new(kernel, self.found(), Some(&self.tail))
        };
        spec.render()
    }

    /// Whether each row is left to one thread.
    fn is_serial(&self, count: u32, length: u32) -> bool {
        let side_by_side = self.rows.begins.collapsed().last().is_some_and(|axis| is_one(&axis.stride));
        length <= SHORT || (side_by_side && count >= MANY && length <= LONGEST_SERIAL)
    }
}

impl Step for Reduction {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn reads(&self) -> Vec<Root> {
        std::iter::once(&self.rows.begins).chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        vec![self.variant(&REDUCE), self.variant(&SERIAL)]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let (count, length) = self.rows.extent(sizes)?;
        let (variant, workgroups) = match self.is_serial(count, length) {
            true => (1, count.div_ceil(THREADS)),
            false => (0, count),
        };
        let [low, high] = self.bound();
        let params = params(&[count, length, low, high], &variants[variant], sizes)?;
        let elements = u64::from(count) * u64::from(length);
        let cost =
            Cost { flops: elements, bytes: elements * self.rows.begins.dtype.size() + u64::from(count) * 4 };
        Ok(vec![launch(variant, params, self.out, self.reads(), spread(workgroups), cost)])
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }
}
