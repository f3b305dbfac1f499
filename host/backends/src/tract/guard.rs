//! Operators that look before they compute: tract evaluates what depends only
//! on constants while it reads a model, and a few bytes of file can ask for any
//! amount of memory that way.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use samara_nn::Error;
use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{InferenceModel, SymbolValues, TVec, TractResult, TypedModel};
use tract_onnx::tract_hir::infer::{Factoid, InferenceFact, InferenceModelPatch, InferenceNode, InferenceOp};
use tract_onnx::tract_hir::internal::{
    DatumType, EvalContext, EvalOp, IntoTValue, Op, OpState, OutletId, SessionId, StaticName, Symbol, TValue,
    TractError, TypedFact, TypedOp, Validation, format_err, tensor0,
};

use super::read::{Operators, unguarded};
use super::sizes::range_bytes;

/// Has every operator of a framework look at its sizes first.
pub(super) fn guard(framework: &mut Onnx, operators: Operators) {
    let build = if operators == Operators::Exact { build_exact } else { build_plain };
    for (name, builder) in &mut framework.op_register.0 {
        if name != "Constant" {
            *builder = build;
        }
    }
}

/// A model to read another into, which carries the limit to the operators.
pub(super) fn template(limit: u64) -> InferenceModel {
    let mut template = InferenceModel::default();
    template.properties.insert(LIMIT.to_owned(), Arc::new(tensor0(limit)));
    template
}

const LIMIT: &str = "samara.tensor-limit";

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

fn build_plain(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    static PLAIN: OnceLock<Onnx> = OnceLock::new();
    build(PLAIN.get_or_init(|| unguarded(Operators::Plain)), context, node)
}

fn build_exact(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    static EXACT: OnceLock<Onnx> = OnceLock::new();
    build(EXACT.get_or_init(|| unguarded(Operators::Exact)), context, node)
}

fn build(framework: &Onnx, context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let builder = framework
        .op_register
        .0
        .get(&node.op_type)
        .ok_or_else(|| format_err!("no operator {}", node.op_type))?;
    let (inner, closures) = builder(context, node)?;
    let limit = match context.template.properties.get(LIMIT) {
        Some(limit) => limit.cast_to_scalar::<u64>()?,
        None => u64::MAX,
    };
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    let name = name.cloned().unwrap_or_default();
    Ok((Box::new(Guarded { inner, node: name, operator: node.op_type.clone(), limit }), closures))
}

/// An operator of a model that is being read.
#[derive(Debug, Clone)]
struct Guarded {
    inner: Box<dyn InferenceOp>,
    node: String,
    operator: String,
    limit: u64,
}

type Facts = TVec<InferenceFact>;

impl Guarded {
    fn check(&self, inputs: &Facts, outputs: &Facts) -> TractResult<()> {
        for output in outputs {
            if let (Some(datatype), Some(shape)) = (output.datum_type.concretize(), output.shape.concretize())
            {
                let sizes: Option<Vec<i64>> = shape.iter().map(|size| size.as_i64()).collect();
                if let Some(sizes) = sizes {
                    let bytes = sizes.iter().try_fold(datatype.size_of() as u64, |bytes, &size| {
                        bytes.checked_mul(u64::try_from(size).ok()?)
                    });
                    self.allow(bytes.unwrap_or(u64::MAX))?;
                }
            }
        }
        self.check_declared_shape(inputs)?;
        if self.operator == "Range" {
            let values = inputs.iter().map(|input| Some(input.value.concretize()?.into_tvalue()));
            if let Some(values) = values.collect::<Option<TVec<TValue>>>() {
                // Sizes that are not known yet cannot be counted with either.
                let bytes = range_bytes(&values, &SymbolValues::default()).unwrap_or(0);
                self.allow(u64::try_from(bytes).unwrap_or(u64::MAX))?;
            }
        }
        Ok(())
    }

    /// A shape that is given as a value: tract reads sizes of 2³¹ and more as
    /// other, smaller ones.
    fn check_declared_shape(&self, inputs: &Facts) -> TractResult<()> {
        let place = match self.operator.as_str() {
            "ConstantOfShape" => 0,
            "Expand" | "Tile" => 1,
            _ => return Ok(()),
        };
        let Some(shape) = inputs.get(place).and_then(|input| input.value.concretize()) else { return Ok(()) };
        if shape.datum_type() != DatumType::I64 {
            return Ok(());
        }
        let sizes = shape.try_as_plain_ram()?.as_slice::<i64>()?;
        if sizes.iter().any(|&size| i32::try_from(size).is_err()) {
            let product =
                sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.unsigned_abs()));
            self.allow(product.unwrap_or(u64::MAX).max(self.limit.saturating_add(1)))?;
        }
        Ok(())
    }

    fn allow(&self, size: u64) -> TractResult<()> {
        if size <= self.limit {
            return Ok(());
        }
        Err(TractError::from(Error::TooLarge {
            // Whoever reads the model knows its name.
            model: String::new(),
            what: super::sizes::what(&self.node, &self.operator),
            size,
            limit: self.limit,
        }))
    }
}

impl InferenceOp for Guarded {
    fn infer(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(Facts, Facts, Facts)> {
        let facts = self.inner.infer_facts(inputs, outputs, observed)?;
        self.check(&facts.0, &facts.1)?;
        if facts.0.iter().any(|input| input.value.concretize().is_none()) {
            return Ok(facts);
        }
        self.inner.infer(facts.0.iter().collect(), facts.1.iter().collect(), facts.2.iter().collect())
    }

    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(Facts, Facts, Facts)> {
        self.inner.infer_facts(inputs, outputs, observed)
    }

    fn observe_outlets(&self, model: &InferenceModel, node: &InferenceNode) -> TractResult<Vec<OutletId>> {
        self.inner.observe_outlets(model, node)
    }

    fn incorporate(
        &self,
        model: &InferenceModel,
        node: &InferenceNode,
    ) -> TractResult<Option<InferenceModelPatch>> {
        self.inner.incorporate(model, node)
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.inner.nboutputs()
    }

    // Code that asks which operator this is gets the one within.
    fn as_op(&self) -> &dyn Op {
        self.inner.as_op()
    }

    fn as_op_mut(&mut self) -> &mut dyn Op {
        self.inner.as_op_mut()
    }

    fn to_typed(
        &self,
        source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        self.inner.to_typed(source, node, target, mapping)
    }
}

impl Op for Guarded {
    fn name(&self) -> StaticName {
        self.inner.name()
    }

    fn validation(&self) -> Validation {
        self.inner.validation()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        self.inner.info()
    }

    fn mints_runtime_symbols(&self) -> bool {
        self.inner.mints_runtime_symbols()
    }

    fn required_bound_symbols(&self, inputs: &[&TypedFact]) -> TVec<Symbol> {
        self.inner.required_bound_symbols(inputs)
    }

    fn as_typed(&self) -> Option<&dyn TypedOp> {
        self.inner.as_typed()
    }
}

impl EvalOp for Guarded {
    fn eval(&self, context: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.inner.eval(context, inputs)
    }

    fn forwards_input(&self) -> Option<usize> {
        self.inner.forwards_input()
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.inner.eval_out_of_plan(inputs)
    }

    fn state(&self, context: &EvalContext<'_>) -> TractResult<Option<Box<dyn OpState>>> {
        self.inner.state(context)
    }

    fn drop_session(&self, session: SessionId, node: usize) {
        self.inner.drop_session(session, node);
    }
}

// tract compares operators to merge equal ones; two nodes are never one.
impl PartialEq for Guarded {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Eq for Guarded {}
