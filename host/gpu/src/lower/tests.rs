//! Every shader that lowering writes is read and checked by the library's own
//! front end, without a device; and what is fused is counted.

mod cooperative;
mod values;

use std::sync::Arc;

use tract_core::internal::*;
use tract_core::ops::array::{Gather, Pad, PadMode, TypedConcat};
use tract_core::ops::cnn::{Conv, Deconv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::nn::{DataFormat, Reduce, Reducer, RmsNorm, Softmax, SoftmaxKind};
use tract_core::ops::{logic, math};

use super::{Abilities, lower};
use crate::program::Program;

const EVERYTHING: Abilities = Abilities {
    f16: true,
    int64: true,
    subgroups: true,
    long_loops: true,
    workgroup_bytes: 32 << 10,
    cooperative: None,
};

/// Reads and checks a shader's text.
pub(crate) fn check_shader(text: &str) {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module =
        naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)));
    let halves = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let capabilities =
        halves | Capabilities::SHADER_INT64 | Capabilities::SUBGROUP | Capabilities::COOPERATIVE_MATRIX;
    let checked = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
    checked.unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)));
}

/// Lowers a model and checks all of its shaders.
fn lowered(model: &TypedModel) -> Program {
    let program = lower(model, EVERYTHING, false).unwrap();
    let plain = lower(model, Abilities { subgroups: false, ..EVERYTHING }, false).unwrap();
    for variant in program.steps.iter().chain(&plain.steps).flat_map(|of| &of.variants) {
        check_shader(&variant.shader.text);
    }
    program
}

/// Names of the steps, with the functions that each applies.
fn names(program: &Program) -> Vec<String> {
    let names = program.steps.iter().map(|of| {
        let functions = of.step.tail().map(|tail| tail.call_names()).unwrap_or_default();
        std::iter::once(of.step.name().to_owned()).chain(functions).collect::<Vec<_>>().join("+")
    });
    names.collect()
}

/// A model in the making, with one input whose first axis is open.
struct Build {
    model: TypedModel,
    rows: TDim,
    wires: usize,
}

impl Build {
    fn new() -> Self {
        let model = TypedModel::default();
        let rows = TDim::from(model.symbols.sym("N"));
        Self { model, rows, wires: 0 }
    }

    fn source(&mut self, datatype: DatumType, shape: &[i64]) -> OutletId {
        let sizes = std::iter::once(self.rows.clone()).chain(shape.iter().map(|&size| TDim::from(size)));
        let name = self.name("x");
        self.model.add_source(name, datatype.fact(sizes.collect::<TVec<TDim>>())).unwrap()
    }

    /// A constant of numbers that are not all the same.
    fn constant(&mut self, datatype: DatumType, shape: &[usize]) -> OutletId {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|index| index as f32).collect();
        let tensor = tensor1(&values).into_shape(shape).unwrap().cast_to_dt(datatype).unwrap().into_owned();
        let name = self.name("w");
        self.model.add_const(name, tensor).unwrap()
    }

    fn wire(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        let name = self.name("n");
        self.model.wire_node(name, op, inputs).unwrap()[0]
    }

    fn finish(mut self, outputs: &[OutletId]) -> TypedModel {
        self.model.select_output_outlets(outputs).unwrap();
        self.model
    }

    fn name(&mut self, kind: &str) -> String {
        self.wires += 1;
        format!("{kind}{}", self.wires)
    }
}

fn product(expression: &str, datatype: DatumType) -> EinSum {
    EinSum::new(expression.parse().unwrap(), datatype)
}

fn pool(padding: PaddingSpec, channels: usize, outputs: usize) -> PoolSpec {
    PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec![3, 3],
        padding,
        dilations: None,
        strides: Some(tvec![2, 2]),
        input_channels: channels,
        output_channels: outputs,
    }
}

#[test]
fn layers_become_two_steps() {
    let mut build = Build::new();
    let x = build.source(f32::datum_type(), &[20]);
    let w = build.constant(f32::datum_type(), &[20, 30]);
    let b = build.constant(f32::datum_type(), &[1, 30]);
    let zero = build.constant(f32::datum_type(), &[1, 1]);
    let h = build.wire(product("ik,kj->ij", f32::datum_type()), &[x, w]);
    let h = build.wire(math::add(), &[h, b]);
    let h = build.wire(math::max(), &[h, zero]);
    let w2 = build.constant(f32::datum_type(), &[10, 30]);
    let y = build.wire(product("ik,jk->ij", f32::datum_type()), &[h, w2]);
    let y = build.wire(tract_core::ops::nn::sigmoid(), &[y]);
    let program = lowered(&build.finish(&[y]));
    assert_eq!(names(&program), ["matmul+add+max", "matmul+sigmoid"]);
}

#[test]
fn a_value_that_two_read_is_kept() {
    let mut build = Build::new();
    let x = build.source(f32::datum_type(), &[8]);
    let a = build.wire(math::exp(), &[x]);
    let b = build.wire(math::neg(), &[a]);
    let c = build.wire(math::add(), &[a, b]);
    let program = lowered(&build.finish(&[c]));
    assert_eq!(names(&program), ["map+exp", "map+neg+add"]);

    let mut build = Build::new();
    let x = build.source(f32::datum_type(), &[8]);
    let a = build.wire(math::exp(), &[x]);
    let b = build.wire(math::neg(), &[a]);
    let program = lowered(&build.finish(&[a, b]));
    assert_eq!(names(&program), ["map+exp", "map+neg"]);
}

#[test]
fn a_residual_joins_the_later_convolution() {
    for (groups, kernel) in [(1, "conv"), (16, "conv_direct")] {
        let mut build = Build::new();
        let x = build.source(f32::datum_type(), &[16, 9, 9]);
        let w = build.constant(f32::datum_type(), &[16, 16 / groups, 3, 3]);
        let bias = build.constant(f32::datum_type(), &[16]);
        let spec = PoolSpec { strides: None, ..pool(PaddingSpec::SameUpper, 16, 16) };
        let conv = Conv { pool_spec: spec, kernel_fmt: KernelFormat::OIHW, group: groups, q_params: None };
        let a = build.wire(conv.clone(), &[x, w, bias]);
        let a = build.wire(math::square(), &[a]);
        let b = build.wire(conv, &[a, w, bias]);
        let sum = build.wire(math::add(), &[x, b]);
        let y = build.wire(math::tanh(), &[sum]);
        let program = lowered(&build.finish(&[y]));
        assert_eq!(names(&program), [format!("{kernel}+add+square"), format!("{kernel}+add+add+tanh")]);
    }
}

#[test]
fn products_of_all_layouts_and_datatypes() {
    for datatype in [f32::datum_type(), f16::datum_type(), i32::datum_type()] {
        for (expression, left, right) in [
            ("nbik,nbkj->nbij", [5, 7, 12], [5, 12, 9]),
            ("nbik,nbjk->nbij", [5, 7, 12], [5, 9, 12]),
            ("nbki,nbkj->nbij", [5, 12, 7], [5, 12, 9]),
            ("nbki,nbkj->nbji", [5, 12, 7], [5, 12, 9]),
            ("nibk,nbkj->nijb", [7, 5, 12], [5, 12, 9]),
            ("nkil,nklj->nij", [5, 7, 12], [5, 12, 9]),
        ] {
            let mut build = Build::new();
            let (a, b) = (build.source(datatype, &left), build.source(datatype, &right));
            let y = build.wire(product(expression, datatype), &[a, b]);
            let program = lowered(&build.finish(&[y]));
            // Only what lies apart along two summed axes is copied.
            let copies = names(&program).iter().filter(|name| *name == "copy").count();
            assert_eq!(copies, usize::from(expression == "nkil,nklj->nij"), "{expression}");
        }
        // An open size needs all the ways to compute it.
        let mut build = Build::new();
        let a = build.source(datatype, &[12]);
        let b = build.constant(datatype, &[12, 9]);
        let y = build.wire(product("ik,kj->ij", datatype), &[a, b]);
        let program = lowered(&build.finish(&[y]));
        assert_eq!(program.steps[0].variants.len(), 5);
    }
}

#[test]
fn windows_of_all_kinds() {
    for datatype in [f32::datum_type(), f16::datum_type()] {
        for padding in
            [PaddingSpec::Valid, PaddingSpec::SameLower, PaddingSpec::Explicit(tvec![1, 0], tvec![0, 1])]
        {
            let mut build = Build::new();
            let x = build.source(datatype, &[6, 11, 12]);
            let max = MaxPool { pool_spec: pool(padding.clone(), 6, 6), with_index_outputs: None };
            let mut outputs = vec![build.wire(max, &[x])];
            for (count_include_pad, normalize) in [(false, false), (false, true), (true, true)] {
                let spec = pool(padding.clone(), 6, 6);
                outputs.push(build.wire(SumPool { pool_spec: spec, count_include_pad, normalize }, &[x]));
            }
            let program = lowered(&build.finish(&outputs));
            assert_eq!(names(&program), ["max_pool", "sum_pool", "sum_pool", "sum_pool"]);
        }
    }
}

#[test]
fn tensors_that_grow() {
    use tract_core::ops::nn::resize::{CoordTransformer, Interpolator, Nearest, NearestUpsample, Resize};
    for datatype in [f32::datum_type(), f16::datum_type()] {
        let mut build = Build::new();
        let x = build.source(datatype, &[6, 5, 4]);
        let (w, b) = (build.constant(datatype, &[4, 6, 3, 3]), build.constant(datatype, &[4]));
        let spec = pool(PaddingSpec::Explicit(tvec![1, 0], tvec![0, 1]), 6, 4);
        let wider = build.wire(Deconv::new(spec, KernelFormat::OIHW, tvec![0, 0], 1), &[x, w, b]);
        let twice = build.wire(NearestUpsample { scales: tvec![1, 1, 2, 2] }, &[x]);
        let scales = build.model.add_const("scales", tensor1(&[1f32, 1., 2., 1.5])).unwrap();
        let resize = Resize {
            coord_transformer: CoordTransformer::HalfPixel,
            interpolator: Interpolator::Cubic,
            nearest: Nearest::Floor,
            optional_scales_input: Some(1),
            optional_sizes_input: None,
        };
        let smooth = build.wire(resize, &[x, scales]);
        let program = lowered(&build.finish(&[wider, twice, smooth]));
        assert_eq!(names(&program), ["deconv+add", "copy", "resample", "resample"]);
    }
}

#[test]
fn reductions_of_all_kinds() {
    use Reducer::{All, Any, ArgMax, ArgMin, Max, MeanOfSquares, Min, Prod, Sum};
    let wide =
        [f32::datum_type(), f16::datum_type(), i32::datum_type(), u32::datum_type(), i64::datum_type()];
    let narrow = [u8::datum_type(), i8::datum_type(), u16::datum_type(), i16::datum_type()];
    let mut cases: Vec<(Reducer, DatumType)> = vec![
        (All, bool::datum_type()),
        (Any, bool::datum_type()),
        (MeanOfSquares, f32::datum_type()),
        (MeanOfSquares, f16::datum_type()),
    ];
    for datatype in wide {
        cases.extend([Sum, Prod].map(|reducer| (reducer, datatype)));
    }
    for datatype in wide.into_iter().chain(narrow) {
        let reducers = [Max, Min, ArgMax(false), ArgMax(true), ArgMin(false), ArgMin(true)];
        cases.extend(reducers.map(|reducer| (reducer, datatype)));
    }
    for (reducer, datatype) in cases {
        let mut build = Build::new();
        let x = build.source(datatype, &[6, 11]);
        let y = build.wire(Reduce { axes: tvec![0, 2], reducer }, &[x]);
        let program = lowered(&build.finish(&[y]));
        assert_eq!(names(&program), ["reduce"], "{reducer:?} of {datatype:?}");
    }
}

#[test]
fn rows_that_come_back() {
    for datatype in [f32::datum_type(), f16::datum_type()] {
        let mut build = Build::new();
        let x = build.source(datatype, &[6, 11]);
        let softmax = |axes: TVec<usize>, kind| Softmax { axes, quant_output_dt: None, kind };
        let y = build.wire(softmax(tvec![2], SoftmaxKind::Softmax), &[x]);
        let y = build.wire(softmax(tvec![0, 1], SoftmaxKind::LogSoftmax), &[y]);
        let eps = Arc::new(tensor0(1e-5f32).cast_to_dt(datatype).unwrap().into_owned());
        let y = build.wire(RmsNorm { axis: 1, eps }, &[y]);
        let scale = build.constant(datatype, &[1, 1, 11]);
        let y = build.wire(math::mul(), &[y, scale]);
        let program = lowered(&build.finish(&[y]));
        assert_eq!(names(&program), ["softmax", "softmax", "rms_norm+mul"]);
    }
}

#[test]
fn attention_is_one_step() {
    for datatype in [f32::datum_type(), f16::datum_type()] {
        let mut build = Build::new();
        let [q, k, v] = [[3, 7, 16], [3, 9, 16], [3, 9, 6]].map(|shape| build.source(datatype, &shape));
        let mask = build.constant(datatype, &[1, 1, 7, 9]);
        let scores = build.wire(product("bhmk,bhnk->bhmn", datatype), &[q, k]);
        let scores = build.wire(math::add(), &[scores, mask]);
        let softmax = Softmax { axes: tvec![3], quant_output_dt: None, kind: SoftmaxKind::Softmax };
        let shares = build.wire(softmax, &[scores]);
        let mixed = build.wire(product("bhmn,bhnv->bhmv", datatype), &[shares, v]);
        let y = build.wire(math::exp(), &[mixed]);
        assert_eq!(names(&lowered(&build.finish(&[y]))), ["attention+exp"]);
    }
}

#[test]
fn tensors_of_all_datatypes_are_moved() {
    let datatypes = [
        bool::datum_type(),
        u8::datum_type(),
        i8::datum_type(),
        u16::datum_type(),
        i16::datum_type(),
        u32::datum_type(),
        i32::datum_type(),
        u64::datum_type(),
        i64::datum_type(),
        f16::datum_type(),
        f32::datum_type(),
    ];
    for datatype in datatypes {
        let mut build = Build::new();
        let x = build.source(datatype, &[4, 5]);
        let moved = build.wire(AxisOp::Move(0, 2), &[x]);
        let indices = build.source(i64::datum_type(), &[2]);
        let gathered = build.wire(Gather::new(1), &[x, indices]);
        let joined = build.wire(TypedConcat { axis: 1 }, &[x, x]);
        let mut outputs = vec![moved, gathered, joined];
        if datatype != bool::datum_type() {
            let zero = Arc::new(Tensor::zero_scalar_dt(datatype).unwrap());
            for mode in [PadMode::Constant(zero), PadMode::Edge, PadMode::Reflect] {
                outputs.push(build.wire(Pad { pads: vec![(0, 0), (1, 2), (0, 1)], mode }, &[x]));
            }
        }
        let program = lowered(&build.finish(&outputs));
        assert_eq!(&names(&program)[..2], ["gather", "concat"], "{datatype:?}");
    }
}

#[test]
fn a_choice_between_tensors() {
    for datatype in [f32::datum_type(), i64::datum_type(), bool::datum_type(), u8::datum_type()] {
        let mut build = Build::new();
        let [a, b] = [0, 1].map(|_| build.source(datatype, &[5]));
        let condition = build.source(bool::datum_type(), &[5]);
        let chosen = build.wire(logic::Iff, &[condition, a, b]);
        let program = lowered(&build.finish(&[chosen]));
        assert_eq!(names(&program), ["map+select"]);
    }
}

#[test]
fn a_device_that_lacks_a_datatype_is_told_so() {
    let mut build = Build::new();
    let x = build.source(i64::datum_type(), &[4]);
    let y = build.wire(math::neg(), &[x]);
    let error = lower(&build.finish(&[y]), Abilities { int64: false, ..EVERYTHING }, false)
        .err()
        .unwrap()
        .to_string();
    assert_eq!(error, "node `x1` (operator `Source`): this GPU does not compute with integers of 64 bits");
}
