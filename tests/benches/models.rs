//! The models of a user through the sandbox, against onnxruntime called in Python with as
//! many threads: a call, loading, and the memory of several sessions.

mod rival;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use samara_backends::RegistryOptions;
use samara_engine::{
    CallOptions, Function, FunctionSource, Grants, GuestOutput, Host, HostOptions, Limits, ModelRequest,
    Reuse, StageSource, component_for_model, sha256,
};
use samara_nn::{
    BackendRegistry, Beside, Choice, Compute, Datatype, Format, LoadOptions, Model, ModelSource, Pool,
    RunContext, Tensor,
};
use serde::Deserialize;

use self::rival::Rival;
use crate::process::root;
use crate::stats::{Pair, median, show, time};
use crate::weights::{Memory, mib};

/// The name by which this program is started to look at its own memory.
pub(crate) const CHILD: &str = "sessions-of";

const ENGINES: [&str; 2] = ["onnxruntime", "tract"];
/// What one round takes, about: short models run several times in it.
const ROUND: Duration = Duration::from_millis(40);
const ROUNDS: usize = 11;
/// Longer than onnxruntime's threads wait awake after a run: 34 ms.
const PAUSE: Duration = Duration::from_millis(50);
/// Models that take less are called without a component too: with one, its sandbox is
/// what takes the time.
const SHORT: Duration = Duration::from_millis(1);
const LOADS: usize = 5;
/// Of these the sessions' memory is told.
const HELD: [&str; 3] = ["mobilenet", "resnet-50", "minilm, 8 x 32"];
const SESSIONS: [usize; 3] = [1, 4, 8];

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    file: String,
}

pub(crate) fn run() -> Result<()> {
    let (Some(library), Some(python)) = (samara_test::onnxruntime_library(), samara_test::python()) else {
        return Ok(());
    };
    let folder = made(&python)?;
    let cases = read(&folder)?;
    calls(&library, &python, &folder, &cases)?;
    loads(&library, &python, &folder, &cases)?;
    memory(&python, &folder)
}

/// The folder of the models, which are made the first time.
fn made(python: &Path) -> Result<PathBuf> {
    let folder = samara_test::target().join("bench-models");
    if !folder.join("cases.json").exists() {
        eprintln!("making the models, about a minute");
        let script = root().join("tests/benches/models/make.py");
        let status = Command::new(python).arg(script).arg(&folder).stdout(std::io::stderr()).status()?;
        ensure!(status.success(), "the models could not be made");
    }
    Ok(folder)
}

fn read(folder: &Path) -> Result<Vec<Case>> {
    Ok(serde_json::from_slice(&std::fs::read(folder.join("cases.json"))?)?)
}

fn calls(library: &Path, python: &Path, folder: &Path, cases: &[Case]) -> Result<()> {
    println!("a call: a fresh instance of `samara compile`'s component each, short models without one too;");
    println!("\"x\": how many times faster than onnxruntime in Python, whose threads wait awake for each");
    println!("other, as they do unless told otherwise, or asleep, as samara's do");
    println!("| model | threads | Python | samara, onnxruntime | x | samara, tract | x |");
    println!("|---|---|---|---|---|---|---|");
    for (threads, waits) in [(1, "awake"), (2, "awake"), (2, "asleep")] {
        let mut theirs = Rival::start(python, folder, threads, waits)?;
        for case in cases {
            theirs.choose(&case.name)?;
            theirs.open()?;
            let short = theirs.run(100)? / 100 < SHORT;
            let ways: &[(bool, &str)] =
                if short { &[(true, ""), (false, ", no component")] } else { &[(true, "")] };
            for &(sandboxed, suffix) in ways {
                let mut cells = Vec::new();
                let mut rivals = Vec::new();
                for engine in ENGINES {
                    let ours = Ours::load(engine, library, folder, case, threads, sandboxed);
                    let (cell, rival) = cell(case, engine, ours, &mut theirs)?;
                    cells.push(cell);
                    rivals.extend(rival);
                }
                let rival = show(median(rivals));
                let threads =
                    if waits == "awake" { threads.to_string() } else { format!("{threads}, {waits}") };
                println!("| {}{suffix} | {threads} | {rival} | {} |", case.name, cells.join(" | "));
            }
        }
    }
    println!();
    Ok(())
}

/// What an engine's cell says, and what the rival took meanwhile.
fn cell(
    case: &Case,
    engine: &str,
    ours: Result<Ours>,
    theirs: &mut Rival,
) -> Result<(String, Option<Duration>)> {
    match ours {
        Ok(ours) => {
            let (rival, ours) = compared(&ours, theirs)?;
            let ratio = rival.as_secs_f64() / ours.as_secs_f64();
            Ok((format!("{} | {ratio:.3}", show(ours)), Some(rival)))
        }
        Err(error) => {
            eprintln!("{}, {engine}: {error:#}", case.name);
            Ok(("refused | ".to_owned(), None))
        }
    }
}

/// Medians of one call of theirs and of ours, in turn, after both gave the same answer.
fn compared(ours: &Ours, theirs: &mut Rival) -> Result<(Duration, Duration)> {
    let once = theirs.run(3)? / 3;
    let count = u32::try_from((ROUND.as_nanos() / once.as_nanos().max(1)).clamp(1, 500))?;
    let far = distance(&ours.call()?, &theirs.answer()?)?;
    // Integers' rounding shows here; a wrong answer is as far off as the answer is large.
    ensure!(far < 0.05, "{}: the answers differ by {far} of their size", ours.name);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    // The first round warms caches and is not counted.
    for round in 0..=ROUNDS {
        // Threads of the other that still wait awake take a core each.
        std::thread::sleep(PAUSE);
        ours.calls(1)?;
        let one = ours.calls(count)?;
        std::thread::sleep(PAUSE);
        theirs.run(1)?;
        let other = theirs.run(count)?;
        if round > 0 {
            a.push(one / count);
            b.push(other / count);
        }
    }
    Ok((median(b), median(a)))
}

/// The largest difference, as a part of the largest number.
fn distance(ours: &Tensor, theirs: &[f32]) -> Result<f32> {
    let ours = match ours.datatype() {
        Datatype::Fp32 => ours.elements::<f32>()?.into_owned(),
        Datatype::Int64 => ours.elements::<i64>()?.iter().map(|number| *number as f32).collect(),
        other => bail!("an output of {other} is not compared"),
    };
    ensure!(ours.len() == theirs.len(), "{} numbers instead of {}", ours.len(), theirs.len());
    let largest = theirs.iter().fold(f32::MIN_POSITIVE, |most, number| most.max(number.abs()));
    let apart = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    Ok(apart / largest)
}

/// A function that is a model, or the component that `samara compile` makes of it.
struct Ours {
    name: String,
    function: Function,
    inputs: Vec<(String, Tensor)>,
    runtime: tokio::runtime::Runtime,
}

impl Ours {
    fn load(
        engine: &str,
        library: &Path,
        folder: &Path,
        case: &Case,
        threads: usize,
        sandboxed: bool,
    ) -> Result<Self> {
        let compute = Arc::new(Compute::new(threads, 64));
        let models = Arc::new(Pool::new(backends(library), compute));
        let source = source(folder, case)?;
        let options = LoadOptions { threads, ..LoadOptions::default() };
        let choice = Choice::from(engine);
        let resident = models.acquire(&source, &choice, &options)?;
        let (name, rename) = ("m".to_owned(), BTreeMap::new());
        let stage = if sandboxed {
            let bytes = component_for_model("m", resident.signature())?.into();
            StageSource::Component { name, bytes, rename }
        } else {
            StageSource::Model { model: name.clone(), name, rename }
        };
        let host =
            Host::new(HostOptions { code_cache: None, code_cache_read_only: false, models, instances: 4 })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let request = ModelRequest { source, choice, options, batch: None };
        let source = FunctionSource {
            name: case.name.clone(),
            stages: vec![stage],
            models: [("m".to_owned(), request)].into(),
            limits: Limits { deadline: Duration::from_secs(600), ..Limits::default() },
            grants: Grants::default(),
            reuse: Reuse::Never,
            output: GuestOutput::Discard,
        };
        let function = runtime.block_on(Function::load(&host, source))?;
        Ok(Self { name: case.name.clone(), function, inputs: inputs(folder, case)?, runtime })
    }

    /// The first output of a call.
    fn call(&self) -> Result<Tensor> {
        let call = self.function.infer(self.inputs.clone(), CallOptions::default());
        let (_, tensor) =
            self.runtime.block_on(call)?.outputs.into_iter().next().context("it has no output")?;
        Ok(tensor)
    }

    fn calls(&self, count: u32) -> Result<Duration> {
        self.runtime.block_on(async {
            let started = std::time::Instant::now();
            for _ in 0..count {
                self.function.infer(self.inputs.clone(), CallOptions::default()).await?;
            }
            Ok(started.elapsed())
        })
    }
}

fn loads(library: &Path, python: &Path, folder: &Path, cases: &[Case]) -> Result<()> {
    println!("loading, from the bytes to a session, one thread");
    println!("| model | Python | samara, onnxruntime | x | samara, tract | x |");
    println!("|---|---|---|---|---|---|");
    let backends = backends(library);
    for case in cases {
        let source = source(folder, case)?;
        let mut cells = Vec::new();
        let mut rivals = Vec::new();
        for engine in ENGINES {
            let choice = Choice::from(engine);
            let ours = || load(&backends, &source, &choice).map(drop);
            if let Err(error) = ours() {
                eprintln!("{}, {engine}: {error:#}", case.name);
                cells.push("refused | ".to_owned());
                continue;
            }
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for _ in 0..LOADS {
                a.push(time(&mut || ours())?);
                // In a process of its own, for a heap that was in use before has its pages.
                let mut theirs = Rival::start(python, folder, 1, "awake")?;
                theirs.choose(&cases[0].name)?;
                theirs.open()?;
                theirs.choose(&case.name)?;
                b.push(theirs.open()?);
            }
            let pair = Pair { ours: median(a), theirs: median(b) };
            cells.push(format!("{} | {:.2}", show(pair.ours), pair.times_faster()));
            rivals.push(pair.theirs);
        }
        println!("| {} | {} | {} |", case.name, show(median(rivals)), cells.join(" | "));
    }
    println!();
    Ok(())
}

fn memory(python: &Path, folder: &Path) -> Result<()> {
    println!("memory of the process alone (RssAnon) above its start, in MiB, by sessions that each ran once");
    println!("| model, file | engine | 1 | 4 | 8 |");
    println!("|---|---|---|---|---|");
    for name in HELD {
        for engine in ENGINES {
            let mut child = Command::new(std::env::current_exe()?);
            let status = child.arg(CHILD).arg(folder).args([name, engine]).status()?;
            ensure!(status.success(), "looking at `{name}` in {engine} failed");
        }
        for (how, told) in [("shared", "Python, one session, shared"), ("each", "Python, a session each")] {
            let mut cells = Vec::new();
            for count in SESSIONS {
                // A process of its own: what one left is not another's.
                let mut rival = Rival::start(python, folder, 1, "awake")?;
                rival.choose(name)?;
                cells.push(mib(rival.memory(count, how)?));
            }
            println!("| | {told} | {} |", cells.join(" | "));
        }
    }
    println!();
    Ok(())
}

/// Prints the row of one model and engine: `FOLDER CASE ENGINE`; with a number of sessions
/// behind them, what these take.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [folder, name, engine, rest @ ..] = arguments else {
        bail!("`{CHILD}` takes a folder, a case and an engine")
    };
    let path = Path::new(folder);
    let case = read(path)?.into_iter().find(|case| case.name == *name).context("there is no such case")?;
    if let [count] = rest {
        println!("{}", held(path, &case, engine, count.parse()?)?);
        return Ok(());
    }
    let mut cells = Vec::new();
    for count in SESSIONS {
        let mut child = Command::new(std::env::current_exe()?);
        let output = child.arg(CHILD).args([folder, name, engine, &count.to_string()]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        cells.push(mib(String::from_utf8(output.stdout)?.trim().parse()?));
    }
    let size = std::fs::metadata(path.join(&case.file))?.len();
    println!("| {name}, {} MiB | samara, {engine} | {} |", mib(size), cells.join(" | "));
    Ok(())
}

fn held(folder: &Path, case: &Case, engine: &str, count: usize) -> Result<u64> {
    let library = samara_test::onnxruntime_library().context("there is no onnxruntime")?;
    let backends = backends(&library);
    let (source, inputs) = (source(folder, case)?, inputs(folder, case)?);
    let inputs: Vec<Tensor> = inputs.into_iter().map(|(_, tensor)| tensor).collect();
    let before = Memory::now()?;
    let model = load(&backends, &source, &Choice::from(engine))?;
    let mut sessions = (0..count).map(|_| Ok(model.session()?)).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let running: Vec<_> = sessions
            .iter_mut()
            .map(|session| scope.spawn(|| session.run(&inputs, &RunContext::default()).map(drop)))
            .collect();
        for thread in running {
            thread.join().map_err(|_| anyhow!("a run panicked"))??;
        }
        anyhow::Ok(())
    })?;
    Ok(Memory::now()?.own.saturating_sub(before.own))
}

fn load(backends: &BackendRegistry, source: &ModelSource, choice: &Choice) -> Result<Arc<dyn Model>> {
    let (_, model) = backends.load(source, choice, &LoadOptions::default())?;
    Ok(model)
}

fn backends(library: &Path) -> BackendRegistry {
    let options =
        RegistryOptions { onnxruntime_libraries: vec![library.to_owned()], ..RegistryOptions::default() };
    samara_backends::registry(&options)
}

fn source(folder: &Path, case: &Case) -> Result<ModelSource> {
    let bytes = std::fs::read(folder.join(&case.file))?;
    Ok(ModelSource {
        name: case.name.clone(),
        identity: sha256(&bytes),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: Beside::Nothing,
    })
}

fn inputs(folder: &Path, case: &Case) -> Result<Vec<(String, Tensor)>> {
    let read = |input: &Input| -> Result<(String, Tensor)> {
        let datatype = input.datatype.parse::<Datatype>()?;
        let bytes = std::fs::read(folder.join(&input.file))?;
        Ok((input.name.clone(), Tensor::new(datatype, input.shape.clone(), bytes)?))
    };
    case.inputs.iter().map(read).collect()
}
