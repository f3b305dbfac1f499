//! `ArrayFeatureExtractor`: columns by their numbers.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{OutletId, TVec, TractResult, TypedModel, tvec};
use tract_onnx::tract_hir::internal::{
    AxisOp, DatumType, Expansion, InferenceResult, Solver, SpecialOps, StaticName, TDim, TensorProxy, bail,
    expand,
};
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;

use super::Built;

/// Takes elements along the last axis. As in ONNX Runtime, the numbers of the
/// columns may have any shape, and a lone row gets an axis for rows.
#[derive(Debug, Clone)]
struct Extractor;

pub(super) fn build(_: &ParsingContext<'_>, _: &NodeProto) -> Built {
    Ok((expand(Extractor), Vec::new()))
}

/// The same inputs, with those that may be sizes turned into numbers.
pub(super) fn wire_numbers(
    prefix: &str,
    model: &mut TypedModel,
    inputs: &[OutletId],
) -> TractResult<TVec<OutletId>> {
    let mut numbers = TVec::new();
    for (place, input) in inputs.iter().enumerate() {
        numbers.push(match model.outlet_fact(*input)?.datum_type {
            DatumType::TDim => {
                model.wire_node(format!("{prefix}.numbers.{place}"), cast(DatumType::I64), &[*input])?[0]
            }
            _ => *input,
        });
    }
    Ok(numbers)
}

impl Expansion for Extractor {
    fn name(&self) -> StaticName {
        "ArrayFeatureExtractor".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        if inputs.len() != 2 || outputs.len() != 1 {
            bail!("it has {} inputs and {} outputs, not 2 and 1", inputs.len(), outputs.len());
        }
        solver.given(&inputs[0].datum_type, move |solver, datatype| {
            let number = if datatype == DatumType::TDim { DatumType::I64 } else { datatype };
            solver.equals(&outputs[0].datum_type, number)
        })?;
        solver.given_2(&inputs[0].shape, &inputs[1].shape, move |solver, shape, columns| {
            let Some((_, rows)) = shape.split_last() else { bail!("its input has no axes") };
            let lone = rows.is_empty().then(|| TDim::from(1));
            let shape: TVec<TDim> =
                lone.into_iter().chain(rows.iter().cloned()).chain([count(&columns)]).collect();
            solver.equals(&outputs[0].shape, shape)
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let inputs = wire_numbers(prefix, model, inputs)?;
        let (data, mut columns) = (inputs[0], inputs[1]);
        let shape = model.outlet_fact(columns)?.shape.to_tvec();
        if shape.len() != 1 {
            let flat = match shape.len() {
                0 => AxisOp::Add(0),
                _ => AxisOp::Reshape(0, shape.clone(), tvec![count(&shape)]),
            };
            columns = model.wire_node(format!("{prefix}.columns"), flat, &[columns])?[0];
        }
        let rank = model.outlet_fact(data)?.rank();
        let Some(axis) = rank.checked_sub(1) else { bail!("its input has no axes") };
        let taken = model.wire_node(prefix, Gather { axis, output_type: None }, &[data, columns])?;
        if rank > 1 {
            return Ok(taken);
        }
        model.wire_node(format!("{prefix}.row"), AxisOp::Add(0), &taken)
    }
}

fn count(shape: &[TDim]) -> TDim {
    shape.iter().product()
}
