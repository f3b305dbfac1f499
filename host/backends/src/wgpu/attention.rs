//! Attention as simple operators: the front end has operators of its own for it,
//! which the executor sees as what they are made of, and fuses again.

use tract_onnx::prelude::{TractResult, TypedModel};
use tract_onnx::tract_hir::internal::{
    Rewriter, SpecialOps, TypedModelPatch, TypedNode, tensor0, tvec, wire_with_rank_broadcast,
};
use tract_onnx::tract_hir::tract_core::ops::logic::Iff;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{Softmax, SoftmaxKind};
use tract_transformers::ops::scaled_masked_softmax::ScaledMaskedSoftmax;
use tract_transformers::ops::sdpa::Sdpa;

/// The model with its attentions written out.
///
/// # Errors
/// When a part of one does not fit its neighbours.
pub(super) fn written_out(mut model: TypedModel) -> TractResult<TypedModel> {
    if !model.nodes.iter().any(|node| node.op_is::<Sdpa>() || node.op_is::<ScaledMaskedSoftmax>()) {
        return Ok(model);
    }
    let attention =
        |(): &(), model: &TypedModel, node: &TypedNode, _: &str, op: &Sdpa| op.patch_sdpa(model, node);
    Rewriter::default().with_rule_for("attention", attention).rewrite(&(), &mut model)?;
    Rewriter::default().with_rule_for("masked softmax", masked_softmax).rewrite(&(), &mut model)?;
    model.into_decluttered()
}

/// Scale, mask and softmax one after the other. The mask is added, or says what
/// counts.
fn masked_softmax(
    (): &(),
    model: &TypedModel,
    node: &TypedNode,
    name: &str,
    op: &ScaledMaskedSoftmax,
) -> TractResult<Option<TypedModelPatch>> {
    let mut patch = TypedModelPatch::new("masked softmax");
    let taps = patch.taps(model, &node.inputs)?;
    let (scores, mask) = (taps[0], taps[1]);
    let fact = patch.outlet_fact(scores)?.clone();
    let dtype = fact.datum_type;
    let scale = patch.add_const(format!("{name}.scale"), op.scale.cast_to_dt(dtype)?.into_owned())?;
    let scaled =
        wire_with_rank_broadcast(format!("{name}.scaled"), &mut patch, math::mul(), &[scores, scale])?;
    let is_choice = patch.outlet_fact(mask)?.datum_type.is::<bool>();
    if op.post_softmax_mask && is_choice {
        // What is chosen away has a share of 0 then, not of what is no number.
        return Ok(None);
    }
    let masked = if is_choice {
        let none = tensor0(f32::NEG_INFINITY).cast_to_dt(dtype)?.into_owned();
        let none = patch.add_const(format!("{name}.none"), none)?;
        wire_with_rank_broadcast(format!("{name}.masked"), &mut patch, Iff, &[mask, scaled[0], none])?
    } else {
        wire_with_rank_broadcast(format!("{name}.masked"), &mut patch, math::add(), &[scaled[0], mask])?
    };
    let softmax = Softmax::new(tvec![fact.rank() - 1], None, SoftmaxKind::Softmax);
    let shares = patch.wire_node(name, softmax, &masked)?;
    patch.shunt_outside(model, node.id.into(), shares[0])?;
    Ok(Some(patch))
}
