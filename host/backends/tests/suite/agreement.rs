//! Whether the backends give the same answers, and what the registry makes of
//! several of them.

use samara_backends::{Preference, RegistryOptions, registry};
use samara_nn::{Choice, ErrorKind, LoadOptions};
use samara_test::onnx::{FP32, ready};

use crate::{noise, run, source, subject};

#[test]
fn backends_agree() {
    let (Some(tract), Some(other)) = (subject("tract", &[]), subject("onnxruntime", &[])) else { return };
    let models = [
        ("cnn", ready::cnn(), vec![3, 1, 12, 12]),
        ("borders", ready::borders(), vec![3, 1, 4, 4]),
        ("classifier", ready::classifier(), vec![7, 4]),
        ("matmul", ready::matmul(64), vec![5, 64]),
        ("recurrent", ready::recurrent(), vec![6, 1, 3]),
    ];
    for (name, bytes, shape) in models {
        let (one, two) = (tract.load(name, bytes.clone()).unwrap(), other.load(name, bytes).unwrap());
        assert_eq!(one.signature(), two.signature(), "{name}");
        let inputs = [noise(&shape)];
        for (one, two) in run(&*one, &inputs).iter().zip(run(&*two, &inputs)) {
            assert_eq!(one.shape(), two.shape(), "{name}");
            let Ok(values) = one.elements::<f32>() else {
                assert_eq!(one, &two, "{name}");
                continue;
            };
            for (one, two) in values.iter().zip(two.elements::<f32>().unwrap().iter()) {
                assert!((one - two).abs() < 1e-5, "{name}: {one} and {two}");
            }
        }
    }
}

#[test]
fn the_order_of_auto_follows_what_counts() {
    let order = |prefer| {
        let backends = registry(&RegistryOptions { prefer, ..RegistryOptions::default() });
        backends.iter().map(|backend| backend.name()).collect::<Vec<_>>()
    };
    assert_eq!(order(Preference::Throughput), ["wgpu", "onnxruntime", "tract", "litert"]);
    assert_eq!(order(Preference::Startup), ["wgpu", "tract", "litert", "onnxruntime"]);
}

#[test]
fn a_library_that_is_not_there_leaves_tract() {
    let options = RegistryOptions {
        onnxruntime_libraries: vec!["/nowhere/libonnxruntime.so".into()],
        ..RegistryOptions::default()
    };
    let backends = registry(&options);
    let source = source("identity", ready::identity(FP32), None);
    let (name, _) = backends.load(&source, &Choice::Auto, &LoadOptions::default()).unwrap();
    assert_eq!(name, "tract");
    let error = backends.load(&source, &Choice::from("onnxruntime"), &LoadOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("/nowhere/libonnxruntime.so"), "{error}");
}
