//! Executables on the device of this machine.

use std::sync::Arc;

use samara_nn::{Precision, RunContext, Tensor};
use tract_core::internal::{Datum, DatumTypeExt, SpecialOps, TDim, TVec, TypedModel};
use tract_core::ops::math;

use super::{Executable, ExecutableOptions};
use crate::device::{GpuOptions, Gpus};
use crate::error::Error;

/// The GPUs of this machine, software ones too; `None` where there are none.
fn gpus() -> Option<Arc<Gpus>> {
    let gpus = Arc::new(Gpus::new(GpuOptions { allow_software: true, ..GpuOptions::default() }));
    let missing = gpus.choose(None).err().map(|error| error.to_string());
    samara_test::has_gpu(missing.as_deref()).then_some(gpus)
}

/// `exp(x)` for any number of numbers.
fn exponential() -> TypedModel {
    let mut model = TypedModel::default();
    let n = TDim::from(model.symbols.sym("N"));
    let x = model.add_source("x", f32::datum_type().fact([n].into_iter().collect::<TVec<TDim>>())).unwrap();
    let y = model.wire_node("y", math::exp(), &[x]).unwrap();
    model.select_output_outlets(&y).unwrap();
    model
}

fn run(executable: &Executable, values: &[f32]) -> crate::Result<Vec<f32>> {
    let input = Tensor::from_vec([values.len()], values.to_vec()).unwrap();
    let outputs = executable.run(&[input], &RunContext::default())?;
    Ok(outputs[0].elements::<f32>().unwrap().to_vec())
}

#[test]
fn a_lost_device_is_opened_again() {
    let Some(gpus) = gpus() else { return };
    let executable = Executable::load(&gpus, None, &exponential(), &ExecutableOptions::default()).unwrap();
    let other = Executable::load(&gpus, None, &exponential(), &ExecutableOptions::default()).unwrap();
    assert_eq!(run(&executable, &[0.0]).unwrap(), [1.0]);
    let lost = gpus.open(None, Precision::Exact).unwrap();
    lost.device.destroy();
    let first = run(&executable, &[0.0]);
    assert!(matches!(first, Err(Error::Lost(_))), "{first:?}");
    for executable in [&executable, &other] {
        assert_eq!(run(executable, &[0.0, 0.0]).unwrap(), [1.0, 1.0]);
    }
    assert!(!Arc::ptr_eq(&lost, &gpus.open(None, Precision::Exact).unwrap()), "a device of its own");
    assert!(Executable::load(&gpus, None, &exponential(), &ExecutableOptions::default()).is_ok());
}

#[test]
fn memory_of_one_run_serves_the_next() {
    let Some(gpus) = gpus() else { return };
    let executable = Executable::load(&gpus, None, &exponential(), &ExecutableOptions::default()).unwrap();
    let before = executable.device_bytes();
    run(&executable, &[0.5; 1000]).unwrap();
    let after = executable.device_bytes();
    assert!(after >= before + 8000, "{before} and {after}");
    for _ in 0..5 {
        run(&executable, &[0.5; 1000]).unwrap();
    }
    assert_eq!(executable.device_bytes(), after);
}

#[test]
fn a_plan_says_what_runs() {
    let Some(gpus) = gpus() else { return };
    let executable = Executable::load(&gpus, None, &exponential(), &ExecutableOptions::default()).unwrap();
    let plan = executable.plan(&[vec![100]]).unwrap();
    let [step] = &plan.steps[..] else { panic!("{plan}") };
    assert_eq!((step.kernel.as_str(), step.nodes.as_slice()), ("map+exp", &["y".to_owned()][..]));
    assert_eq!((step.flops, step.bytes), (100, 800));
}

#[test]
fn shaders_are_kept_on_disk_and_a_damaged_file_is_replaced() {
    if gpus().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("gpu");
    let answer = || {
        let gpus = Arc::new(Gpus::new(GpuOptions {
            allow_software: true,
            cache: Some(cache.clone()),
            ..GpuOptions::default()
        }));
        let executable = Executable::load(&gpus, None, &exponential(), &ExecutableOptions::default());
        run(&executable.unwrap(), &[0.0]).unwrap()
    };
    assert_eq!(answer(), [1.0]);
    let files: Vec<_> = cache.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let kept = std::fs::read(file).unwrap();
    for damaged in [&b""[..], b"nonsense", &kept[..kept.len() - 1], &[0xff; 5000]] {
        std::fs::write(file, damaged).unwrap();
        assert_eq!(answer(), [1.0]);
        assert_eq!(std::fs::read(file).unwrap(), kept, "after {} bytes", damaged.len());
    }
    std::fs::write(cache.join("other"), b"").unwrap();
    assert_eq!(answer(), [1.0]);
}

/// The softmax of rows of any length.
fn softmax() -> TypedModel {
    use tract_core::ops::nn::{Softmax, SoftmaxKind};
    let mut model = TypedModel::default();
    let n = TDim::from(model.symbols.sym("N"));
    let x = model.add_source("x", f32::datum_type().fact([n].into_iter().collect::<TVec<TDim>>())).unwrap();
    let axes: TVec<usize> = [0].into_iter().collect();
    let op = Softmax { axes, quant_output_dt: None, kind: SoftmaxKind::Softmax };
    let y = model.wire_node("y", op, &[x]).unwrap();
    model.select_output_outlets(&y).unwrap();
    model
}

#[test]
fn rows_are_added_up_with_and_without_subgroups() {
    if gpus().is_none() {
        return;
    }
    let load = |plain| {
        let gpus = Arc::new(Gpus::new(GpuOptions { allow_software: true, plain, ..GpuOptions::default() }));
        let has = gpus.open(None, Precision::Exact).unwrap().abilities.subgroups;
        (has, Executable::load(&gpus, None, &softmax(), &ExecutableOptions::default()).unwrap())
    };
    let ((_, usual), (has, plain)) = (load(false), load(true));
    assert!(!has);
    for length in [1usize, 2, 7, 8, 255, 256, 257, 5000] {
        let values: Vec<f32> = (0..length).map(|index| (index as f32 * 0.7).sin() * 5.0).collect();
        let (one, other) = (run(&usual, &values).unwrap(), run(&plain, &values).unwrap());
        assert_eq!(one, run(&usual, &values).unwrap(), "equal bits again");
        let total: f32 = one.iter().sum();
        assert!((total - 1.0).abs() < 1e-4, "{length}: {total}");
        assert!(
            one.iter().zip(&other).all(|(one, other)| (one - other).abs() <= 1e-6 * other.max(1e-3)),
            "{length}"
        );
    }
}
