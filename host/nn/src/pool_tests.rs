//! Tests of the pool against a backend whose behaviour a test dictates.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::context::RunContext;
use crate::error::ErrorKind;
use crate::script::{acquire, block_on, echo, input, pool, pool_of, script};
use crate::tensor::Tensor;

#[test]
fn a_model_is_loaded_once_and_let_go_of_with_its_last_user() {
    let script = echo();
    let pool = pool(&script);
    let threads: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(|| acquire(&pool, "m").unwrap())).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(script.loads.load(Ordering::SeqCst), 1);
    assert_eq!(pool.resident()[0].users, 4);
    let before = Arc::strong_count(&script.alive);
    drop(threads);
    assert!(Arc::strong_count(&script.alive) < before, "the model is gone");
    assert!(pool.resident().is_empty());
    assert!(lock(&pool.slots).is_empty(), "no slot is left behind");
    acquire(&pool, "m").unwrap();
    assert_eq!(script.loads.load(Ordering::SeqCst), 2);
}

#[test]
fn a_failed_load_is_told_and_leaves_nothing() {
    let script = echo();
    let pool = pool(&script);
    assert_eq!(acquire(&pool, "bad").unwrap_err().kind(), ErrorKind::InvalidModel);
    let error = acquire(&pool, "panics").unwrap_err();
    assert_eq!(error.to_string(), "model `panics`: script panicked: load went wild");
    assert!(lock(&pool.slots).is_empty());
}

#[test]
fn inputs_are_checked_before_the_model_sees_them() {
    let script = script(|_, _| panic!("must not run"));
    let model = acquire(&pool(&script), "m").unwrap();
    let wrong = vec![("z".to_owned(), Tensor::from_vec([1], vec![1f32]).unwrap())];
    let error = block_on(model.infer(wrong, RunContext::default())).unwrap_err();
    assert_eq!(error.to_string(), "unknown tensor `z`; the signature has `x`");
}

#[test]
fn a_panicking_session_is_replaced_and_the_next_call_served() {
    let calls = AtomicUsize::new(0);
    let script = script(move |inputs, _| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => panic!("kernel on fire"),
        _ => Ok(inputs.to_vec()),
    });
    let model = acquire(&pool(&script), "m").unwrap();
    let error = block_on(model.infer(input(), RunContext::default())).unwrap_err();
    assert_eq!(error.to_string(), "model `m`: script panicked: kernel on fire");
    assert_eq!(block_on(model.infer(input(), RunContext::default())).unwrap().outputs.len(), 1);
}

#[test]
fn a_short_model_moves_from_the_compute_threads_to_its_caller() {
    let script = script(|inputs, _| {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let on_compute = name.starts_with("samara-compute");
        Ok(vec![Tensor::from_vec([1], vec![f32::from(u8::from(on_compute))]).unwrap(), inputs[0].clone()])
    });
    let model = acquire(&pool(&script), "m").unwrap();
    let on_compute = || {
        let answer = block_on(model.infer(input(), RunContext::default())).unwrap();
        answer.outputs[0].elements::<f32>().unwrap()[0] == 1.0
    };
    assert!(on_compute(), "an unmeasured model gets a thread of its own");
    // However slow this machine is at the moment, the pace is told, not taken.
    for _ in 0..8 {
        model.pace.record(8, Duration::from_micros(1));
    }
    assert!(!on_compute());
}

#[test]
fn a_dropped_call_is_cancelled_before_it_computes() {
    let (started, running) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let (started, gate) = (Mutex::new(started), Mutex::new(gate));
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let script = script(move |inputs, context| {
        counted.fetch_add(1, Ordering::SeqCst);
        lock(&started).send(()).unwrap();
        lock(&gate).recv().unwrap();
        context.check(Instant::now())?;
        Ok(inputs.to_vec())
    });
    let pool = pool_of(&script, 1, 4);
    let model = acquire(&pool, "m").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let spawn = || {
        let model = Arc::clone(&model);
        runtime.spawn(async move { model.infer(input(), RunContext::default()).await })
    };
    let (first, second) = (spawn(), spawn());
    running.recv().unwrap();
    second.abort();
    first.abort();
    let _ = runtime.block_on(async { (first.await, second.await) });
    release.send(()).unwrap();
    drop(release);
    // The only thread is free again once another job ran: the second was skipped.
    let (done, finished) = mpsc::channel();
    model.compute.submit(move || done.send(()).unwrap()).unwrap();
    finished.recv().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn one_context_serves_call_after_call() {
    let script = echo();
    let model = acquire(&pool(&script), "m").unwrap();
    let context = RunContext::default();
    for _ in 0..3 {
        model.pace.record(1, Duration::from_secs(1));
        block_on(model.infer(input(), context.clone())).unwrap();
    }
}
