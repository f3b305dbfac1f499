//! What a GPU makes of models: one program that measures all of it and prints
//! tables, to be carried to a machine with a GPU. Its models it makes itself.
//!
//! PyTorch on the same GPU is the rival, where the Python that `--python` names
//! has it: the program carries the script.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints tables")]

mod measure;
mod rival;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use samara_backends::{RegistryOptions, registry};
use samara_nn::{BackendRegistry, Target};
use samara_test::onnx::families::{Size, family};

use measure::{Case, callers, child, gemm, load_times, median};
use rival::{Rival, Way};

const USAGE: &str = "\
gpu [--software] [--quick] [--python PROGRAM | --no-rival]

  --software   a driver that computes on the CPU counts as a GPU
  --quick      little of everything, to see that it runs
  --python     the Python whose PyTorch is the rival [default: python3]
  --no-rival   leave PyTorch out

SAMARA_ONNXRUNTIME names ONNX Runtime's library, for its numbers on the CPU.";

/// The models that are measured.
const MODELS: [&str; 4] = ["resnet50", "mobilenet_v2", "bert", "vit"];

/// What the flags say.
struct Settings {
    software: bool,
    quick: bool,
    python: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((measure::CHILD, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return child(rest);
    }
    let settings = settings(&arguments)?;
    if cfg!(debug_assertions) {
        eprintln!("warning: this build is not optimised; build it with `--release`");
    }
    adapters(settings.software)?;
    let rival = match &settings.python {
        Some(python) => Rival::run(python, settings.software, settings.quick)?,
        None => Rival::default(),
    };
    println!("PyTorch: {}\n", rival.name());
    products(&settings, &rival)?;
    models(&settings, &rival)?;
    loads(&settings)?;
    many_callers(&settings)
}

fn settings(arguments: &[String]) -> Result<Settings> {
    let mut settings = Settings { software: false, quick: false, python: Some("python3".into()) };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--software" => settings.software = true,
            "--quick" => settings.quick = true,
            "--no-rival" => settings.python = None,
            "--python" => {
                settings.python = Some(arguments.next().context("--python needs a program")?.into())
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            other => bail!("unknown argument `{other}`\n\n{USAGE}"),
        }
    }
    Ok(settings)
}

/// What there is, and which of it is measured: the first.
fn adapters(software: bool) -> Result<()> {
    let options = samara_gpu::GpuOptions { allow_software: software, ..samara_gpu::GpuOptions::default() };
    let gpus = samara_gpu::Gpus::new(options);
    for adapter in gpus.adapters() {
        println!("adapter {}: {} ({})", adapter.index, adapter.name, adapter.details);
        println!("  {}", adapter.abilities);
    }
    println!("measured: {}", gpus.choose(None)?.name);
    Ok(())
}

impl Settings {
    fn backends(&self, timings: bool) -> BackendRegistry {
        registry(&RegistryOptions {
            allow_software_gpu: self.software,
            gpu_timings: timings,
            gpu_memory_limit: u64::MAX,
            onnxruntime_libraries: std::env::var_os("SAMARA_ONNXRUNTIME")
                .map(PathBuf::from)
                .into_iter()
                .collect(),
            ..RegistryOptions::default()
        })
    }

    fn batches(&self) -> &'static [usize] {
        if self.quick { &[1] } else { &[1, 8, 32] }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(if self.quick { 100 } else { 1000 })
    }
}

/// Products of square matrices, in the time that the device says they took.
fn products(settings: &Settings, rival: &Rival) -> Result<()> {
    let sizes: &[usize] = if settings.quick { &[256] } else { &[256, 1024, 2048, 4096, 8192] };
    println!("| product of matrices | TFLOP/s | PyTorch | share |\n|---|---|---|---|");
    let backends = settings.backends(true);
    for &size in sizes {
        for half in [false, true] {
            let datatype = datatype(half);
            match gemm(&backends, size, half) {
                Err(error) => println!("| {size}, {datatype} | {error:#} | | |"),
                Ok(ours) => {
                    let theirs = rival.product(size, datatype);
                    let share = theirs.map_or_else(String::new, |theirs| format!("{:.2}", ours / theirs));
                    println!("| {size}, {datatype} | {ours:.2} | {} | {share} |", number(theirs));
                }
            }
        }
    }
    println!();
    Ok(())
}

/// Whole models, from tensors in the host's memory to answers there.
fn models(settings: &Settings, rival: &Rival) -> Result<()> {
    println!(
        "| model, datatype, batch | GPU, ms | PyTorch, ms | times that | compiled, ms | times that | tract, ms | ONNX Runtime on the CPU, ms | GPU memory, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let backends = settings.backends(false);
    let names = if settings.quick { &MODELS[1..2] } else { &MODELS[..] };
    for name in names {
        for half in [false, true] {
            let model = family(name, Size::Full, half);
            let gpu = match Case::load(&backends, "wgpu", Target::Gpu(None), &model) {
                Ok(gpu) => gpu,
                Err(error) => {
                    println!("| {name}, {} | {error:#} | | | | | | | |", datatype(half));
                    continue;
                }
            };
            let cpus: Vec<Option<Case>> = ["tract", "onnxruntime"]
                .map(|backend| Case::load(&backends, backend, Target::Cpu, &model).ok().filter(|_| !half))
                .into();
            if let Some(cpu) = &cpus[0] {
                let difference = gpu.difference(cpu)?;
                ensure!(difference < 1e-3, "{name} differs by {difference} from the CPU");
            }
            for &batch in settings.batches() {
                let ours = median(settings.patience(), || gpu.run(batch))?;
                let [eager, compiled] =
                    [Way::Eager, Way::Compiled].map(|way| rival.model(name, datatype(half), batch, way));
                let beside = cpus.iter().map(|cpu| match cpu {
                    Some(cpu) if batch <= 8 => {
                        Ok(number(Some(ms(median(settings.patience(), || cpu.run(batch))?))))
                    }
                    _ => Ok(String::new()),
                });
                let beside = beside.collect::<Result<Vec<String>>>()?.join(" | ");
                let times = |theirs: Option<f64>| {
                    theirs.map_or_else(String::new, |theirs| format!("{:.2}", ms(ours) / theirs))
                };
                println!(
                    "| {name}, {}, {batch} | {:.2} | {} | {} | {} | {} | {beside} | {} |",
                    datatype(half),
                    ms(ours),
                    number(eager),
                    times(eager),
                    number(compiled),
                    times(compiled),
                    gpu.device_bytes() / 1_000_000,
                );
            }
        }
    }
    println!();
    Ok(())
}

/// From the file in memory to a model that can run, and to its first answer, in
/// a process of its own: without and with the shaders that the driver compiled
/// before.
fn loads(settings: &Settings) -> Result<()> {
    println!("| load, ms | cold | to the first answer | warm | to the first answer |\n|---|---|---|---|---|");
    let names = if settings.quick { &MODELS[1..2] } else { &MODELS[..] };
    for name in names {
        let cache = tempfile::tempdir()?;
        let mut columns = Vec::new();
        for _ in 0..2 {
            let [load, first] = load_times(name, settings.software, cache.path())?;
            columns.push(format!("{:.0} | {:.0}", ms(load), ms(first)));
        }
        println!("| {name} | {} |", columns.join(" | "));
    }
    println!();
    Ok(())
}

fn many_callers(settings: &Settings) -> Result<()> {
    let counts: &[usize] = if settings.quick { &[1, 4] } else { &[1, 2, 4, 8, 16] };
    let titles: Vec<String> = counts.iter().map(ToString::to_string).collect();
    println!("| callers at once, calls/s | {} |\n|---|{}", titles.join(" | "), "---|".repeat(counts.len()));
    let backends = settings.backends(false);
    let names = if settings.quick { &["mobilenet_v2"][..] } else { &["mobilenet_v2", "bert"] };
    for name in names {
        let model = family(name, Size::Full, false);
        let gpu = Case::load(&backends, "wgpu", Target::Gpu(None), &model)?;
        let rates =
            counts.iter().map(|&count| Ok(format!("{:.1}", callers(&gpu, count, settings.patience())?)));
        println!("| {name} | {} |", rates.collect::<Result<Vec<String>>>()?.join(" | "));
    }
    Ok(())
}

fn datatype(half: bool) -> &'static str {
    if half { "f16" } else { "f32" }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn number(number: Option<f64>) -> String {
    number.map_or_else(String::new, |number| format!("{number:.2}"))
}
