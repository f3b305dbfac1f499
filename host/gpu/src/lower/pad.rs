//! Borders around a tensor.

use std::fmt::Write;

use tract_core::internal::{TDim, Tensor, TypedNode};
use tract_core::ops::array::{Pad, PadMode};

use super::launch::{THREADS, launch, params, spread};
use super::{Lowered, Lowering};
use crate::error::Result;
use crate::program::{Cost, Launch, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::{Tail, Word, word_name};
use crate::view::View;

static PAD: Kernel = Kernel {
    name: "pad",
    body: include_str!("../kernels/pad.wgsl"),
    params: &["count", "fill_low", "fill_high"],
};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<Pad>()?;
    Some(pad(lowering, node, op).map(|view| vec![view]))
}

fn pad(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Pad) -> Result<View, String> {
    let (input, out) = (lowering.view(node.inputs[0])?, lowering.output(node)?);
    let (mode, fill) = match &op.mode {
        PadMode::Constant(value) => (Mode::Constant, fill_bits(value, node, lowering)?),
        PadMode::Edge => (Mode::Edge, [0; 2]),
        PadMode::Reflect => (Mode::Reflect, [0; 2]),
    };
    let before = op.pads.iter().map(|&(before, _)| before).collect();
    let tail = Tail::of_kernel(out.dtype);
    let step = Padding { input, before, mode, fill, tail, shape: out.shape(), out: out.root };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    Ok(out)
}

/// The bits of the border's value, in the datatype of the tensor.
fn fill_bits(value: &Tensor, node: &TypedNode, lowering: &Lowering<'_>) -> Result<[u32; 2], String> {
    let native = lowering.model.outlet_fact(node.inputs[0]).map_err(|error| error.to_string())?.datum_type;
    let value = value.cast_to_dt(native).map_err(|error| error.to_string())?;
    let bits = super::map::functions::uniform_bits(&value);
    bits.map(|(_, bits)| bits).ok_or_else(|| "its border has no single value".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    /// The outermost element goes on.
    Edge,
    /// As in a mirror that stands on the outermost element.
    Reflect,
}

struct Padding {
    input: View,
    before: Vec<usize>,
    mode: Mode,
    fill: [u32; 2],
    tail: Tail,
    shape: Vec<TDim>,
    out: Root,
}

impl Padding {
    /// The function `source`, and the words that it reads.
    fn source(&self) -> (String, Vec<Word>) {
        let mut words = vec![Word::Size(self.input.offset.clone())];
        let mut text = String::from("    var rest = i;\n    var origin = Source(");
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}, true);", word_name(0));
        for (axis, (input, size)) in self.input.axes.iter().zip(&self.shape).enumerate().rev() {
            let before = TDim::from(self.before[axis] as i64);
            let first = words.len();
            words.extend([size.clone(), input.size.clone(), before, input.stride.clone()].map(Word::Size));
            let [size, inside, before, stride] = [0, 1, 2, 3].map(|index| word_name(first + index));
            let _ = writeln!(text, "    let c{axis} = i32(rest % {size}) - i32({before});");
            let _ = writeln!(text, "    rest = rest / {size};");
            let last = format!("(i32({inside}) - 1)");
            let coordinate = match self.mode {
                Mode::Constant => {
                    let _ = writeln!(text, "    origin.is_inside &= c{axis} >= 0 && c{axis} <= {last};");
                    format!("c{axis}")
                }
                Mode::Edge => format!("clamp(c{axis}, 0, {last})"),
                Mode::Reflect => format!("({last} - abs({last} - abs(c{axis})))"),
            };
            let _ = writeln!(text, "    origin.place += u32({coordinate}) * {stride};");
        }
        let head = "struct Source { place: u32, is_inside: bool }\nfn source(i: u32) -> Source {\n";
        (format!("{head}{text}    return origin;\n}}\n"), words)
    }

    fn fill(&self) -> String {
        let value = self.input.dtype.words_as_element("params.fill_low", "params.fill_high");
        format!("fn fill() -> Found {{ return {value}; }}")
    }
}

impl Step for Padding {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn reads(&self) -> Vec<Root> {
        std::iter::once(&self.input).chain(self.tail.inputs()).map(|view| view.root).collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        let (source, words) = self.source();
        let spec = Spec {
            inputs: &[("input", self.input.dtype)],
            declarations: vec![source, self.fill()],
            words,
            ..Spec::new(&PAD, self.input.dtype.stored(), Some(&self.tail))
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let count = sizes.size(&crate::view::volume(&self.shape))?;
        let [low, high] = self.fill;
        let params = params(&[count, low, high], &variants[0], sizes)?;
        let cost = Cost { flops: 0, bytes: 2 * u64::from(count) * self.input.dtype.size() };
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
}
