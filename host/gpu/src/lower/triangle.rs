//! The part of matrices above or below a diagonal.

use tract_core::internal::TypedNode;
use tract_core::ops::array::Trilu;

use super::each::{Each, coordinate};
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::shader::Kernel;
use crate::view::View;

static TRIANGLE: Kernel =
    Kernel { name: "triangle", body: include_str!("../kernels/triangle.wgsl"), params: &["count"] };

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let op = node.op_as::<Trilu>()?;
    Some(triangle(lowering, node, op.upper).map(|view| vec![view]))
}

fn triangle(lowering: &mut Lowering<'_>, node: &TypedNode, is_upper: bool) -> Result<View, String> {
    let (data, diagonal) = (lowering.view(node.inputs[0])?, lowering.view(node.inputs[1])?);
    let out = lowering.output(node)?;
    let Some(row) = out.rank().checked_sub(2) else { return Err("it has no two axes".to_owned()) };
    if diagonal.dtype != Dtype::I64 || data.dtype != out.dtype {
        return Err(format!("the GPU takes no diagonal that is {:?}", diagonal.dtype));
    }
    Each::new(&TRIANGLE, &out)
        .input("data", &data)
        .input("diagonals", &diagonal)
        .declare(format!("const IS_UPPER = {is_upper};"), Vec::new())
        .place("data_place", data)
        .place("diagonal_place", diagonal)
        .place("row_place", coordinate(&out, row))
        .place("column_place", coordinate(&out, row + 1))
        .push(lowering, node);
    Ok(out)
}
