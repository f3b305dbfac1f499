//! The operators of `ai.onnx.ml`, registered with tract: one operator of tract's
//! for all of them, around what a node has learned.

mod encoders;
mod extractor;
mod linear;
mod matrix;
mod scaling;
mod scores;
mod svm;
mod trees;

use std::sync::Arc;

use prost::Message;
use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{OutletId, TVec, TractResult, TypedModel, tvec};
use tract_onnx::tract_hir::infer::InferenceOp;
use tract_onnx::tract_hir::internal::{
    DatumType, EvalContext, EvalOp, Expansion, InferenceResult, IntoTValue, Op, Solver, SpecialOps,
    StaticName, TDim, TValue, Tensor, TensorProxy, TypedFact, TypedOp, as_op, bail, expand, format_err,
    op_as_typed_op, op_out_of_plan,
};

use crate::onnx::learned::{DOMAIN, Learned, OPERATORS};
use trees::Trees;

/// tract's reader of ONNX files, with the operators of `ai.onnx.ml`.
pub(super) fn framework() -> Onnx {
    let mut framework = tract_onnx::onnx();
    for operator in OPERATORS {
        framework.op_register.insert(operator, build);
    }
    framework.op_register.insert("ArrayFeatureExtractor", extractor::build);
    framework
}

/// An operator in a model whose shapes are not known yet.
#[derive(Debug, Clone)]
struct Unplaced {
    operator: &'static str,
    learned: Arc<Learned>,
    /// The places of the outputs that are asked for.
    kept: TVec<usize>,
}

/// An operator of the domain.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    operator: &'static str,
    outputs: TVec<Output>,
    kept: TVec<usize>,
    work: Arc<Work>,
}

/// What an operator computes with.
#[derive(Debug)]
enum Work {
    Learned(Arc<Learned>),
    Floats(Trees<f32>),
    Doubles(Trees<f64>),
}

/// The datatype and the shape of an output.
#[derive(Debug, Clone, Copy)]
struct Output {
    datatype: DatumType,
    shape: Shape,
}

/// Shapes that follow from the first input's.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Same,
    /// The same, with one more axis of this size.
    With(usize),
    /// One element for each row.
    Rows,
    /// So many for each row.
    RowsOf(usize),
}

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

fn build(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let version = context.model.opset_import.iter().find(|opset| opset.domain == DOMAIN);
    let version = version.map_or(0, |opset| opset.version);
    let bytes = node.encode_to_vec();
    let outline = crate::onnx::read_node(&bytes).map_err(|problem| format_err!("{problem}"))?;
    let learned = Learned::read(&outline, version).map_err(|fault| format_err!("{fault}"))?;
    let operator = OPERATORS.into_iter().find(|operator| *operator == node.op_type);
    let (Some(learned), Some(operator)) = (learned, operator) else {
        bail!("{} is no operator of ai.onnx.ml", node.op_type)
    };
    let kept = (0..node.output.len()).filter(|&place| !node.output[place].is_empty()).collect();
    Ok((expand(Unplaced { operator, learned: Arc::new(learned), kept }), Vec::new()))
}

impl Expansion for Unplaced {
    fn name(&self) -> StaticName {
        self.operator.into()
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
        solver.given_all(inputs.iter().map(|input| &input.datum_type), move |solver, datatypes| {
            let made = outputs_of(&self.learned, &datatypes)?;
            for (output, &place) in outputs.iter().zip(&self.kept) {
                solver.equals(&output.datum_type, self.output(&made, place)?.datatype)?;
            }
            solver.given_all(inputs.iter().map(|input| &input.shape), move |solver, shapes| {
                self.check(&shapes)?;
                for (output, &place) in outputs.iter().zip(&self.kept) {
                    solver.equals(&output.shape, self.output(&made, place)?.shape.after(&shapes[0]))?;
                }
                Ok(())
            })
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let inputs = extractor::wire_numbers(prefix, model, inputs)?;
        let facts = inputs.iter().map(|input| model.outlet_fact(*input)).collect::<TractResult<Vec<_>>>()?;
        let datatypes: Vec<DatumType> = facts.iter().map(|fact| fact.datum_type).collect();
        let shapes: Vec<TVec<TDim>> = facts.iter().map(|fact| fact.shape.to_tvec()).collect();
        self.check(&shapes)?;
        let outputs = outputs_of(&self.learned, &datatypes)?;
        for &place in &self.kept {
            self.output(&outputs, place)?;
        }
        let work = Arc::new(self.work(datatypes[0])?);
        let placed = Placed { operator: self.operator, outputs, kept: self.kept.clone(), work };
        model.wire_node(prefix, placed, &inputs)
    }
}

impl Unplaced {
    fn output(&self, outputs: &[Output], place: usize) -> TractResult<Output> {
        let output = outputs.get(place).copied();
        output
            .ok_or_else(|| format_err!("{} has {} outputs, not {}", self.operator, outputs.len(), place + 1))
    }

    fn check(&self, shapes: &[TVec<TDim>]) -> TractResult<()> {
        let Some(first) = shapes.first() else { bail!("{} lacks an input", self.operator) };
        let any_rank = matches!(&*self.learned, Learned::LabelEncoder(_) | Learned::Binarizer(_));
        if !any_rank && !(1..=2).contains(&first.len()) {
            bail!("{} takes rows of features, not {} axes", self.operator, first.len());
        }
        let width = first.last().and_then(|size| size.as_i64()).and_then(|size| usize::try_from(size).ok());
        match width.filter(|_| !any_rank).map(|width| self.learned.check_width(width)) {
            Some(Err(reason)) => bail!("{}: {reason}", self.operator),
            _ => Ok(()),
        }
    }

    fn work(&self, datatype: DatumType) -> TractResult<Work> {
        let double = datatype == DatumType::F64;
        Ok(match &*self.learned {
            Learned::TreeClassifier(trees) if double => Work::Doubles(Trees::classify(trees)?),
            Learned::TreeClassifier(trees) => Work::Floats(Trees::classify(trees)?),
            Learned::TreeRegressor(trees) if double => Work::Doubles(Trees::regress(trees)?),
            Learned::TreeRegressor(trees) => Work::Floats(Trees::regress(trees)?),
            _ => Work::Learned(Arc::clone(&self.learned)),
        })
    }
}

impl Placed {
    /// Whether each row of what it computes follows from the same row of its
    /// first input alone.
    pub(super) fn keeps_rows(&self, rank: usize) -> bool {
        rank >= 2
            || matches!(&*self.work, Work::Learned(learned) if matches!(**learned, Learned::LabelEncoder(_)))
    }

    /// What it has learned, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = match &*self.work {
            Work::Learned(learned) => match &**learned {
                Learned::LinearClassifier(linear) => linear.coefficients.len() * 4,
                Learned::LinearRegressor(linear) => linear.coefficients.len() * 4,
                Learned::SvmClassifier(svm) => svm.machine.vectors.len() * 4,
                Learned::SvmRegressor(svm) => svm.machine.vectors.len() * 4,
                _ => 0,
            },
            Work::Floats(trees) => trees.bytes(),
            Work::Doubles(trees) => trees.bytes(),
        };
        bytes as u64
    }
}

impl Op for Placed {
    fn name(&self) -> StaticName {
        self.operator.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Placed {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let made = match &*self.work {
            Work::Floats(trees) => trees.run(&inputs[0])?,
            Work::Doubles(trees) => trees.run(&inputs[0])?,
            Work::Learned(learned) => run(learned, &inputs)?,
        };
        let mut made: Vec<Option<Tensor>> = made.into_iter().map(Some).collect();
        let kept = self.kept.iter().filter_map(|&place| made.get_mut(place)?.take());
        Ok(kept.map(IntoTValue::into_tvalue).collect())
    }
}

impl TypedOp for Placed {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let first = inputs[0].shape.to_tvec();
        let facts = self.kept.iter().filter_map(|&place| self.outputs.get(place));
        Ok(facts
            .map(|output| TypedFact::dt_shape(output.datatype, &output.shape.after(&first)[..]))
            .collect())
    }

    as_op!();
}

// Two nodes are never one.
impl PartialEq for Placed {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Eq for Placed {}

impl Shape {
    fn after(self, first: &[TDim]) -> TVec<TDim> {
        // A lone row may come without an axis for rows.
        let rows = if first.len() == 1 { TDim::from(1) } else { first[0].clone() };
        match self {
            Shape::Same => first.into(),
            Shape::With(size) => first.iter().cloned().chain([TDim::from(size)]).collect(),
            Shape::Rows => tvec![rows],
            Shape::RowsOf(size) => tvec![rows, TDim::from(size)],
        }
    }
}

/// What an operator gives for inputs of these datatypes.
///
/// # Errors
/// When it does not take them.
fn outputs_of(learned: &Learned, inputs: &[DatumType]) -> TractResult<TVec<Output>> {
    use DatumType::{F32, F64, I32, I64, String};
    // What may be a size is a number too.
    let numbers = |&input: &DatumType| if input == DatumType::TDim { I64 } else { input };
    let inputs: TVec<DatumType> = inputs.iter().map(numbers).collect();
    let Some(&input) = inputs.first() else { bail!("it lacks an input") };
    let is_number = |datatype: &DatumType| [F32, F64, I32, I64].contains(datatype);
    let takes = |fits: bool| if fits { Ok(()) } else { Err(format_err!("it does not take {input:?}")) };
    let one = |datatype, shape| Ok(tvec![Output { datatype, shape }]);
    let classes = |labels: &crate::onnx::learned::Labels, count| {
        let labels = Output { datatype: encoders::datatype(labels), shape: Shape::Rows };
        Ok(tvec![labels, Output { datatype: F32, shape: Shape::RowsOf(count) }])
    };
    if !matches!(learned, Learned::LabelEncoder(_) | Learned::OneHotEncoder(_)) {
        takes(inputs.iter().all(is_number))?;
    }
    match learned {
        Learned::Binarizer(_) => one(input, Shape::Same),
        Learned::FeatureVectorizer(vectorizer) => one(F32, Shape::RowsOf(vectorizer.widths.iter().sum())),
        Learned::Imputer(imputer) => {
            takes(input == scaling::imputed(imputer))?;
            one(input, Shape::Same)
        }
        Learned::LabelEncoder(encoder) => {
            let output = encoders::encoded(encoder, input);
            one(output.ok_or_else(|| format_err!("it does not take {input:?}"))?, Shape::Same)
        }
        Learned::LinearClassifier(linear) => classes(&linear.labels, linear::score_count(linear)),
        Learned::LinearRegressor(linear) => one(F32, Shape::RowsOf(linear.intercepts.len())),
        Learned::Normalizer(_) | Learned::Scaler(_) => one(F32, Shape::Same),
        Learned::OneHotEncoder(encoder) => {
            takes(if encoder.is_text() { input == String } else { is_number(&input) })?;
            one(F32, Shape::With(encoder.count))
        }
        Learned::SvmClassifier(svm) => classes(&svm.labels, svm::score_count(svm)),
        Learned::SvmRegressor(_) => one(F32, Shape::RowsOf(1)),
        Learned::TreeClassifier(trees) => classes(&trees.labels, trees.labels.len()),
        Learned::TreeRegressor(trees) if trees.keeps_type => {
            takes(input == F32 || input == F64)?;
            one(input, Shape::RowsOf(trees.targets))
        }
        Learned::TreeRegressor(trees) => one(F32, Shape::RowsOf(trees.targets)),
    }
}

fn run(learned: &Learned, inputs: &[TValue]) -> TractResult<TVec<Tensor>> {
    let input = &inputs[0];
    Ok(match learned {
        Learned::Binarizer(binarizer) => tvec![scaling::binarize(binarizer, input)?],
        Learned::FeatureVectorizer(vectorizer) => tvec![scaling::vectorize(vectorizer, inputs)?],
        Learned::Imputer(imputer) => tvec![scaling::impute(imputer, input)?],
        Learned::LabelEncoder(encoder) => tvec![encoders::encode(encoder, input)?],
        Learned::LinearClassifier(linear) => linear::classify(linear, input)?,
        Learned::LinearRegressor(linear) => tvec![linear::regress(linear, input)?],
        Learned::Normalizer(normalizer) => tvec![scaling::normalize(normalizer, input)?],
        Learned::OneHotEncoder(encoder) => tvec![encoders::one_hot(encoder, input)?],
        Learned::Scaler(scaler) => tvec![scaling::scale(scaler, input)?],
        Learned::SvmClassifier(svm) => svm::classify(svm, input)?,
        Learned::SvmRegressor(svm) => tvec![svm::regress(svm, input)?],
        Learned::TreeClassifier(_) | Learned::TreeRegressor(_) => bail!("its trees are not planted"),
    })
}
