//! Merged runs against a backend whose behaviour a test dictates.

use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::batch::BatchPolicy;
use crate::context::Caller;
use crate::error::ErrorKind;
use crate::pool::lock;
use crate::script::{Script, acquire, block_on, echo, hold_thread, known_to_be_long, pool_of, script, start};

const POLICY: BatchPolicy = BatchPolicy { max_rows: 32, delay: Duration::ZERO };

fn merging() -> RunContext {
    RunContext { batch: POLICY, ..RunContext::default() }
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_vec([values.len()], values.to_vec()).unwrap()
}

fn values(answer: &Answer) -> Vec<f32> {
    answer.outputs[0].elements::<f32>().unwrap().into_owned()
}

/// A model on one thread that is known to be worth merging.
fn model(script: &Script) -> Arc<ResidentModel> {
    let model = acquire(&pool_of(script, 1, 64), "m").unwrap();
    known_to_be_long(&model);
    model
}

/// Has calls wait for the one thread together, then lets them run.
fn together(model: &Arc<ResidentModel>, calls: Vec<(Vec<f32>, RunContext)>) -> Vec<Result<Answer>> {
    // However fast these runs are, the model counts as worth merging.
    known_to_be_long(model);
    let thread = hold_thread(&model.compute);
    let mut waiting: Vec<Pin<Box<_>>> = calls
        .into_iter()
        .map(|(values, context)| Box::pin(model.run(vec![floats(&values)], context)))
        .collect();
    waiting.iter_mut().for_each(|call| start(call.as_mut()));
    drop(thread);
    waiting.into_iter().map(block_on).collect()
}

fn doubled() -> Script {
    script(|inputs, _| {
        let doubled = inputs[0].elements::<f32>().unwrap().iter().map(|value| value * 2.0).collect();
        Ok(vec![Tensor::from_vec(inputs[0].shape(), doubled).unwrap()])
    })
}

#[test]
fn each_caller_gets_its_own_rows() {
    let model = model(&doubled());
    let calls = vec![(vec![1.0, 2.0], merging()), (vec![3.0], merging()), (vec![4.0, 5.0, 6.0], merging())];
    let answers = together(&model, calls);
    let answers: Vec<Answer> = answers.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(
        answers.iter().map(values).collect::<Vec<_>>(),
        [vec![2.0, 4.0], vec![6.0], vec![8.0, 10.0, 12.0]]
    );
    assert!(answers.iter().all(|answer| answer.batch_calls == 3 && answer.batch_rows == 6));
    let load = model.load();
    assert_eq!((load.runs, load.calls, load.rows, load.waiting), (1, 3, 6, 0));
}

#[test]
fn random_calls_get_what_they_get_alone() {
    let model = model(&doubled());
    let mut seed = 7u64;
    let mut next = move |end: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % end
    };
    for _ in 0..40 {
        let calls: Vec<(Vec<f32>, RunContext)> = (0..1 + next(12))
            .map(|_| {
                let rows = 1 + next(20);
                let max_rows = [1, 8, 32][next(3) as usize];
                let batch = BatchPolicy { max_rows, delay: Duration::from_micros(next(50)) };
                let context = RunContext { batch, caller: Caller::new(), ..RunContext::default() };
                ((0..rows).map(|_| next(1000) as f32).collect(), context)
            })
            .collect();
        let inputs: Vec<Vec<f32>> = calls.iter().map(|(values, _)| values.clone()).collect();
        for (input, answer) in inputs.iter().zip(together(&model, calls)) {
            let answer = answer.unwrap();
            assert!(answer.batch_rows <= 32);
            assert_eq!(values(&answer), input.iter().map(|value| value * 2.0).collect::<Vec<_>>());
        }
    }
    assert!(model.load().runs < model.load().calls);
}

#[test]
fn a_guilty_call_is_punished_alone() {
    for panics in [false, true] {
        let script = script(move |inputs, _| {
            if inputs[0].elements::<f32>().unwrap().contains(&13.0) {
                assert!(!panics, "13 is bad luck");
                return Err(Error::Run { model: "m".into(), backend: "script", reason: "13".into() });
            }
            Ok(inputs.to_vec())
        });
        let model = model(&script);
        let calls = vec![(vec![1.0], merging()), (vec![13.0], merging()), (vec![2.0], merging())];
        let answers = together(&model, calls);
        assert_eq!(values(answers[0].as_ref().unwrap()), [1.0]);
        assert_eq!(answers[1].as_ref().unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(values(answers[2].as_ref().unwrap()), [2.0]);
        assert!(model.can_merge(), "a bad input says nothing of the model");
    }
}

#[test]
fn who_left_or_is_late_does_not_compute() {
    let model = model(&echo());
    let thread = hold_thread(&model.compute);
    let late = RunContext { deadline: Some(Instant::now()), ..merging() };
    let cancelled = merging();
    cancelled.cancellation.cancel();
    let mut stays = pin!(model.run(vec![floats(&[1.0])], merging()));
    let mut leaves = Box::pin(model.run(vec![floats(&[2.0])], merging()));
    let mut late = pin!(model.run(vec![floats(&[3.0])], late));
    let mut cancelled = pin!(model.run(vec![floats(&[4.0])], cancelled));
    start(stays.as_mut());
    start(leaves.as_mut());
    start(late.as_mut());
    start(cancelled.as_mut());
    assert_eq!(model.load().waiting, 4);
    drop(leaves);
    assert_eq!(model.load().waiting, 3, "its place is free at once");
    drop(thread);
    let answer = block_on(stays).unwrap();
    assert_eq!((values(&answer), answer.batch_calls), (vec![1.0], 1));
    assert_eq!(block_on(late).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(block_on(cancelled).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(model.load().rows, 1);
}

#[test]
fn a_merged_run_goes_on_until_the_last_caller_left() {
    let (started, running) = mpsc::channel();
    let (resume, gate) = mpsc::channel::<()>();
    let (seen, cancelled) = mpsc::channel();
    let gate = Mutex::new(gate);
    let script = script(move |inputs, context| {
        started.send(()).unwrap();
        for _ in 0..2 {
            lock(&gate).recv().unwrap();
            seen.send(context.cancellation.is_cancelled()).unwrap();
        }
        Ok(inputs.to_vec())
    });
    let model = model(&script);
    let thread = hold_thread(&model.compute);
    let mut first = Box::pin(model.run(vec![floats(&[1.0])], merging()));
    let mut second = Box::pin(model.run(vec![floats(&[2.0])], merging()));
    start(first.as_mut());
    start(second.as_mut());
    drop(thread);
    running.recv().unwrap();
    drop(first);
    resume.send(()).unwrap();
    assert!(!cancelled.recv().unwrap(), "one still waits");
    drop(second);
    resume.send(()).unwrap();
    assert!(cancelled.recv().unwrap(), "nobody waits");
}

#[test]
fn calls_gather_until_the_run_ends_or_the_first_is_due() {
    let (started, running) = mpsc::channel();
    let (resume, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let script = script(move |inputs, _| {
        if inputs[0].elements::<f32>().unwrap()[0] == 0.0 {
            started.send(()).unwrap();
            lock(&gate).recv().unwrap();
        }
        Ok(inputs.to_vec())
    });
    let model = acquire(&pool_of(&script, 2, 64), "m").unwrap();
    known_to_be_long(&model);
    let call = |value: f32, delay: Duration| {
        let context = RunContext { batch: BatchPolicy { delay, ..POLICY }, ..RunContext::default() };
        Box::pin(model.run(vec![floats(&[value])], context))
    };
    let mut first = call(0.0, Duration::ZERO);
    start(first.as_mut());
    running.recv().unwrap();
    // While the first still runs, an idle thread takes what has waited enough.
    let (mut patient, impatient) = (call(1.0, Duration::from_secs(60)), call(2.0, Duration::from_millis(1)));
    start(patient.as_mut());
    assert_eq!(block_on(impatient).unwrap().batch_calls, 2);
    assert_eq!(block_on(patient).unwrap().batch_calls, 2);
    known_to_be_long(&model);
    let mut gathering: Vec<_> = (0..3).map(|_| call(3.0, Duration::from_secs(60))).collect();
    gathering.iter_mut().for_each(|call| start(call.as_mut()));
    assert_eq!(model.load().waiting, 3);
    resume.send(()).unwrap();
    for call in gathering {
        assert_eq!(block_on(call).unwrap().batch_calls, 3);
    }
    assert_eq!(block_on(first).unwrap().batch_calls, 1);
}

/// A model whose rows all depend on the mean of them.
fn centred() -> Script {
    script(|inputs, _| {
        let values = inputs[0].elements::<f32>().unwrap();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        Ok(vec![
            Tensor::from_vec(inputs[0].shape(), values.iter().map(|value| value - mean).collect()).unwrap(),
        ])
    })
    .unproven()
}

#[test]
fn a_model_that_mixes_rows_is_found_out_before_anybody_gets_a_wrong_answer() {
    let model = model(&centred());
    assert_eq!(model.batch_policy(None).unwrap(), BatchPolicy::OFF, "nobody said that it keeps them apart");
    assert_eq!(model.batch_policy(Some(POLICY)).unwrap(), POLICY);
    // Equal rows say nothing; the mean of each call by itself is what it takes away.
    for inputs in [[5.0, 5.0], [5.0, 5.0], [5.0, 5.0], [1.0, 9.0]] {
        assert!(model.can_merge());
        let calls = inputs.iter().map(|value| (vec![*value], merging())).collect();
        for answer in together(&model, calls) {
            assert_eq!(values(&answer.unwrap()), [0.0]);
        }
    }
    assert!(!model.can_merge());
    let answers = together(&model, vec![(vec![1.0], merging()), (vec![2.0], merging())]);
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().batch_calls == 1));
}

#[test]
fn a_model_that_somebody_vouches_for_is_merged_after_a_few_checks() {
    let model = model(&doubled().unproven());
    let mut merged = Vec::new();
    for _ in 0..5 {
        let answers = together(&model, vec![(vec![1.0], merging()), (vec![2.0], merging())]);
        assert_eq!(values(answers[1].as_ref().unwrap()), [4.0]);
        merged.push(answers[0].as_ref().unwrap().batch_calls == 2);
    }
    assert_eq!(merged, [false, false, false, true, true]);
}

#[test]
fn a_model_that_fails_only_when_merged_is_merged_no_more() {
    let script = script(|inputs, _| match inputs[0].shape() {
        [1] => Ok(inputs.to_vec()),
        _ => Err(Error::Run { model: "m".into(), backend: "script", reason: "one row at a time".into() }),
    });
    let model = model(&script);
    for _ in 0..3 {
        assert!(model.can_merge());
        let answers = together(&model, vec![(vec![1.0], merging()), (vec![2.0], merging())]);
        assert!(answers.iter().all(Result::is_ok));
    }
    assert!(!model.can_merge());
}

#[test]
fn a_run_that_gives_other_rows_than_it_got_is_taken_back() {
    let script = script(|inputs, _| match inputs[0].shape() {
        [1] => Ok(inputs.to_vec()),
        _ => Ok(vec![floats(&[0.0])]),
    });
    let model = model(&script);
    let answers = together(&model, vec![(vec![1.0], merging()), (vec![2.0], merging())]);
    assert_eq!(values(answers[1].as_ref().unwrap()), [2.0]);
    assert!(!model.can_merge());
}

#[test]
fn a_flood_is_refused_while_another_caller_still_gets_in() {
    let model = acquire(&pool_of(&echo(), 1, 64), "m").unwrap();
    let _thread = hold_thread(&model.compute);
    let (flood, other) = (Caller::new(), Caller::new());
    let call = |caller| {
        let context = RunContext { caller, ..RunContext::default() };
        Box::pin(model.run(vec![floats(&[1.0])], context))
    };
    // Three quarters of 64 for the model, three quarters of these for a caller.
    let mut waiting: Vec<_> = (0..36).map(|_| call(flood)).collect();
    waiting.iter_mut().for_each(|call| start(call.as_mut()));
    let error = block_on(call(flood)).unwrap_err();
    assert_eq!(error.to_string(), "the compute queue is full (36 calls wait); try again later");
    let mut more: Vec<_> = (0..12).map(|_| call(other)).collect();
    more.iter_mut().for_each(|call| start(call.as_mut()));
    assert_eq!(block_on(call(other)).unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!(model.load().waiting, 48);
    assert_eq!(model.compute.waiting(), 48);
    drop((waiting, more));
    assert_eq!(model.compute.waiting(), 0);
}

#[test]
fn models_are_served_in_turn() {
    let (seen, order) = mpsc::channel();
    let script = script(move |inputs, _| {
        seen.send(inputs[0].elements::<f32>().unwrap()[0]).unwrap();
        Ok(inputs.to_vec())
    });
    let pool = pool_of(&script, 1, 64);
    let (flooded, other) = (acquire(&pool, "flooded").unwrap(), acquire(&pool, "other").unwrap());
    let thread = hold_thread(&flooded.compute);
    let mut calls: Vec<_> = (0..6)
        .map(|number| {
            let model = if number < 5 { &flooded } else { &other };
            Box::pin(model.run(vec![floats(&[number as f32])], RunContext::default()))
        })
        .collect();
    calls.iter_mut().for_each(|call| start(call.as_mut()));
    drop(thread);
    calls.into_iter().for_each(|call| _ = block_on(call).unwrap());
    assert_eq!(order.try_iter().collect::<Vec<_>>(), [0.0, 5.0, 1.0, 2.0, 3.0, 4.0]);
}
