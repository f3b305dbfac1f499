//! Functions that are loaded and unloaded over and over: memory comes back.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use samara_test::client::Client;
use samara_test::onnx::ready;
use samara_test::server::Server;

use super::{connect, request, resident_kib, start};

/// After which the server has all that it ever needs.
const WARM_UP: u64 = 200;
/// Memory is looked at so many times.
const LOOKS: u64 = 10;

/// What is loaded: its name here, its input, and how it is served.
const KINDS: [(&str, &str, &[&str]); 2] = [
    ("a model", "x", &["it=model.onnx"]),
    ("a component with a model", "features", &["it=guest.wasm", "--model", "iris=iris.onnx"]),
];

pub(super) fn run(cycles: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("model.onnx"), ready::double())?;
    std::fs::write(folder.path().join("iris.onnx"), ready::classifier())?;
    std::fs::copy(samara_test::guest("function_iris"), folder.path().join("guest.wasm"))?;
    println!("{cycles} times loaded, called and unloaded, after {WARM_UP} for a start");
    println!("| function | cycles/s | RSS at the start | every tenth | at the end | change |");
    println!("|---|---|---|---|---|---|");
    let mut grown = Vec::new();
    for (name, input, arguments) in KINDS {
        let server = start(folder.path(), arguments)?;
        let started = Instant::now();
        let memory = measure(&server, &request(input, &[1.0, 2.0, 3.0, 4.0]), cycles)?;
        let per_second = (cycles + WARM_UP) as f64 / started.elapsed().as_secs_f64();
        let (first, last) = (memory[0], memory[memory.len() - 1]);
        let change = last as f64 / first as f64 - 1.0;
        let all: Vec<String> = memory.iter().map(u64::to_string).collect();
        println!(
            "| {name} | {per_second:.0} | {first} KiB | {} | {last} KiB | {:+.1} % |",
            all.join(", "),
            100.0 * change
        );
        if change > 0.05 {
            grown.push(format!("{name}: {:+.1} %", 100.0 * change));
        }
    }
    println!();
    ensure!(grown.is_empty(), "memory does not come back: {}", grown.join(", "));
    Ok(())
}

fn measure(server: &Server, body: &str, cycles: u64) -> Result<Vec<u64>> {
    let mut client = connect(server.address()).context("no connection")?;
    let mut run = |count: u64| (0..count).try_for_each(|_| cycle(&mut client, body));
    run(WARM_UP)?;
    let mut memory = vec![resident_kib(server)?];
    for look in 0..LOOKS {
        run(cycles * (look + 1) / LOOKS - cycles * look / LOOKS)?;
        memory.push(resident_kib(server)?);
    }
    Ok(memory)
}

fn cycle(client: &mut Client, body: &str) -> Result<()> {
    let mut post = |path: &str, body: &str| -> Result<()> {
        let answer = client.post(path, body)?.context("closed")?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        Ok(())
    };
    post("/v2/repository/models/it/unload", "")?;
    post("/v2/repository/models/it/load", "")?;
    post("/v2/models/it/infer", body)
}
