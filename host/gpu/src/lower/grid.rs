//! Pictures at places between their elements.

use std::fmt::Write;

use tract_core::internal::{TDim, TypedNode};
use tract_core::ops::nn::grid_sample::{GridSample, InterpolationMode, PaddingMode};

use super::each::{Each, strided};
use super::{Lowered, Lowering};
use crate::shader::Kernel;
use crate::tail::{Word, word_name};
use crate::view::{Axis, View};

static GRID_SAMPLE: Kernel = Kernel {
    name: "grid_sample",
    body: include_str!("../kernels/grid_sample.wgsl"),
    params: &["count", "between"],
};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<GridSample>()?;
    Some(sample(lowering, node, op).map(|view| vec![view]))
}

fn sample(lowering: &mut Lowering<'_>, node: &TypedNode, op: &GridSample) -> Result<View, String> {
    let (data, grid) = (lowering.view(node.inputs[0])?, lowering.view(node.inputs[1])?);
    let out = lowering.output(node)?;
    let spatial = data.rank().saturating_sub(2);
    if !(1..=3).contains(&spatial) || grid.rank() != data.rank() {
        return Err(format!("the GPU samples pictures of one to three axes, not {spatial}"));
    }
    if !data.dtype.is_float() || !grid.dtype.is_float() || out.dtype != data.dtype {
        return Err(format!("the GPU does not sample {:?}", data.dtype));
    }
    if op.mode == InterpolationMode::Bicubic && spatial != 2 {
        return Err("cubic sampling takes pictures of two axes".to_owned());
    }
    let (declarations, words) = declarations(op, &data.axes[2..]);
    let stride = |axis: &Axis| axis.stride.clone();
    let zeros = std::iter::repeat_n(TDim::from(0), spatial);
    let begins = data.axes[..2].iter().map(stride).chain(zeros);
    let places = [stride(&grid.axes[0]), TDim::from(0)];
    let places = places.into_iter().chain(grid.axes[1..=spatial].iter().map(stride));
    let shape = out.shape();
    let mut each = Each::new(&GRID_SAMPLE, &out)
        .finding("f32")
        .input("data", &data)
        .input("grid", &grid)
        .declare(declarations, words)
        .place("data_place", strided(&data, &shape, begins))
        .place("grid_place", strided(&grid, &shape, places))
        .number(stride(&grid.axes[spatial + 1]))
        .rounds(64)
        .fits(data.axes[0].size.clone(), grid.axes[0].size.clone())
        .fits(TDim::from(spatial as i64), grid.axes[spatial + 1].size.clone());
    for axis in &data.axes[2..] {
        // Where there is nothing, nothing can be found.
        each = each.fits(TDim::from(1), axis.size.clone());
    }
    each.push(lowering, node);
    Ok(out)
}

/// What the kernel does, and the sizes and strides of the axes of the picture.
fn declarations(op: &GridSample, axes: &[Axis]) -> (String, Vec<Word>) {
    let mode = match op.mode {
        InterpolationMode::Nearest => "NEAREST",
        InterpolationMode::Bilinear => "LINEAR",
        InterpolationMode::Bicubic => "CUBIC",
    };
    let padding = match op.padding_mode {
        PaddingMode::Zeros => "ZEROS",
        PaddingMode::Border => "BORDER",
        PaddingMode::Reflection => "REFLECTION",
    };
    let mut text = format!(
        "const NEAREST = 0u;\nconst LINEAR = 1u;\nconst CUBIC = 2u;\n\
         const ZEROS = 0u;\nconst BORDER = 1u;\nconst REFLECTION = 2u;\n\
         const MODE = {mode};\nconst PADDING = {padding};\nconst ALIGN_CORNERS = {};\n\
         const SPATIAL = {}u;\n",
        op.align_corners,
        axes.len()
    );
    let mut words = Vec::new();
    for name in ["extent", "stride"] {
        // Writing to a string does not fail.
        let _ = writeln!(text, "fn {name}(axis: u32) -> u32 {{\n    var words = array<u32, SPATIAL>(");
        for axis in axes {
            let word = if name == "extent" { &axis.size } else { &axis.stride };
            words.push(Word::Size(word.clone()));
            let _ = writeln!(text, "        {},", word_name(words.len() - 1));
        }
        let _ = writeln!(text, "    );\n    return words[axis];\n}}");
    }
    (text, words)
}
