//! The best elements of each row, in their order, with their places.
//!
//! A long row is cut into blocks, of which only the best go on, again and again
//! until one block is left.

use tract_core::internal::{OutletId, TDim, TypedNode};
use tract_core::ops::array::Topk;

use super::each::{check_fits, strided};
use super::launch::{THREADS, launch, params, spread};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::program::{Cost, Launch, Origin, Place, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::render_place;
use crate::view::{Axis, View, row_major, volume};

static RANK: Kernel = Kernel {
    name: "top_rank",
    body: include_str!("../kernels/top_rank.wgsl"),
    params: &["count", "length", "block", "kept", "out_length", "stride"],
};

static SETTLE: Kernel = Kernel {
    name: "top_settle",
    body: include_str!("../kernels/top_settle.wgsl"),
    params: &["count", "stride"],
};

/// Elements that are compared with each other where a row is cut into blocks:
/// twice as many as go on, within these bounds.
const LEAST_BLOCK: u32 = 2048;
/// What a thread looks at in one launch.
const MOST_BLOCK: u32 = 60_000;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<Topk>()?;
    Some(top(lowering, node, op))
}

fn top(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Topk) -> Result<Vec<View>, String> {
    let (input, values) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    if input.dtype == Dtype::Bool || input.dtype != values.dtype {
        return Err(format!("the GPU does not put {:?} in order", input.dtype));
    }
    let (dtype, shape) = lowering.fact(OutletId::new(node.id, 1))?;
    if dtype != Dtype::I64 {
        return Err(format!("the GPU does not give places as {dtype:?}"));
    }
    let root = lowering.buffer(dtype, &shape, Origin::Step);
    let places = View::whole(root, dtype, &shape);
    let step =
        Top { input, axis: op.axis, is_largest: op.largest, values: values.clone(), places: places.clone() };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(vec![values, places])
}

struct Top {
    input: View,
    axis: usize,
    is_largest: bool,
    values: View,
    places: View,
}

/// One round over the candidates of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Round {
    /// How many there are, how many are compared with each other, and how many
    /// go on.
    length: u32,
    block: u32,
    out_length: u32,
}

/// The rounds that leave `kept` of `length` elements.
fn rounds(mut length: u32, kept: u32) -> Result<Vec<Round>> {
    let block = kept.saturating_mul(2).clamp(LEAST_BLOCK, MOST_BLOCK);
    let mut rounds = Vec::new();
    while length > block && kept <= block / 2 {
        let before = length.div_ceil(block) - 1;
        let out_length = before * kept + (length - before * block).min(kept);
        rounds.push(Round { length, block, out_length });
        length = out_length;
    }
    if length > MOST_BLOCK {
        let what = "the length of a row of which so many are put in order".to_owned();
        return Err(Error::TooLarge { what, size: u64::from(length), limit: u64::from(MOST_BLOCK) });
    }
    rounds.push(Round { length, block: length.max(1), out_length: kept });
    Ok(rounds)
}

impl Top {
    fn row_axes(&self) -> impl Iterator<Item = &Axis> {
        self.input.axes.iter().enumerate().filter(|(at, _)| *at != self.axis).map(|(_, axis)| axis)
    }

    fn rows(&self) -> View {
        View { axes: self.row_axes().cloned().collect(), ..self.input.clone() }
    }

    /// The function `key`, which is larger for what is better. What is no number
    /// comes last of all.
    fn key(&self) -> String {
        let dtype = self.input.dtype;
        let (wide, rising) = match dtype {
            Dtype::F16 | Dtype::F32 => ("u32", "rising(bitcast<u32>(f32(stored)))"),
            Dtype::I64 => ("u64", "(bitcast<u64>(stored) ^ (1lu << 63u))"),
            Dtype::U64 => ("u64", "stored"),
            _ if dtype.stored() == "i32" => ("u32", "(bitcast<u32>(stored) ^ 0x80000000u)"),
            _ => ("u32", "stored"),
        };
        let key = if self.is_largest { rising.to_owned() } else { format!("~{rising}") };
        let mut text = format!("alias Key = {wide};\nalias Stored = {};\n", dtype.stored());
        if dtype.is_float() {
            // Both zeros are equal.
            text.push_str(
                "fn rising(bits: u32) -> u32 {\n\
                 \x20   if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }\n\
                 \x20   return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);\n}\n",
            );
            text.push_str("fn key(stored: Stored) -> Key {\n    let bits = bitcast<u32>(f32(stored));\n");
            text.push_str("    if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0u; }\n");
            text.push_str(&format!("    return {key};\n}}\n"));
        } else {
            text.push_str(&format!("fn key(stored: Stored) -> Key {{ return {key}; }}\n"));
        }
        text
    }

    /// The kernel of the first round, or of a later one.
    fn rank(&self, is_first: bool) -> Variant {
        let (row, words) = render_place("row_place", &self.rows(), Vec::new());
        let candidate = if is_first { "at % params.length" } else { "candidates[at]" };
        let candidate = format!("fn candidate(at: u32) -> u32 {{ return {candidate}; }}");
        let inputs = [("input", self.input.dtype), ("candidates", Dtype::U32)];
        let spec = Spec {
            inputs: if is_first { &inputs[..1] } else { &inputs },
            declarations: vec![row, self.key(), candidate],
            words,
            ..Spec::new(&RANK, "u32", None)
        };
        spec.render()
    }

    /// The kernel that gives the values, or the places.
    fn settle(&self, is_value: bool) -> Variant {
        let shape = self.values.shape();
        let kept = shape[self.axis].clone();
        let rows: Vec<TDim> = self.row_axes().map(|axis| axis.size.clone()).collect();
        let mut along = row_major(&rows).into_iter().map(|axis| (axis.stride * kept.clone()).reduce());
        let chosen: Vec<TDim> = (0..shape.len())
            .map(|at| if at == self.axis { TDim::from(1) } else { along.next().unwrap_or_else(|| 0.into()) })
            .collect();
        let begins = self.input.axes.iter().enumerate();
        let begins: Vec<TDim> =
            begins.map(|(at, axis)| if at == self.axis { 0.into() } else { axis.stride.clone() }).collect();
        let (chosen, words) =
            render_place("chosen_place", &strided(&self.values, &shape, chosen), Vec::new());
        let (data, words) = render_place("data_place", &strided(&self.input, &shape, begins), words);
        let (inputs, found, value) = match is_value {
            true => (
                vec![("places", Dtype::U32), ("input", self.input.dtype)],
                self.input.dtype.stored(),
                "input[data_place(i) + place * params.stride]",
            ),
            false => (vec![("places", Dtype::U32)], "i64", "i64(place)"),
        };
        let settle = format!("fn settle(i: u32, place: u32) -> Found {{ return {value}; }}");
        let spec = Spec {
            inputs: &inputs,
            declarations: vec![chosen, data, settle],
            words,
            ..Spec::new(&SETTLE, found, None)
        };
        spec.render()
    }
}

impl Step for Top {
    fn name(&self) -> &'static str {
        "top"
    }

    fn reads(&self) -> Vec<Root> {
        vec![self.input.root]
    }

    fn writes(&self) -> Root {
        self.values.root
    }

    fn also_writes(&self) -> Vec<Root> {
        vec![self.places.root]
    }

    fn variants(&self) -> Vec<Variant> {
        vec![self.rank(true), self.rank(false), self.settle(true), self.settle(false)]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let along = &self.input.axes[self.axis];
        let kept = &self.values.axes[self.axis].size;
        check_fits(kept, &along.size, sizes)?;
        let (rows, kept) = (sizes.size(&volume(&self.rows().shape()))?, sizes.size(kept)?);
        let stride = sizes.signed(&along.stride)? as u32;
        let mut launches = Vec::new();
        let scratch = |number: usize, length: u32| {
            let bytes = 4 * u64::from(rows) * u64::from(length);
            Place::Scratch { number, bytes: bytes.max(4) }
        };
        let rounds = rounds(sizes.size(&along.size)?, kept)?;
        for (number, round) in rounds.iter().enumerate() {
            let Round { length, block, out_length } = *round;
            let count = sizes.size(&TDim::from(i64::from(rows) * i64::from(length)))?;
            let variant = number.min(1);
            let words = [count, length, block, kept, out_length, stride];
            let compared = u64::from(count) * u64::from(block);
            let mut launch = launch(
                variant,
                params(&words, &variants[variant], sizes)?,
                self.values.root,
                [self.input.root],
                spread(count.div_ceil(THREADS)),
                Cost { flops: 4 * compared, bytes: 8 * u64::from(count) },
            );
            launch.writes = scratch(number, out_length);
            if number > 0 {
                launch.reads.push(scratch(number - 1, length));
            }
            launches.push(launch);
        }
        let chosen = scratch(rounds.len() - 1, kept);
        let count = sizes.volume(&self.values)?;
        for (variant, root) in [(2, self.values.root), (3, self.places.root)] {
            let cost = Cost { flops: 0, bytes: 16 * u64::from(count) };
            let params = params(&[count, stride], &variants[variant], sizes)?;
            let mut launch = launch(variant, params, root, [], spread(count.div_ceil(THREADS)), cost);
            launch.reads.push(chosen);
            if variant == 2 {
                launch.reads.push(Place::Root(self.input.root));
            }
            launches.push(launch);
        }
        Ok(launches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_are_cut_into_blocks() {
        let whole = |length, kept| Round { length, block: length, out_length: kept };
        let rounds = |length, kept| rounds(length, kept).unwrap();
        assert_eq!(rounds(2048, 5), [whole(2048, 5)]);
        let cut = |length, block, out_length| Round { length, block, out_length };
        assert_eq!(rounds(5000, 5), [cut(5000, 2048, 15), whole(15, 5)]);
        // The last block has fewer elements than are kept.
        assert_eq!(rounds(4099, 100), [cut(4099, 2048, 203), whole(203, 100)]);
        let twice = [cut(7000, 3000, 4000), cut(4000, 3000, 2500), whole(2500, 1500)];
        assert_eq!(rounds(7000, 1500), twice);
        assert_eq!(rounds(0, 0), [cut(0, 1, 0)]);
        assert!(super::rounds(60_001, 40_000).is_err());
    }
}
