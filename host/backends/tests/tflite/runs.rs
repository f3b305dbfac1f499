//! What models answer, how they are described, and how their runs end.

use std::time::{Duration, Instant};

use samara_nn::{Cancellation, Datatype, Error, RunContext, Tensor};

use crate::case::{Cases, difference};
use crate::load;

#[test]
fn models_answer_as_in_python() {
    let Some(cases) = Cases::read() else { return };
    let mut count = 0;
    for case in cases.answered() {
        let Some(model) = load(&case.name, cases.model(&case.name)) else { return };
        let model = model.unwrap();
        let signature = model.signature();
        let names = |specs: &[samara_nn::TensorSpec]| -> Vec<String> {
            specs.iter().map(|spec| spec.name.clone()).collect()
        };
        let (given, expected): (Vec<_>, Vec<_>) = cases.inputs(case).into_iter().unzip();
        assert_eq!(names(&signature.inputs), given, "{}", case.name);
        let mut session = model.session().unwrap();
        // Twice, because the second run finds everything as the first left it.
        for _ in 0..2 {
            let answers = session.run(&expected, &RunContext::default()).unwrap();
            for ((name, wanted), found) in cases.outputs(case).iter().zip(&answers) {
                let difference = difference(found, wanted);
                assert_eq!(difference, None, "{}, output `{name}`", case.name);
            }
        }
        assert_eq!(
            names(&signature.outputs),
            cases.outputs(case).into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "{}",
            case.name
        );
        count += 1;
    }
    assert!(count >= 20, "{count}");
    println!("{count} models answer as in Python");
}

#[test]
fn any_number_of_rows_gives_the_same_rows() {
    let Some(cases) = Cases::read() else { return };
    let Some(model) = load("mlp", cases.model("mlp")) else { return };
    let model = model.unwrap();
    let signature = model.signature();
    assert_eq!(signature.inputs[0].shape, [-1, 8]);
    assert_eq!(signature.outputs[0].shape, [-1, 3]);
    let rows = |count: usize| -> Tensor {
        let values: Vec<f32> = (0..count * 8).map(|index| index as f32 / 100.0 - 1.0).collect();
        Tensor::from_vec([count, 8], values).unwrap()
    };
    let mut session = model.session().unwrap();
    let mut run = |count| session.run(&[rows(count)], &RunContext::default()).unwrap().remove(0);
    let many = run(100);
    let many = many.elements::<f32>().unwrap();
    for count in [1, 7, 1, 64, 100] {
        let few = run(count);
        assert_eq!(few.shape(), [count, 3]);
        let few = few.elements::<f32>().unwrap();
        assert!(few.iter().zip(many.iter()).all(|(a, b)| (a - b).abs() < 1e-6), "{count} rows");
    }
    let error = session.run(&[rows(0)], &RunContext::default()).unwrap_err().to_string();
    assert!(error.ends_with("it takes no tensor without elements"), "{error}");
    assert_eq!(session.run(&[rows(2)], &RunContext::default()).unwrap()[0].shape(), [2, 3]);
}

#[test]
fn what_integers_stand_for_is_told() {
    let Some(cases) = Cases::read() else { return };
    let Some(model) = load("int8-classifier", cases.model("int8-classifier")) else { return };
    let model = model.unwrap();
    let known = |specs: &[samara_nn::TensorSpec]| {
        specs[0].quantisation.map(|known| (known.scale_in_decimals(), known.zero_point))
    };
    let signature = model.signature();
    let (input, output) = (known(&signature.inputs), known(&signature.outputs));
    assert_eq!((input, output), (Some((0.0078125, 0)), Some((0.00390625, -128))));
    let floats = load("mlp", cases.model("mlp")).unwrap().unwrap();
    assert_eq!(known(&floats.signature().inputs), None);
}

#[test]
fn sessions_run_side_by_side() {
    let Some(cases) = Cases::read() else { return };
    let Some(model) = load("int8-classifier", cases.model("int8-classifier")) else { return };
    let model = model.unwrap();
    let case = cases.answered().find(|case| case.name == "int8-classifier").unwrap();
    let input: Vec<Tensor> = cases.inputs(case).into_iter().map(|(_, tensor)| tensor).collect();
    let expected = &cases.outputs(case)[0].1;
    assert_eq!(expected.datatype(), Datatype::Int8);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = model.session().unwrap();
                for _ in 0..50 {
                    let found = session.run(&input, &RunContext::default()).unwrap();
                    assert_eq!(difference(&found[0], expected), None);
                }
            });
        }
    });
}

#[test]
fn a_run_that_does_not_end_is_given_up() {
    let Some(cases) = Cases::read() else { return };
    let Some(model) = load("endless", cases.model("endless")) else { return };
    let model = model.unwrap();
    let mut session = model.session().unwrap();
    let input = [Tensor::from_vec([1], vec![0i32]).unwrap()];
    let cancellation = Cancellation::default();
    let context = RunContext { cancellation: cancellation.clone(), ..RunContext::default() };
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            cancellation.cancel();
        });
        session.run(&input, &context).unwrap_err()
    });
    assert!(matches!(error, Error::Cancelled), "{error}");
    // The session is as good as before: this input ends its loop at once.
    let ends = [Tensor::from_vec([1], vec![-5i32]).unwrap()];
    let answer = session.run(&ends, &RunContext::default()).unwrap();
    assert_eq!(answer[0].elements::<i32>().unwrap()[0], -5);
    let late = RunContext::with_deadline(Instant::now());
    assert!(matches!(session.run(&ends, &late), Err(Error::Timeout { .. })));
}
