//! How large the tensors of a plan become, so that none is computed that
//! memory should not be spent on.

use std::sync::Arc;

use samara_nn::Error;
use tract_onnx::prelude::{SymbolValues, TDim, TVec, TractResult, TypedModel};
use tract_onnx::tract_hir::internal::{TValue, Tensor, TractError, TypedFact, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::array::Range;

use crate::onnx::quote;

/// The limit, and what each node of a plan computes.
pub(super) struct Sizes {
    pub model: Arc<str>,
    pub limit: u64,
    nodes: Vec<Size>,
}

enum Size {
    /// Known, and within the limit.
    Fixed,
    /// Follows from the sizes of the inputs: one entry per output.
    Symbolic(Vec<TDim>),
    /// Follows from the values of the inputs.
    Range,
}

impl Sizes {
    /// Looks through a model before it runs.
    ///
    /// # Errors
    /// [`Error::TooLarge`] naming the node.
    pub(super) fn new(model: &TypedModel, name: Arc<str>, limit: u64) -> TractResult<Self> {
        let mut sizes = Self { model: name, limit, nodes: Vec::with_capacity(model.nodes().len()) };
        for node in model.nodes() {
            let size = if node.op_is::<Range>() {
                Size::Range
            } else {
                let symbolic: Vec<TDim> = node
                    .outputs
                    .iter()
                    .map(|output| bytes(&output.fact))
                    .filter(|bytes| bytes.as_i64().is_none())
                    .collect();
                for output in &node.outputs {
                    if let Some(bytes) = bytes(&output.fact).as_i64() {
                        sizes.allow(node.name.as_str(), node.op().name().as_ref(), bytes)?;
                    }
                }
                if symbolic.is_empty() { Size::Fixed } else { Size::Symbolic(symbolic) }
            };
            sizes.nodes.push(size);
        }
        Ok(sizes)
    }

    /// Checks what a node is about to compute. `unchecked` says that no run has
    /// had inputs of these shapes before.
    ///
    /// # Errors
    /// [`Error::TooLarge`] naming the node.
    pub(super) fn check(
        &self,
        node: &TypedNode,
        symbols: &SymbolValues,
        inputs: &TVec<TValue>,
        unchecked: bool,
    ) -> TractResult<()> {
        match &self.nodes[node.id] {
            Size::Symbolic(outputs) if unchecked => {
                for bytes in outputs.iter().filter_map(|bytes| bytes.maybe_eval_to_i64(symbols)) {
                    self.allow(&node.name, &node.op().name(), bytes)?;
                }
                Ok(())
            }
            Size::Fixed | Size::Symbolic(_) => Ok(()),
            Size::Range => self.allow(&node.name, &node.op().name(), range_bytes(inputs, symbols)?),
        }
    }

    /// # Errors
    /// [`Error::TooLarge`] when `bytes` is above the limit.
    pub(super) fn allow(&self, node: &str, operator: &str, bytes: i64) -> TractResult<()> {
        // A size that no number holds shows as one below zero.
        let size = u64::try_from(bytes).unwrap_or(u64::MAX);
        if size <= self.limit {
            return Ok(());
        }
        Err(TractError::from(Error::TooLarge {
            model: self.model.to_string(),
            what: what(node, operator),
            size,
            limit: self.limit,
        }))
    }
}

/// What is too large, in words.
pub(super) fn what(node: &str, operator: &str) -> String {
    format!("the size in bytes of what node {} (operator `{operator}`) computes", quote(node))
}

/// What a `Range` with these inputs computes, in bytes.
pub(super) fn range_bytes(inputs: &TVec<TValue>, symbols: &SymbolValues) -> TractResult<i64> {
    let value = |tensor: &Tensor| -> TractResult<f64> {
        let size = tensor.cast_to::<TDim>();
        if let (true, Ok(size)) = (tensor.datum_type().is_tdim(), size) {
            let size = size.try_as_plain_ram()?.to_scalar::<TDim>()?.eval_to_i64(symbols)?;
            return Ok(size as f64);
        }
        tensor.cast_to_scalar::<f64>()
    };
    let [start, end, step] = &inputs[..] else { return Ok(0) };
    let count = ((value(end)? - value(start)?) / value(step)?).ceil().max(0.0);
    // `as` saturates, and makes 0 of what is not a number.
    Ok((count * start.datum_type().size_of() as f64) as i64)
}

fn bytes(fact: &TypedFact) -> TDim {
    // Factors are multiplied one by one below: `i64` overflow must not wrap.
    if let Some(shape) = fact.shape.as_concrete() {
        let product =
            shape.iter().try_fold(fact.datum_type.size_of(), |bytes, &size| bytes.checked_mul(size));
        return product.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(i64::MAX).into();
    }
    fact.shape.volume() * fact.datum_type.size_of()
}
