//! The measurements, each of one model on one backend.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    BackendRegistry, Choice, Format, LoadOptions, Model, ModelSource, RunContext, Session, Target, Tensor,
};
use samara_test::Random;
use samara_test::onnx::families::{Family, Input, Kind, Size, family, product};

/// A loaded model with what it is fed.
pub(crate) struct Case<'m> {
    model: Arc<dyn Model>,
    family: &'m Family,
    half: bool,
}

impl<'m> Case<'m> {
    pub(crate) fn load(
        backends: &BackendRegistry,
        backend: &str,
        target: Target,
        family: &'m Family,
    ) -> Result<Self> {
        let source = ModelSource {
            name: family.name.to_owned(),
            identity: family.name.to_owned(),
            format: Format::Onnx,
            bytes: family.bytes.clone().into(),
            beside: samara_nn::Beside::Nothing,
        };
        let threads = std::thread::available_parallelism()?.get();
        let options = LoadOptions { target, threads, ..LoadOptions::default() };
        let (_, model) = backends.load(&source, &Choice::from(backend), &options)?;
        let half = model.signature().inputs[0].datatype == samara_nn::Datatype::Fp16;
        Ok(Self { model, family, half })
    }

    /// One call with so many rows.
    pub(crate) fn run(&self, rows: usize) -> Result<Vec<Tensor>> {
        self.with(&mut *self.model.session()?, &self.inputs(rows))
    }

    pub(crate) fn device_bytes(&self) -> u64 {
        self.model.footprint().device
    }

    /// The largest difference of one row's answer from another backend's,
    /// relative to the largest number in it.
    pub(crate) fn difference(&self, other: &Case<'_>) -> Result<f64> {
        let (ours, theirs) = (self.run(1)?, other.run(1)?);
        let (ours, theirs) = (ours[0].elements::<f32>()?, theirs[0].elements::<f32>()?);
        ensure!(ours.len() == theirs.len(), "answers of {} and {} numbers", ours.len(), theirs.len());
        let largest = theirs.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let apart = ours.iter().zip(theirs.iter()).map(|(a, b)| (a - b).abs());
        let worst =
            apart.fold(0f32, |worst, apart| if apart > worst || apart.is_nan() { apart } else { worst });
        Ok(f64::from(worst / largest))
    }

    fn with(&self, session: &mut dyn Session, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(session.run(inputs, &RunContext::default())?)
    }

    fn inputs(&self, rows: usize) -> Vec<Tensor> {
        let mut random = Random::new(7);
        let mut tensor = |input: &Input| {
            let shape: Vec<usize> = std::iter::once(rows).chain(input.shape.iter().copied()).collect();
            let count = shape.iter().product();
            let mut below = |end: u64| (0..count).map(|_| random.below(end) as i64).collect::<Vec<i64>>();
            match (input.kind, self.half) {
                (Kind::Words, _) => Tensor::from_vec(shape, below(50)),
                (Kind::Parts, _) => Tensor::from_vec(shape, below(2)),
                (Kind::Mask, _) => Tensor::from_vec(shape, vec![1i64; count]),
                (Kind::Floats, false) => Tensor::from_vec(shape, random.floats(count)),
                (Kind::Floats, true) => Tensor::from_vec(
                    shape,
                    random.floats(count).into_iter().map(half::f16::from_f32).collect::<Vec<_>>(),
                ),
            }
        };
        // There are as many numbers as the shape says.
        self.family.inputs.iter().filter_map(|input| tensor(input).ok()).collect()
    }
}

/// What a call takes, after three that do not count.
pub(crate) fn median<T>(patience: Duration, mut call: impl FnMut() -> Result<T>) -> Result<Duration> {
    for _ in 0..3 {
        call()?;
    }
    let (mut times, started) = (Vec::new(), Instant::now());
    while times.len() < 5 || started.elapsed() < patience {
        let began = Instant::now();
        call()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// TFLOP/s of a product of square matrices, by the device's own clock. The
/// backends must measure that.
pub(crate) fn gemm(backends: &BackendRegistry, size: usize, half: bool) -> Result<f64> {
    let family = product(size, half);
    let case = Case::load(backends, "wgpu", Target::Gpu(None), &family)?;
    let planned = case.model.as_planned().context("the backend tells nothing of its kernels")?;
    let spent = || -> Duration { planned.kernel_times().iter().map(|time| time.total).sum() };
    for _ in 0..2 {
        case.run(size)?;
    }
    let (before, runs) = (spent(), 5);
    for _ in 0..runs {
        case.run(size)?;
    }
    let seconds = (spent() - before).as_secs_f64() / f64::from(runs);
    Ok(2.0 * (size as f64).powi(3) / seconds / 1e12)
}

/// Calls of one row per second by so many callers at once, each with a session
/// of its own.
pub(crate) fn callers(case: &Case<'_>, count: usize, patience: Duration) -> Result<f64> {
    let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let inputs = case.inputs(1);
    case.run(1)?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut session = case.model.session()?;
                    while !over.load(Ordering::Relaxed) {
                        case.with(&mut *session, &inputs)?;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        std::thread::sleep(2 * patience);
        over.store(true, Ordering::Relaxed);
        callers.into_iter().try_for_each(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))?)
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// The first argument of a process that loads a model and runs it once.
pub(crate) const CHILD: &str = "load-once";

/// What loading takes in a process of its own, and the first answer with it.
pub(crate) fn load_times(name: &str, software: bool, cache: &Path) -> Result<[Duration; 2]> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args([CHILD, name, &software.to_string()]).arg(cache).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let mut micros = text.split_whitespace().map(|word| word.parse().map(Duration::from_micros));
    let mut next =
        || micros.next().context("the child printed too little")?.context("the child printed no number");
    Ok([next()?, next()?])
}

/// Loads, runs once, and prints what both took, in microseconds.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [name, software, cache] = arguments else { return Err(anyhow!("three arguments")) };
    let family = family(name, Size::Full, false);
    let backends = registry(&RegistryOptions {
        allow_software_gpu: software == "true",
        gpu_memory_limit: u64::MAX,
        gpu_cache: Some(cache.into()),
        ..RegistryOptions::default()
    });
    let started = Instant::now();
    let case = Case::load(&backends, "wgpu", Target::Gpu(None), &family)?;
    let loaded = started.elapsed();
    case.run(1)?;
    println!("{} {}", loaded.as_micros(), started.elapsed().as_micros());
    Ok(())
}
