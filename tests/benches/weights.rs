//! Whose memory the weights of an image are in: before an engine has them, and
//! after each engine has loaded them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use samara_backends::RegistryOptions;
use samara_nn::{Choice, Compute, Format, LoadOptions, ModelSource, Pool, RunContext, Tensor};
use samara_package::image::Image;
use samara_package::{Digest, Store};

use crate::large;

/// The name by which this program is started to look at its own memory.
pub(crate) const CHILD: &str = "weights-of";

pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store");
    println!("memory of a process that opens an image with a model of 200 MB, in MiB above its start:");
    println!("its own (anonymous) + mapped from the store (which the system can take back)");
    println!(
        "| model | engine | image opened | every byte read | loaded | first answer | at most, own and mapped |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, model) in [("table", large::table as fn() -> Vec<u8>), ("product", large::product)] {
        large::pack(&store, &large::write(folder.path(), name, &model())?, name)?;
        for engine in ["tract", "onnxruntime"] {
            if engine == "onnxruntime" && samara_test::onnxruntime_library().is_none() {
                continue;
            }
            // A process of its own: what one engine leaves is not another's.
            let mut child = Command::new(std::env::current_exe()?);
            let status = child.arg(CHILD).arg(&store).args([name, engine]).status()?;
            ensure!(status.success(), "looking at `{name}` in {engine} failed");
        }
    }
    println!();
    Ok(())
}

/// Prints the row of one model and engine.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [store, name, engine] = arguments else { bail!("`{CHILD}` takes a store, an image and an engine") };
    let threads = std::thread::available_parallelism()?.get();
    let compute = Arc::new(Compute::new(threads, 16));
    let options = RegistryOptions {
        onnxruntime_libraries: samara_test::onnxruntime_library().into_iter().collect(),
        ..RegistryOptions::default()
    };
    let pool = Pool::new(samara_backends::registry(&options), compute);
    let start = Memory::now()?;

    let store = Store::at(PathBuf::from(store));
    let image = Image::open(&store, &store.resolve(&name.parse()?)?)?;
    let model = image.models().get("m").context("the image has no model")?.clone();
    let opened = Memory::now()?.above(start);

    let read = Digest::of(&model.bytes);
    let read_once = Memory::now()?.above(start);

    let source = ModelSource {
        name: name.clone(),
        identity: read.to_string(),
        format: Format::Onnx,
        bytes: model.bytes.clone(),
        beside: samara_nn::Beside::Nothing,
    };
    let resident = pool.acquire(&source, &Choice::Named(engine.clone()), &LoadOptions::default())?;
    drop(source);
    let loaded = Memory::now()?.above(start);

    resident.run_blocking(&[input(name)?], &RunContext::default())?;
    let answered = Memory::now()?.above(start);
    let peak = mib(Memory::peak()?.saturating_sub(start.own + start.mapped));
    println!("| {name} | {engine} | {opened} | {read_once} | {loaded} | {answered} | {peak} |");
    Ok(())
}

fn input(name: &str) -> Result<Tensor> {
    Ok(match name {
        "table" => Tensor::from_vec([1], vec![7_i64])?,
        _ => Tensor::from_vec([1, large::product_width()], vec![1_f32; large::product_width()])?,
    })
}

/// Memory of this process that is in RAM, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// That nothing but the process has.
    pub(crate) own: u64,
    /// Pages of files.
    mapped: u64,
}

impl Memory {
    pub(crate) fn now() -> Result<Self> {
        Ok(Self { own: status("RssAnon:")?, mapped: status("RssFile:")? })
    }

    fn peak() -> Result<u64> {
        status("VmHWM:")
    }

    fn above(self, start: Self) -> String {
        let (own, mapped) = (self.own.saturating_sub(start.own), self.mapped.saturating_sub(start.mapped));
        format!("{} + {}", mib(own), mib(mapped))
    }
}

fn status(key: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no such line")?;
    Ok(kibibytes.parse::<u64>()? << 10)
}

pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
