//! Rows of several calls in one run: what engines make of them.

use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use samara_nn::{BatchPolicy, Batching, Choice, Compute, ErrorKind, Pool, ResidentModel, RunContext, Tensor};
use samara_test::onnx::ready;

use crate::{Subject, noise, source};

/// The rows of a tensor, each by itself.
fn rows(tensor: &Tensor) -> Vec<Tensor> {
    let length = tensor.data().len() / tensor.shape()[0];
    let mut shape = tensor.shape().to_vec();
    shape[0] = 1;
    (0..tensor.shape()[0])
        .map(|row| {
            let data = tensor.data().slice(row * length..(row + 1) * length);
            Tensor::new(tensor.datatype(), shape.clone(), data).unwrap()
        })
        .collect()
}

/// The largest difference between two tensors; integers must be equal.
fn difference(one: &Tensor, other: &Tensor) -> f32 {
    assert_eq!((one.datatype(), one.shape()), (other.datatype(), other.shape()));
    match (one.elements::<f32>(), other.elements::<f32>()) {
        (Ok(one), Ok(other)) => {
            one.iter().zip(other.iter()).fold(0f32, |most, (a, b)| most.max((a - b).abs()))
        }
        _ => {
            assert_eq!(one, other);
            0.0
        }
    }
}

pub(crate) fn rows_alone_and_together_agree(subject: &Subject) {
    for (name, bytes, inner) in [
        ("classifier", ready::classifier(), vec![4]),
        ("cnn", ready::cnn(), vec![1, 12, 12]),
        ("matmul", ready::matmul(64), vec![64]),
        ("perceptron", ready::perceptron(), vec![512]),
    ] {
        let model = subject.load(name, bytes).unwrap();
        let mut session = model.session().unwrap();
        let mut run =
            |input: &Tensor| session.run(std::slice::from_ref(input), &RunContext::default()).unwrap();
        for count in [2usize, 7, 8, 32] {
            let shape: Vec<usize> = std::iter::once(count).chain(inner.iter().copied()).collect();
            let input = noise(&shape);
            let together: Vec<Vec<Tensor>> = run(&input).iter().map(rows).collect();
            let mut most = 0f32;
            for (index, row) in rows(&input).iter().enumerate() {
                for (output, alone) in run(row).iter().enumerate() {
                    most = most.max(difference(alone, &together[output][index]));
                }
            }
            assert!(most < 1e-5, "{name} with {count} rows differs by {most}");
            println!("{}: {name} with {count} rows differs by {most:e}", subject.backend.name());
        }
    }
}

/// Wakes the thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(mut future: Pin<Box<F>>) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

fn acquire(subject: &Subject, pool: &Pool, name: &str, bytes: Vec<u8>) -> Arc<ResidentModel> {
    let choice = Choice::Named(subject.backend.name().to_owned());
    pool.acquire(&source(name, bytes, None), &choice, &subject.options()).unwrap()
}

pub(crate) fn concurrent_calls_are_merged(subject: &Subject) {
    let compute = Arc::new(Compute::new(1, 64));
    let pool = Pool::new(subject.backends.clone(), Arc::clone(&compute));
    // A model that takes longer than a hop between threads on any machine.
    let model = acquire(subject, &pool, "matmul", ready::matmul(1024));
    let asked = BatchPolicy { max_rows: 32, ..BatchPolicy::AUTOMATIC };
    let proven = model.batching() == Batching::Rows;
    let unasked = if proven { BatchPolicy::AUTOMATIC } else { BatchPolicy::OFF };
    assert_eq!(model.batch_policy(None).unwrap(), unasked);
    let batch = model.batch_policy(Some(asked)).unwrap();
    let call = |seed: usize| {
        let input = noise(&[seed % 3 + 1, 1024]);
        let context = RunContext { batch, ..RunContext::default() };
        Box::pin(model.run(vec![input], context))
    };
    // The first calls tell that it takes long, which merging waits for.
    let expected: Vec<_> = (0..6).map(|seed| block_on(call(seed)).unwrap().outputs).collect();
    let mut merged = Vec::new();
    for _ in 0..5 {
        let (release, gate) = mpsc::channel::<()>();
        compute.submit(move || _ = gate.recv()).unwrap();
        let mut calls: Vec<Pin<Box<_>>> = (0..6).map(call).collect();
        for call in &mut calls {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(release);
        for (index, call) in calls.into_iter().enumerate() {
            let answer = block_on(call).unwrap();
            assert!(difference(&answer.outputs[0], &expected[index][0]) < 1e-5);
            merged.push((answer.batch_calls, answer.batch_rows));
        }
    }
    assert!(model.can_merge());
    // Without a proof the first three batches are checked call by call.
    let checked = if proven { 0 } else { 3 };
    assert!(merged[..checked * 6].iter().all(|(calls, _)| *calls == 1), "{merged:?}");
    assert_eq!(merged[checked * 6..], vec![(6, 12); (5 - checked) * 6]);
}

pub(crate) fn a_signature_without_rows_cannot_be_merged(subject: &Subject) {
    let pool = Pool::new(subject.backends.clone(), Arc::new(Compute::new(1, 4)));
    let model = acquire(subject, &pool, "scalar", ready::scalar());
    let error = model.batch_policy(Some(BatchPolicy::AUTOMATIC)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let message = error.to_string();
    assert!(
        message.starts_with("model `scalar`: its calls cannot be merged: every input and output"),
        "{message}"
    );
    assert!(message.contains("\nhint: "), "{message}");
    assert_eq!(model.batch_policy(Some(BatchPolicy::OFF)).unwrap(), BatchPolicy::OFF);
}
