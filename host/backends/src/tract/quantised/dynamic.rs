//! Scales that are computed from the numbers at hand.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TVec, TractResult, TypedFact, tvec};
use tract_onnx::tract_hir::internal::{
    EvalContext, EvalOp, IntoTValue, Op, SpecialOps, StaticName, TValue, Tensor, TypedOp, as_op, ensure,
    op_as_typed_op, op_out_of_plan, tensor0,
};
use tract_onnx::tract_hir::ops::matmul::{MatMulInference, compute_shapes};

use super::layers::to_floats;
use super::numbers::Steps;
use super::products::{self, Operand};
use super::wiring::{Given, Wiring, lone};
use super::{Built, Form, Layer, built, one};

pub(super) fn quantize(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &["x"], Quantise)
}

pub(super) fn mat_mul(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &["A", "B", "b_scale", "b_zero_point", "bias"], Product)
}

#[derive(Debug)]
struct Quantise;

impl Layer for Quantise {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let x = given.need("x")?;
        given.all_of(&["x"], DatumType::F32)?;
        let scalar = |datatype| Form { datatype, shape: tvec![] };
        let steps = Form { datatype: DatumType::U8, shape: x.shape.clone() };
        Ok(tvec![steps, scalar(DatumType::F32), scalar(DatumType::U8)])
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let x = wiring.need("x")?;
        wiring.model.wire_node(wiring.prefix, Ranged, &[x])
    }
}

#[derive(Debug)]
struct Product;

impl Layer for Product {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let (a, b) = (given.need("A")?, given.narrow("B")?);
        given.need("b_scale")?;
        given.all_of(&["A", "b_scale", "bias"], DatumType::F32)?;
        given.all_of(&["b_zero_point"], b.datatype)?;
        let ranks = [a.shape.len(), b.shape.len()];
        ensure!(
            ranks.iter().all(|rank| *rank > 0) && ranks != [1, 1],
            "{} takes no vectors alone",
            given.operator
        );
        let (.., shape) = compute_shapes(a.shape.clone(), b.shape.clone(), false, false, false)?;
        one(DatumType::F32, shape)
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let a = wiring.need("A")?;
        let ranged = wiring.model.wire_node(wiring.name("a.ranged"), Ranged, &[a])?;
        let a = Operand { tensor: ranged[0], zero: Some(ranged[2]) };
        let b = Operand::of(wiring, "B", "b_zero_point")?;
        let sums = products::product(wiring, &MatMulInference::default(), a, b)?;
        let bias = wiring.given.get("bias").copied();
        let scales = (ranged[1], wiring.need("b_scale")?);
        Ok(lone(to_floats(wiring, sums, scales, bias)?))
    }
}

/// Floats become steps between the least and the greatest of them, and zero.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranged;

impl Op for Ranged {
    fn name(&self) -> StaticName {
        "DynamicQuantizeLinear".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Ranged {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = inputs[0].try_as_plain_ram()?;
        let values = input.as_slice::<f32>()?;
        let (least, most) = values.iter().fold((0f32, 0f32), |(least, most), &value| {
            (if value < least { value } else { least }, if value > most { value } else { most })
        });
        let scale = if least == most { 1.0 } else { (most - least) / 255.0 };
        let zero = Steps::of::<u8>(0).nearest::<u8>(0.0 - least / scale);
        let steps = Steps::of::<u8>(zero.into());
        let made: Vec<u8> = values.iter().map(|value| steps.nearest(value / scale)).collect();
        let made = Tensor::from_shape(inputs[0].shape(), &made)?;
        Ok(tvec![made.into_tvalue(), tensor0(scale).into_tvalue(), tensor0(zero).into_tvalue()])
    }
}

impl TypedOp for Ranged {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let scalar = |datatype: DatumType| TypedFact::dt_shape(datatype, [0usize; 0]);
        Ok(tvec![
            TypedFact::dt_shape(DatumType::U8, inputs[0].shape.clone()),
            scalar(DatumType::F32),
            scalar(DatumType::U8)
        ])
    }

    as_op!();
}
