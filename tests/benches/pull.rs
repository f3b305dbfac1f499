//! From a registry to the first answer of a model of 200 MB, against writing
//! its bytes to the same disk once.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use samara_package::image::Image;
use samara_package::{Digest, Store};
use samara_test::registry::{DockerRegistry, Setup};

use crate::large;
use crate::stats::{median, show};

const ROUNDS: usize = 7;
const BUDGET: f64 = 1.2;
/// More than any step needs.
const TOUCHED: usize = 2 << 30;

/// What is measured in turn.
type Step = fn(&Setting) -> Result<Duration>;

struct Setting {
    folder: tempfile::TempDir,
    registry: DockerRegistry,
    reference: String,
    /// The layer that holds the model, and its bytes.
    layer: Digest,
    bytes: Vec<u8>,
    onnxruntime: Option<PathBuf>,
}

pub(crate) fn run() -> Result<()> {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return Ok(()) };
    let setting = Setting::new(registry)?;
    let mut steps: Vec<(&str, Step)> = vec![
        ("its bytes written to a new file, and `fsync`", Setting::write),
        ("`samara pull`, empty store", Setting::pull),
        ("`samara run`, empty store: pull to first answer", Setting::pull_and_run),
        ("`samara run` from the store: load and first answer", Setting::run_again),
        ("its bytes read from the registry, and dropped", Setting::read_from_registry),
        ("its bytes hashed in memory", Setting::hash),
    ];
    if setting.onnxruntime.is_some() {
        let more: [(&str, Step); 2] = [
            ("the same run, empty store, by ONNX Runtime", Setting::pull_and_run_natively),
            ("the same run, from the store, by ONNX Runtime", Setting::run_again_natively),
        ];
        steps.splice(4..4, more);
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); steps.len()];
    for round in 0..=ROUNDS {
        for ((_, step), times) in steps.iter().zip(&mut times) {
            setting.settle()?;
            let time = step(&setting)?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    let times: Vec<Duration> = times.into_iter().map(median).collect();
    let rival = times[0];
    println!(
        "a model of {} MB and a registry on this machine, medians of {ROUNDS}; the budget of pull to first answer is {BUDGET}x",
        setting.bytes.len() / 1_000_000
    );
    println!("| what | time | ratio to writing |");
    println!("|---|---|---|");
    for ((name, _), time) in steps.iter().zip(times) {
        println!("| {name} | {} | {:.2}x |", show(time), time.as_secs_f64() / rival.as_secs_f64());
    }
    println!();
    Ok(())
}

impl Setting {
    /// Packs the function, pushes it, and keeps one store that has it.
    fn new(registry: DockerRegistry) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let model = large::write(folder.path(), "table", &large::table())?;
        let reference = format!("{}/table:1", registry.host());
        let kept = folder.path().join("kept");
        large::pack(&kept, &model, &reference)?;
        large::finish(large::samara(&kept)?.args(["push", &reference]))?;
        let store = Store::at(kept);
        let image = Image::open(&store, &store.resolve(&reference.parse()?)?)?;
        let layer = image.models().get("m").and_then(|model| model.layer);
        let layer = layer.context("the model has no layer of its own")?;
        let bytes = store.blob(&layer)?.bytes.to_vec();
        let onnxruntime = samara_test::onnxruntime_library();
        Ok(Self { folder, registry, reference, layer, bytes, onnxruntime })
    }

    /// Lets no step pay for another: what was written is on the disk, and the
    /// memory that is free first is memory that the machine has. (A virtual
    /// machine gets back slowly what its host took while it was free.)
    fn settle(&self) -> Result<()> {
        let mut memory = vec![0_u8; TOUCHED];
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        drop(std::hint::black_box(memory));
        self.write()?;
        large::finish(&mut Command::new("sync"))
    }

    fn write(&self) -> Result<Duration> {
        let path = self.folder.path().join("written");
        let started = Instant::now();
        let mut file = File::create(&path)?;
        file.write_all(&self.bytes)?;
        file.sync_all()?;
        let time = started.elapsed();
        std::fs::remove_file(path)?;
        Ok(time)
    }

    fn pull(&self) -> Result<Duration> {
        self.in_empty_store(&mut |command| command.args(["pull", &self.reference]))
    }

    fn pull_and_run(&self) -> Result<Duration> {
        self.in_empty_store(&mut |command| command.args(self.question()))
    }

    fn pull_and_run_natively(&self) -> Result<Duration> {
        self.in_empty_store(&mut |command| self.natively(command.args(self.question())))
    }

    fn run_again(&self) -> Result<Duration> {
        timed(large::samara(&self.kept())?.args(self.question()))
    }

    fn run_again_natively(&self) -> Result<Duration> {
        timed(self.natively(large::samara(&self.kept())?.args(self.question())))
    }

    /// What no client can be faster than.
    fn read_from_registry(&self) -> Result<Duration> {
        let host = self.registry.host();
        let started = Instant::now();
        let mut stream = TcpStream::connect(host)?;
        let request = format!("GET /v2/table/blobs/{} HTTP/1.0\r\nHost: {host}\r\n\r\n", self.layer);
        stream.write_all(request.as_bytes())?;
        let mut buffer = vec![0; 128 << 10];
        let mut total = 0;
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                count => total += count,
            }
        }
        let time = started.elapsed();
        ensure!(total >= self.bytes.len(), "the registry sent {total} bytes");
        Ok(time)
    }

    fn hash(&self) -> Result<Duration> {
        let started = Instant::now();
        let found = Digest::of(&self.bytes);
        let time = started.elapsed();
        ensure!(found == self.layer, "the layer is {found}");
        Ok(time)
    }

    fn in_empty_store(&self, work: &mut dyn FnMut(&mut Command) -> &mut Command) -> Result<Duration> {
        let store = self.folder.path().join("empty");
        let time = timed(work(&mut large::samara(&store)?))?;
        std::fs::remove_dir_all(store)?;
        Ok(time)
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    fn question(&self) -> [&str; 4] {
        ["run", &self.reference, "--input", "7"]
    }

    fn natively<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let library: &Path = self.onnxruntime.as_deref().unwrap_or(Path::new(""));
        command.args(["--backend", "onnxruntime"]).env("SAMARA_ONNXRUNTIME", library)
    }
}

fn timed(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    large::finish(command)?;
    Ok(started.elapsed())
}
