//! Products in FP16 on the device of this machine, where it has the matrices, and
//! what it says where it has not.

use half::f16;
use tract_core::internal::{DatumType, TDim};
use tract_core::ops::math;

use super::*;
use crate::device::GpuOptions;

const FP16: ExecutableOptions = ExecutableOptions {
    memory_limit: 4 << 30,
    tensor_limit: 2 << 30,
    allow_cpu_nodes: false,
    precision: Precision::Fp16,
};

/// The GPUs of this machine, software ones too; `None` where there are none.
fn gpus() -> Option<Arc<Gpus>> {
    let gpus = Arc::new(Gpus::new(GpuOptions { allow_software: true, ..GpuOptions::default() }));
    let missing = gpus.choose(None).err().map(|error| error.to_string());
    samara_test::has_gpu(missing.as_deref()).then_some(gpus)
}

/// A batch of products of any sizes, the right matrix transposed where asked,
/// with a function behind.
fn products(datatype: DatumType, transposed: bool) -> TypedModel {
    let mut model = TypedModel::default();
    let [s, m, k, n] = ["S", "M", "K", "N"].map(|name| TDim::from(model.symbols.sym(name)));
    let fact = |sizes: [&TDim; 3]| datatype.fact(sizes.into_iter().cloned().collect::<TVec<TDim>>());
    let right = if transposed { [&s, &n, &k] } else { [&s, &k, &n] };
    let a = model.add_source("a", fact([&s, &m, &k])).unwrap();
    let b = model.add_source("b", fact(right)).unwrap();
    let expression = if transposed { "smk,snk->smn" } else { "smk,skn->smn" };
    let op = EinSum::new(expression.parse().unwrap(), datatype);
    let y = model.wire_node("y", op, &[a, b]).unwrap();
    let y = model.wire_node("z", math::neg(), &y).unwrap();
    model.select_output_outlets(&y).unwrap();
    model
}

fn floats(transposed: bool) -> TypedModel {
    products(f32::datum_type(), transposed)
}

/// An executable that rounds, and one that does not.
fn both(gpus: &Arc<Gpus>, model: &TypedModel) -> [Executable; 2] {
    let exact = ExecutableOptions { precision: Precision::Exact, ..FP16 };
    [FP16, exact].map(|options| Executable::load(gpus, None, model, &options).unwrap())
}

fn run(executable: &Executable, inputs: &[Tensor]) -> Tensor {
    executable.run(inputs, &RunContext::default()).unwrap().remove(0)
}

/// How many products, and the rows, inner axis and columns of each.
const SHAPES: [[usize; 4]; 11] = [
    [1, 64, 64, 64],
    [1, 65, 63, 67],
    [3, 33, 100, 129],
    [1, 90, 1000, 77],
    [1, 33, 40, 500],
    [2, 200, 31, 200],
    [5, 32, 2047, 32],
    [1, 130, 33, 258],
    [1, 3, 700, 130],
    [1, 100, 0, 100],
    [0, 64, 64, 64],
];

fn shapes([s, m, k, n]: [usize; 4], transposed: bool) -> [[usize; 3]; 2] {
    [[s, m, k], if transposed { [s, n, k] } else { [s, k, n] }]
}

/// The devices of this machine that have the matrices; says so where none has.
fn able() -> Option<(Arc<Gpus>, Arc<Gpu>)> {
    let gpus = gpus()?;
    match open(&gpus, None, Precision::Fp16) {
        Ok(gpu) => {
            println!("{:?} of {}", gpu.abilities.cooperative, gpu.name);
            Some((gpus, gpu))
        }
        Err(Error::NoMatrices(reason)) => {
            println!("left out: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_device_without_them_says_so_and_what_to_do() {
    let Some(gpus) = gpus() else { return };
    let adapter = gpus.choose(None).unwrap();
    let listed = gpus.matrices(adapter.index as usize);
    let lists_them = [Cooperative::By8, Cooperative::By16].iter().any(|&matrices| has(&listed, matrices));
    match Executable::load(&gpus, None, &floats(false), &FP16) {
        Ok(_) => assert!(lists_them, "it was loaded, and computes in FP32"),
        Err(error) => {
            let text = error.to_string();
            assert!(matches!(error, Error::NoMatrices(_)), "{text}");
            let start = format!("the GPU adapter `{}` does not compute with", adapter.name);
            assert!(text.starts_with(&start) && text.contains("leave `precision` out"), "{text}");
            assert!(lists_them || text.contains("its driver lists"), "{text}");
        }
    }
    // Models that do not ask for it find the device as it is.
    let exact = ExecutableOptions { precision: Precision::Exact, ..FP16 };
    assert!(Executable::load(&gpus, None, &floats(false), &exact).is_ok());
}

#[test]
fn a_panic_of_the_library_is_an_error() {
    let error = guarded::<()>("some GPU", || panic!("no such feature")).unwrap_err().to_string();
    assert!(error.starts_with("the GPU adapter `some GPU` does not"), "{error}");
    assert!(error.contains("opens no device that has them"), "{error}");
    assert_eq!(guarded("some GPU", || Ok(7)).unwrap(), 7);
}

#[test]
fn products_of_any_size_are_right() {
    let Some((gpus, _)) = able() else { return };
    for transposed in [false, true] {
        let [fast, exact] = both(&gpus, &floats(transposed));
        // Factors that F16 holds leave no error but that of adding up in another
        // order; factors below 1 at most the tolerance for each.
        for (is_rounded, tolerance) in [(true, 1e-6), (false, TOLERANCE)] {
            for shape in SHAPES {
                let [left, right] = shapes(shape, transposed);
                let inputs = [(left, 7919), (right, 6151)].map(|(shape, step)| {
                    let mut values = numbers(shape.iter().product(), step);
                    if is_rounded {
                        values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
                    }
                    Tensor::from_vec(shape, values).unwrap()
                });
                let (found, expected) = (run(&fast, &inputs), run(&exact, &inputs));
                let values = |tensor: &Tensor| tensor.elements::<f32>().unwrap().to_vec();
                let what = format!("{shape:?}, transposed: {transposed}, rounded: {is_rounded}");
                let bounds = vec![shape[2] as f64 * tolerance; values(&found).len()];
                compare(&values(&found), &values(&expected), &bounds)
                    .unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
                assert_eq!(run(&fast, &inputs).data(), found.data(), "equal bits again: {what}");
            }
        }
    }
}

#[test]
fn models_in_f16_are_right() {
    let Some((gpus, _)) = able() else { return };
    let [fast, exact] = both(&gpus, &products(f16::datum_type(), true));
    for shape in SHAPES {
        let inputs = shapes(shape, true).map(|shape| {
            let values = numbers(shape.iter().product(), 7919).into_iter().map(f16::from_f32);
            Tensor::from_vec(shape, values.collect::<Vec<f16>>()).unwrap()
        });
        let (found, expected) = (run(&fast, &inputs), run(&exact, &inputs));
        let values = |tensor: &Tensor| -> Vec<f32> {
            tensor.elements::<f16>().unwrap().iter().map(|value| value.to_f32()).collect()
        };
        // What is found is rounded to F16 on either side.
        let bounds: Vec<f64> =
            values(&expected).iter().map(|value| f64::from(value.abs()) / 1000.0 + 1e-3).collect();
        compare(&values(&found), &values(&expected), &bounds)
            .unwrap_or_else(|wrong| panic!("{shape:?}: {wrong}"));
    }
}

#[test]
fn large_products_round_their_factors_and_small_ones_do_not() {
    let Some((gpus, _)) = able() else { return };
    let executable = Executable::load(&gpus, None, &floats(false), &FP16).unwrap();
    // Just above 1, which F16 does not hold.
    let ones = |shape: [usize; 3]| Tensor::from_vec(shape, vec![1.0001f32; shape.iter().product()]).unwrap();
    for (m, expected) in [(64, -64.0f32), (8, -64.0128)] {
        let inputs = [ones([1, m, 64]), ones([1, 64, 64])];
        let outputs = executable.run(&inputs, &RunContext::default()).unwrap();
        let found = outputs[0].elements::<f32>().unwrap()[0];
        assert!((found - expected).abs() < 1e-4, "{m} rows: {found}");
        let plan = executable.plan(&[vec![1, m, 64], vec![1, 64, 64]]).unwrap();
        let kernel = if m == 64 { "matmul_fp16+neg" } else { "matmul+neg" };
        assert_eq!(plan.steps[0].kernel, kernel, "{m} rows");
    }
}

#[test]
fn a_wrong_product_is_told_with_the_difference() {
    let right = [1.0f32, -2.0, 3.0];
    assert_eq!(compare(&right, &right, &[0.0; 3]), Ok(()));
    assert_eq!(compare(&[1.0, -2.001, 3.0], &right, &[0.01; 3]), Ok(()));
    let wrong = compare(&[1.0, -2.5, 3.0], &right, &[0.25; 3]).unwrap_err();
    assert_eq!(
        wrong,
        "element 1 of a product is -2.5, not -2: a difference of 0.500000, where at most 0.250000 may come of rounding"
    );
    assert!(compare(&[f32::NAN, -2.0, 3.0], &right, &[0.25; 3]).is_err());
}

#[test]
fn only_f16_into_f32_counts() {
    let of = |side, ab_type, cr_type| CooperativeMatrixProperties {
        m_size: side,
        n_size: side,
        k_size: side,
        ab_type,
        cr_type,
        saturating_accumulation: false,
    };
    let (f16, f32) = (CooperativeScalarType::F16, CooperativeScalarType::F32);
    let listed = [of(16, f16, f16), of(8, f16, f32), of(16, f32, f32)];
    assert!(has(&listed, Cooperative::By8));
    assert!(!has(&listed, Cooperative::By16));
    assert_eq!(list(&listed[..1]), "matrices 16x16x16 of F16 into F16");
    assert_eq!(list(&[]), "none");
}
