//! Elements of a tensor by indices that are values: along one axis, along
//! several, and the other way about, a mark where an index leads.

use std::fmt::Write;

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::array::{GatherElements, GatherNd, OneHot};

use super::each::{Each, coordinate, strided};
use super::map::functions::uniform_bits;
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::shader::Kernel;
use crate::tail::{Word, word_name};
use crate::view::{Axis, View, same};

static GATHER_AT: Kernel =
    Kernel { name: "gather_at", body: include_str!("../kernels/gather_at.wgsl"), params: &["step", "count"] };

static ONE_HOT: Kernel =
    Kernel { name: "one_hot", body: include_str!("../kernels/one_hot.wgsl"), params: &["count", "size"] };

/// The function `resolve` of an index, which tells faults.
const RESOLVE: &str = include_str!("../kernels/resolve.wgsl");

/// What it means that an index leads nowhere.
pub(super) const OUTSIDE: &str = "an index is outside of the axis that it counts";

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let lowered = if let Some(op) = node.op_as::<GatherElements>() {
        gather_elements(lowering, node, op.axis)
    } else if let Some(op) = node.op_as::<GatherNd>() {
        gather_nd(lowering, node, op.batch_dims)
    } else {
        one_hot(lowering, node, node.op_as::<OneHot>()?)
    };
    Some(lowered.map(|view| vec![view]))
}

/// A tensor of indices, where the device can follow them.
pub(super) fn indices(lowering: &mut Lowering<'_>, node: &TypedNode) -> Result<View, String> {
    let indices = lowering.view(node.inputs[1])?;
    match indices.dtype {
        Dtype::I32 | Dtype::I64 => Ok(indices),
        dtype => Err(format!("the GPU takes no {dtype:?} for indices")),
    }
}

/// Indices along some axes of a tensor, and where they lead.
pub(super) struct Tuples {
    /// From one index of a tuple to the next.
    pub between: TDim,
    /// The axes that are counted, with the strides of where they lead.
    pub axes: Vec<Axis>,
    pub dtype: Dtype,
}

impl Tuples {
    /// The function `inside(at)`, which reads the tuple of `indices` at a place
    /// and says where it leads, and the words that it takes behind `words`.
    pub(super) fn declarations(&self, words: &mut Vec<Word>) -> String {
        let mut word = |size: &TDim| {
            words.push(Word::Size(size.clone()));
            word_name(words.len() - 1)
        };
        let mut text = format!("alias Index = {};\n{RESOLVE}", self.dtype.stored());
        let between = word(&self.between);
        // Writing to a string does not fail.
        let _ = writeln!(text, "fn inside(at: u32) -> u32 {{\n    var place = 0u;");
        for (number, axis) in self.axes.iter().enumerate() {
            let (size, stride) = (word(&axis.size), word(&axis.stride));
            let _ = writeln!(
                text,
                "    place += resolve(indices[at + {number}u * {between}], {size}) * {stride};"
            );
        }
        text.push_str("    return place;\n}\n");
        text
    }
}

fn gather_elements(lowering: &mut Lowering<'_>, node: &TypedNode, axis: usize) -> Result<View, String> {
    let (data, indices, out) =
        (lowering.view(node.inputs[0])?, indices(lowering, node)?, lowering.output(node)?);
    let shape = out.shape();
    let strides = data.axes.iter().map(|axis| axis.stride.clone());
    let begins = strides.enumerate().map(|(at, stride)| if at == axis { TDim::from(0) } else { stride });
    let tuples = Tuples { between: TDim::from(0), axes: vec![data.axes[axis].clone()], dtype: indices.dtype };
    let mut each = gather(&out, &data, &indices, &tuples)?
        .place("data_place", strided(&data, &shape, begins))
        .place("index_place", indices);
    for (at, (size, along)) in shape.iter().zip(&data.axes).enumerate() {
        if at != axis && !same(size, &along.size) {
            each = each.fits(size.clone(), along.size.clone());
        }
    }
    each.push(lowering, node);
    Ok(out)
}

fn gather_nd(lowering: &mut Lowering<'_>, node: &TypedNode, batch: usize) -> Result<View, String> {
    let (data, indices, out) =
        (lowering.view(node.inputs[0])?, indices(lowering, node)?, lowering.output(node)?);
    let Some((components, tuples)) = indices.axes.split_last() else {
        return Err("its indices have no axis".to_owned());
    };
    let counted = self::components(components)?;
    if tuples.len() < batch || data.rank() < batch + counted {
        return Err("its indices have more axes than the data".to_owned());
    }
    let (shape, zero) = (out.shape(), TDim::from(0));
    let stride = |axis: &Axis| axis.stride.clone();
    let unmoved = std::iter::repeat_n(zero.clone(), tuples.len() - batch);
    let rest = &data.axes[batch + counted..];
    let begins = data.axes[..batch].iter().map(stride).chain(unmoved).chain(rest.iter().map(stride));
    let at = tuples.iter().map(stride).chain(std::iter::repeat_n(zero, rest.len()));
    let axes = data.axes[batch..batch + counted].to_vec();
    let components = Tuples { between: stride(components), axes, dtype: indices.dtype };
    let mut each = gather(&out, &data, &indices, &components)?
        .place("data_place", strided(&data, &shape, begins))
        .place("index_place", strided(&indices, &shape, at));
    for (one, other) in data.axes[..batch].iter().zip(tuples) {
        each = each.fits(other.size.clone(), one.size.clone());
    }
    each.push(lowering, node);
    Ok(out)
}

/// How many axes are counted by tuples that lie along this one.
pub(super) fn components(axis: &Axis) -> Result<usize, String> {
    let counted = axis.size.as_i64().and_then(|counted| usize::try_from(counted).ok());
    counted.ok_or_else(|| "the number of axes that its indices count is open".to_owned())
}

/// A step that reads `data` where the tuples of `indices` lead.
fn gather(out: &View, data: &View, indices: &View, tuples: &Tuples) -> Result<Each, String> {
    if data.dtype != out.dtype {
        return Err(format!("the GPU does not gather {:?} as {:?}", data.dtype, out.dtype));
    }
    let mut words = Vec::new();
    let declarations = tuples.declarations(&mut words);
    let each = Each::new(&GATHER_AT, out).input("data", data).input("indices", indices).fault(OUTSIDE);
    Ok(each.declare(declarations, words))
}

fn one_hot(lowering: &mut Lowering<'_>, node: &TypedNode, op: &OneHot) -> Result<View, String> {
    let (indices, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    let (index, convert) = match indices.dtype {
        Dtype::I64 => ("i64", "stored"),
        // Towards 0, as the numbers of the data are converted elsewhere.
        Dtype::F32 => ("i32", "i32(clamp(stored, -2147483648.0, 2147483520.0))"),
        Dtype::I32 | Dtype::I16 | Dtype::I8 => ("i32", "stored"),
        dtype => return Err(format!("the GPU takes no {dtype:?} for indices")),
    };
    let stored = indices.dtype.stored();
    let mut words = Vec::new();
    let mut values = String::new();
    for (name, value) in [("on", &op.on), ("off", &op.off)] {
        let bits = uniform_bits(value).filter(|(dtype, _)| *dtype == out.dtype);
        let (dtype, bits) = bits.ok_or_else(|| "its marks are no single values".to_owned())?;
        let first = words.len();
        words.extend(bits.map(Word::Bits));
        let bits = dtype.words_as_element(&word_name(first), &word_name(first + 1));
        let _ = writeln!(values, "fn {name}() -> Found {{ return {bits}; }}");
    }
    let mut at = indices.clone();
    at.axes.insert(op.axis, Axis { size: TDim::from(op.dim as i64), stride: TDim::from(0) });
    let text = format!(
        "alias Index = {index};\nfn to_index(stored: {stored}) -> Index {{ return {convert}; }}\n{values}"
    );
    Each::new(&ONE_HOT, &out)
        .input("indices", &indices)
        .declare(text, words)
        .place("index_place", at)
        .place("axis_place", coordinate(&out, op.axis))
        .number(op.dim as i64)
        .push(lowering, node);
    Ok(out)
}
