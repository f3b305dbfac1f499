//! Fourier transforms, of rows and of the frames of a signal.

use std::f64::consts::TAU;
use std::sync::Arc;

use tract_core::internal::{TDim, Tensor, TypedNode, tensor1};
use tract_core::ops::fft::{Fft, Stft};

use super::each::{Each, coordinate, strided};
use super::{Lowered, Lowering};
use crate::shader::Kernel;
use crate::view::View;

static FOURIER: Kernel = Kernel {
    name: "fourier",
    body: include_str!("../kernels/fourier.wgsl"),
    params: &["count", "length", "stride", "part_stride"],
};

/// The longest row: so many terms a thread adds up.
const LONGEST: usize = 32_768;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let lowered = if let Some(op) = node.op_as::<Fft>() {
        rows(lowering, node, op)
    } else {
        frames(lowering, node, node.op_as::<Stft>()?)
    };
    Some(lowered.map(|view| vec![view]))
}

fn rows(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Fft) -> Result<View, String> {
    let data = lowering.view(node.inputs[0])?;
    let length = data.axes[op.axis].size.as_i64().and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or_else(|| "the length of what it transforms is open".to_owned())?;
    let strides = data.axes.iter().enumerate();
    let strides = strides.map(|(at, axis)| if at == op.axis { TDim::from(0) } else { axis.stride.clone() });
    let strides = strides.collect();
    let transform =
        Transform { along: op.axis, frequency: op.axis, strides, table: table(length, op.inverse, None)? };
    transform.push(lowering, node, &data)
}

fn frames(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Stft) -> Result<View, String> {
    let data = lowering.view(node.inputs[0])?;
    let mut strides: Vec<TDim> = data.axes.iter().map(|axis| axis.stride.clone()).collect();
    strides[op.axis] = (strides[op.axis].clone() * op.stride as i64).reduce();
    strides.insert(op.axis + 1, TDim::from(0));
    let table = table(op.frame, false, op.window.as_deref())?;
    let transform = Transform { along: op.axis, frequency: op.axis + 1, strides, table };
    transform.push(lowering, node, &data)
}

/// The cosine, the sine and the weight for each position of a row.
fn table(length: usize, is_inverse: bool, window: Option<&Tensor>) -> Result<Tensor, String> {
    if length > LONGEST {
        return Err(format!("the GPU transforms at most {LONGEST} elements together, not {length}"));
    }
    let mut weights = vec![1.0; length];
    if let Some(window) = window {
        let failed = |error: tract_core::internal::TractError| error.to_string();
        let window = window.cast_to::<f32>().map_err(failed)?;
        let window = window.try_as_plain_ram().map_err(failed)?;
        let window = window.as_slice::<f32>().map_err(failed)?;
        if window.len() > length {
            return Err(format!("its window of {} is longer than its frame of {length}", window.len()));
        }
        let before = (length - window.len()) / 2;
        weights.fill(0.0);
        weights[before..before + window.len()].copy_from_slice(window);
    }
    let sign = if is_inverse { 1.0 } else { -1.0 };
    let row = weights.iter().enumerate().flat_map(|(at, &weight)| {
        let angle = sign * TAU * at as f64 / length as f64;
        [angle.cos() as f32, angle.sin() as f32, weight]
    });
    Ok(tensor1(&row.collect::<Vec<f32>>()))
}

struct Transform {
    /// The axis of the input that is transformed.
    along: usize,
    /// The axis of the output that counts frequencies.
    frequency: usize,
    /// From element to element of the output, where the row of the input begins;
    /// the last axis, of real and imaginary parts, among them.
    strides: Vec<TDim>,
    table: Tensor,
}

impl Transform {
    fn push(mut self, lowering: &mut Lowering<'_>, node: &TypedNode, data: &View) -> Result<View, String> {
        let out = lowering.output(node)?;
        if !data.dtype.is_float() || out.dtype != data.dtype {
            return Err(format!("the GPU does not transform {:?}", data.dtype));
        }
        let length = self.table.len() as i64 / 3;
        let table = lowering.constant(Arc::new(self.table))?;
        let part_stride = self.strides.pop().unwrap_or_else(|| TDim::from(0));
        self.strides.push(TDim::from(0));
        Each::new(&FOURIER, &out)
            .finding("f32")
            .input("data", data)
            .input("table", &table)
            .place("data_place", strided(data, &out.shape(), self.strides))
            .place("frequency_place", coordinate(&out, self.frequency))
            .number(length)
            .number(data.axes[self.along].stride.clone())
            .number(part_stride)
            .rounds(4 * length as u64)
            .push(lowering, node);
        Ok(out)
    }
}
