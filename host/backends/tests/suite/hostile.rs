//! What damaged and malicious files get.

use samara_nn::{ErrorKind, RunContext, Tensor};
use samara_test::onnx::{Attribute, FP32, INT64, hostile, ready};

use crate::{Subject, floats, run};

pub(crate) fn hostile_files_are_refused_and_named(subject: &Subject) {
    let mut failures = Vec::new();
    for hostile in hostile::all() {
        let case = format!("hostile/{}", hostile.name);
        if subject.ignores(&case) {
            continue;
        }
        let refusal = subject.load(hostile.name, hostile.bytes).and_then(|model| {
            if hostile.expands {
                model.session()?.run(&[floats(&[2], &[1.0, 2.0])], &RunContext::default())
            } else {
                Ok(Vec::new())
            }
        });
        match refusal {
            Ok(_) => failures.push(format!("{case}: it was taken")),
            Err(error) => {
                let (kind, words) = (error.kind(), error.to_string());
                let fits =
                    matches!(kind, ErrorKind::InvalidModel | ErrorKind::Unsupported | ErrorKind::TooLarge);
                println!("{case}: {kind:?}: {words}");
                if !fits || !words.contains(hostile.names) || !words.contains(hostile.name) {
                    failures.push(format!("{case}: {kind:?}: {words}"));
                }
                if words.len() > 1200 || words.chars().any(char::is_control) {
                    failures.push(format!("{case}: {} bytes of message", words.len()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let model = subject.load("sound", ready::double()).unwrap();
    assert_eq!(run(&*model, &[floats(&[1, 4], &[1.0; 4])]), [floats(&[1, 4], &[2.0; 4])]);
}

/// A file that ends anywhere: refused, or sound by chance, never a crash.
pub(crate) fn every_truncation_is_survived(subject: &Subject) {
    let whole = ready::classifier();
    for length in (0..whole.len()).step_by(3) {
        let _ = subject.load("cut", whole[..length].to_vec());
    }
}

/// One byte changed anywhere: refused, or another model, never a crash.
pub(crate) fn every_flipped_byte_is_survived(subject: &Subject) {
    let whole = ready::classifier();
    for index in (0..whole.len()).step_by(2) {
        for flip in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[index] ^= flip;
            if let Ok(model) = subject.load("flipped", bytes) {
                let inputs = model.signature().inputs.iter().map(|spec| {
                    let shape: Vec<usize> =
                        spec.shape.iter().map(|&size| usize::try_from(size).unwrap_or(2)).collect();
                    let count: usize =
                        shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
                    let size = spec.datatype.size().filter(|_| count < 1 << 20)?;
                    Tensor::new(spec.datatype, shape, vec![0; count * size]).ok()
                });
                if let (Some(inputs), Ok(mut session)) = (inputs.collect::<Option<Vec<_>>>(), model.session())
                {
                    let run = || session.run(&inputs, &RunContext::default());
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                }
            }
        }
    }
}

/// An input's value that asks for more memory than the limit allows.
pub(crate) fn values_cannot_make_memory_explode(subject: &Subject) {
    let model = subject.load("range", ready::range()).unwrap();
    let mut session = model.session().unwrap();
    let limit = Tensor::from_vec([], vec![i64::MAX]).unwrap();
    let error = session.run(&[limit], &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("Range_0"), "{error}");
    let few = session.run(&[Tensor::from_vec([], vec![3i64]).unwrap()], &RunContext::default()).unwrap();
    assert_eq!(few[0].shape(), [3]);

    let outer = samara_test::onnx::Model::new()
        .input("column", FP32, &["n", "1"])
        .input("row", FP32, &["1", "m"])
        .node("Add", &["column", "row"], &["table"])
        .output("table", FP32, &["n", "m"])
        .bytes();
    let model = subject.load("outer", outer).unwrap();
    let mut session = model.session().unwrap();
    let inputs = |size: usize| [floats(&[size, 1], &vec![1.0; size]), floats(&[1, size], &vec![1.0; size])];
    assert_eq!(session.run(&inputs(10), &RunContext::default()).unwrap()[0].shape(), [10, 10]);
    let error = session.run(&inputs(100_000), &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}

/// Indices beyond the end of an axis, in the first row of which tract would read on
/// into the next.
pub(crate) fn indices_that_lead_nowhere_are_errors(subject: &Subject) {
    for (axis, beyond) in [(0, 2), (1, 3), (1, -4)] {
        let bytes = samara_test::onnx::Model::new()
            .input("indices", INT64, &["n"])
            .floats("table", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
            .node_with("Gather", &["table", "indices"], &["taken"], &[("axis", Attribute::Int(axis))])
            .output("taken", FP32, if axis == 0 { &["n", "3"] } else { &["2", "n"] })
            .bytes();
        let model = subject.load("gather", bytes).unwrap();
        let mut session = model.session().unwrap();
        let mut take =
            |index: i64| session.run(&[Tensor::from_vec([1], vec![index]).unwrap()], &RunContext::default());
        take(beyond).unwrap_err();
        assert_eq!(take(-1).unwrap()[0].len(), if axis == 0 { 3 } else { 2 });
    }
}

/// The same of the operators that take or change single elements and blocks.
pub(crate) fn places_that_are_not_there_are_errors(subject: &Subject) {
    let table = || {
        samara_test::onnx::Model::new().floats("table", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).floats(
            "updates",
            &[1, 1],
            &[9.0],
        )
    };
    let axis = |axis| [("axis", Attribute::Int(axis))];
    let taken = table()
        .input("indices", INT64, &["1", "1"])
        .node_with("GatherElements", &["table", "indices"], &["y"], &axis(0))
        .output("y", FP32, &["1", "1"]);
    let changed = table()
        .input("indices", INT64, &["1", "1"])
        .node_with("ScatterElements", &["table", "indices", "updates"], &["y"], &axis(1))
        .output("y", FP32, &["2", "3"]);
    let block = table()
        .input("indices", INT64, &["1", "2"])
        .node("GatherND", &["table", "indices"], &["y"])
        .output("y", FP32, &["1"]);
    let changed_block = table()
        .floats("value", &[1], &[9.0])
        .input("indices", INT64, &["1", "2"])
        .node("ScatterND", &["table", "indices", "value"], &["y"])
        .output("y", FP32, &["2", "3"]);
    // A model, where it finds something and what, and where it does not.
    type Case = (&'static str, Vec<u8>, &'static [i64], &'static [f32], [&'static [i64]; 2]);
    let cases: [Case; 4] = [
        ("GatherElements", taken.bytes(), &[-1], &[3.0], [&[2], &[-3]]),
        ("ScatterElements", changed.bytes(), &[-1], &[0.0, 1.0, 9.0, 3.0, 4.0, 5.0], [&[3], &[-4]]),
        ("GatherND", block.bytes(), &[1, -1], &[5.0], [&[0, 3], &[-3, 0]]),
        ("ScatterND", changed_block.bytes(), &[-2, 1], &[0.0, 9.0, 2.0, 3.0, 4.0, 5.0], [&[2, 0], &[0, -4]]),
    ];
    for (name, bytes, there, expected, beyond) in cases {
        let model = match subject.load(name, bytes) {
            // The GPU computes not all of them.
            Err(error) if error.kind() == ErrorKind::Unsupported => continue,
            loaded => loaded.unwrap(),
        };
        let mut session = model.session().unwrap();
        let mut follow = |indices: &[i64]| {
            let indices = Tensor::from_vec([1, indices.len()], indices.to_vec()).unwrap();
            session.run(&[indices], &RunContext::default())
        };
        for indices in beyond {
            follow(indices).expect_err(name);
        }
        assert_eq!(&*follow(there).unwrap()[0].elements::<f32>().unwrap(), expected, "{name}");
    }
}
