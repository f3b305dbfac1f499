//! `examples/embed-text`: a function with its tokeniser and pooling in a component, by
//! either engine, against the same in Python on as many threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samara_engine::{
    CallOptions, Function, FunctionSource, Grants, GuestOutput, Host, HostOptions, Limits, ModelRequest,
    Reuse, StageSource, sha256,
};
use samara_nn::{Choice, Compute, Format, LoadOptions, ModelSource, Pool, Tensor};

use crate::process::root;
use crate::rival::Answering;
use crate::stats::{Pair, show};

/// Sentences in a call, and rounds.
const BATCHES: [(usize, usize); 2] = [(1, 51), (32, 11)];

/// Of about twenty tokens each, as questions to a search are; no two have equal lengths.
const WORDS: &str =
    "the kitten that sat outside in a yard next to our neighbour's garden looked at seven dogs";

pub(crate) fn run() -> Result<()> {
    let (Some(library), Some(python)) = (samara_test::onnxruntime_library(), samara_test::python()) else {
        return Ok(());
    };
    let folder = root().join("examples/embed-text");
    let Some(model) = samara_test::fixture(folder.join("minilm.onnx")) else { return Ok(()) };
    let model = std::fs::read(model)?;
    let component = std::fs::read(folder.join("target/wasm32-wasip2/release/embed_text.wasm"))
        .context("the example is not built; `cargo xtask guests` builds it")?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("embed-text, {threads} threads, against Python with tokenizers and onnxruntime");
    println!("| sentences, engine | samara | Python | Python's time for 1 of ours |");
    println!("|---|---|---|---|");
    for engine in ["onnxruntime", "tract"] {
        let ours = Embedder::load(engine, &library, &component, &model, threads)?;
        let mut theirs = Rival::start(&python, threads)?;
        for (count, rounds) in BATCHES {
            let sentences = sentences(count);
            let pair = Pair::measure(rounds, || ours.embed(&sentences), || theirs.embed(&sentences))?;
            let ratio = pair.times_faster();
            println!("| {count}, {engine} | {} | {} | {ratio:.2} |", show(pair.ours), show(pair.theirs));
        }
    }
    println!();
    Ok(())
}

fn sentences(count: usize) -> Vec<String> {
    let words: Vec<&str> = WORDS.split(' ').collect();
    // Longer by a word from one to the next, and again from the shortest.
    (0..count).map(|number| words[..words.len() - number % 8].join(" ")).collect()
}

/// The function on an engine, in a fresh instance per call.
struct Embedder {
    function: Function,
    runtime: tokio::runtime::Runtime,
}

impl Embedder {
    fn load(
        engine: &str,
        library: &std::path::Path,
        component: &[u8],
        model: &[u8],
        threads: usize,
    ) -> Result<Self> {
        let options = samara_backends::RegistryOptions {
            onnxruntime_libraries: vec![library.to_owned()],
            ..samara_backends::RegistryOptions::default()
        };
        let compute = Arc::new(Compute::new(threads, 64));
        let models = Arc::new(Pool::new(samara_backends::registry(&options), compute));
        let host =
            Host::new(HostOptions { code_cache: None, code_cache_read_only: false, models, instances: 4 })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stage = StageSource::Component {
            name: "embed-text".to_owned(),
            bytes: component.to_vec().into(),
            rename: BTreeMap::new(),
        };
        let source = FunctionSource {
            name: "embed-text".to_owned(),
            stages: vec![stage],
            models: BTreeMap::from([("minilm".to_owned(), request(engine, model, threads))]),
            limits: Limits { deadline: Duration::from_secs(600), ..Limits::default() },
            grants: Grants::default(),
            reuse: Reuse::Never,
            output: GuestOutput::Discard,
        };
        let function = runtime.block_on(Function::load(&host, source))?;
        Ok(Self { function, runtime })
    }

    fn embed(&self, sentences: &[String]) -> Result<()> {
        let text = Tensor::from_elements([sentences.len()], sentences)?;
        let call = self.function.infer(vec![("text".to_owned(), text)], CallOptions::default());
        self.runtime.block_on(call)?;
        Ok(())
    }
}

fn request(engine: &str, model: &[u8], threads: usize) -> ModelRequest {
    let source = ModelSource {
        name: "minilm".to_owned(),
        identity: sha256(model),
        format: Format::Onnx,
        bytes: model.to_vec().into(),
        beside: samara_nn::Beside::Nothing,
    };
    let options = LoadOptions { threads, ..LoadOptions::default() };
    ModelRequest { source, choice: Choice::from(engine), options, batch: None }
}

/// `rival_text.py`.
struct Rival(Answering);

impl Rival {
    fn start(python: &std::path::Path, threads: usize) -> Result<Self> {
        Answering::start(python, "rival_text.py", &[&threads.to_string()]).map(Self)
    }

    fn embed(&mut self, sentences: &[String]) -> Result<()> {
        let answer = self.0.ask(&sentences.join("\t"))?;
        ensure!(answer == sentences.len().to_string(), "the rival said {answer:?}");
        Ok(())
    }
}
