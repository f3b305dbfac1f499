//! Operators on narrow integers as quantisers write them, registered with tract in
//! place of its own or beside them. Each computes what ONNX Runtime computes on
//! x86-64, to the last bit: sums of integers, one product with a scale, one rounding
//! to the nearest step, ties to the even one.
//!
//! Sums are added up in floats where no sum can leave what floats hold exactly, which
//! is what tract's fastest kernels do, and in wider numbers elsewhere.

mod computed;
mod dynamic;
mod layers;
mod linear;
mod numbers;
mod pairs;
mod pools;
mod products;
mod softmax;
mod steps;
mod tables;
mod wide;
mod wiring;

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TDim, TVec, TractResult, TypedModel, tvec};
use tract_onnx::tract_hir::infer::InferenceOp;
use tract_onnx::tract_hir::internal::{
    Expansion, InferenceResult, Solver, StaticName, TensorProxy, bail, ensure, expand, format_err,
};

pub(super) use pools::GlobalAverage;
pub(super) use softmax::NarrowSoftmax;
pub(super) use steps::Step;
use wiring::{Given, Wiring};

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;
type Builder = fn(&ParsingContext<'_>, &NodeProto) -> Built;

/// Operators of ONNX.
const STANDARD: [(&str, Builder); 7] = [
    ("ConvInteger", layers::conv_integer),
    ("DequantizeLinear", linear::dequantize),
    ("DynamicQuantizeLinear", dynamic::quantize),
    ("MatMulInteger", layers::mat_mul_integer),
    ("QLinearConv", layers::conv),
    ("QLinearMatMul", layers::mat_mul),
    ("QuantizeLinear", linear::quantize),
];

/// Operators of ONNX Runtime's own.
const OWN: [(&str, Builder); 12] = [
    ("DynamicQuantizeMatMul", dynamic::mat_mul),
    ("MatMulIntegerToFloat", layers::mat_mul_to_float),
    ("QGemm", layers::gemm),
    ("QLinearAdd", pairs::add),
    ("QLinearAveragePool", pools::average),
    ("QLinearConcat", tables::concat),
    ("QLinearGlobalAveragePool", pools::global_average),
    ("QLinearLeakyRelu", tables::leaky_relu),
    ("QLinearMul", pairs::mul),
    ("QLinearSigmoid", tables::sigmoid),
    ("QLinearSoftmax", softmax::softmax),
    ("QLinearWhere", tables::choice),
];

/// Gives a framework these operators.
pub(super) fn register(framework: &mut Onnx) {
    for (name, builder) in STANDARD.into_iter().chain(OWN) {
        framework.op_register.insert(name, builder);
    }
}

/// Whether an operator of this name is ONNX Runtime's own, in no other domain.
pub(super) fn is_own(operator: &str) -> bool {
    OWN.iter().any(|(name, _)| *name == operator)
}

/// tract's reader of ONNX files as it comes.
fn plain() -> &'static Onnx {
    static PLAIN: OnceLock<Onnx> = OnceLock::new();
    PLAIN.get_or_init(tract_onnx::onnx)
}

/// What tract makes of a node's attributes.
fn expansion<E: Expansion + Clone>(operator: &dyn InferenceOp) -> TractResult<E> {
    let expansion = operator.as_op().downcast_ref::<Box<dyn Expansion>>();
    let inner: Option<&dyn Any> = expansion.map(|expansion| &**expansion as &dyn Any);
    let found = inner.and_then(|inner| inner.downcast_ref::<E>()).cloned();
    found.ok_or_else(|| format_err!("tract reads {} in a way of its own", operator.name()))
}

/// The datatype and the shape of a tensor.
#[derive(Debug, Clone)]
struct Form {
    datatype: DatumType,
    shape: TVec<TDim>,
}

/// An operator that is wired from others.
trait Layer: Debug + Send + Sync {
    /// What it gives for these inputs.
    ///
    /// # Errors
    /// When it does not take them.
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>>;

    /// Wires it.
    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>>;
}

/// A layer in a model whose shapes are not known yet.
#[derive(Debug, Clone)]
struct Unplaced {
    operator: String,
    layer: Arc<dyn Layer>,
    names: &'static [&'static str],
    /// The places of the inputs that are there.
    taken: TVec<usize>,
    /// The places of the outputs that are asked for.
    kept: TVec<usize>,
}

/// A layer for a node whose inputs have these names. The last may be there often.
fn built(node: &NodeProto, names: &'static [&'static str], layer: impl Layer + 'static) -> Built {
    let places = |names: &[String]| (0..names.len()).filter(|&place| !names[place].is_empty()).collect();
    Ok((
        expand(Unplaced {
            operator: node.op_type.clone(),
            layer: Arc::new(layer),
            names,
            taken: places(&node.input),
            kept: places(&node.output),
        }),
        Vec::new(),
    ))
}

impl Unplaced {
    fn given<T>(&self, present: impl IntoIterator<Item = T>) -> Given<T> {
        Given::new(&self.operator, self.names, self.taken.iter().copied().zip(present))
    }
}

impl Expansion for Unplaced {
    fn name(&self) -> StaticName {
        self.operator.clone().into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.kept.len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        ensure!(inputs.len() == self.taken.len(), "{} has {} inputs", self.operator, inputs.len());
        solver.given_all(inputs.iter().map(|input| &input.datum_type), move |solver, datatypes| {
            solver.given_all(inputs.iter().map(|input| &input.shape), move |solver, shapes| {
                let forms = datatypes.iter().zip(shapes);
                let forms = forms.map(|(datatype, shape)| Form { datatype: *datatype, shape });
                let made = self.layer.outputs(&self.given(forms))?;
                for (output, &place) in outputs.iter().zip(&self.kept) {
                    let Some(form) = made.get(place) else {
                        bail!("{} has {} outputs, not {}", self.operator, made.len(), place + 1)
                    };
                    solver.equals(&output.datum_type, form.datatype)?;
                    solver.equals(&output.shape, form.shape.clone())?;
                }
                Ok(())
            })
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut forms = TVec::new();
        for input in inputs {
            let fact = model.outlet_fact(*input)?;
            forms.push(Form { datatype: fact.datum_type, shape: fact.shape.to_tvec() });
        }
        let made = self.layer.outputs(&self.given(forms))?;
        ensure!(self.kept.iter().all(|place| *place < made.len()), "{} has too many outputs", self.operator);
        let given = self.given(inputs.iter().copied());
        let outlets = self.layer.wire(&mut Wiring { prefix, model, given })?;
        Ok(self.kept.iter().map(|&place| outlets[place]).collect())
    }
}

/// One output.
fn one(datatype: DatumType, shape: TVec<TDim>) -> TractResult<TVec<Form>> {
    Ok(tvec![Form { datatype, shape }])
}
