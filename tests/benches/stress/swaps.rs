//! A function that is swapped again and again, and a server that is ended,
//! while clients ask.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use samara_test::onnx::{FP32, Model};

use super::{connect, numbers, post, request, start};

const SWAPS: usize = 50;
const CLIENTS: usize = 8;

/// What one client saw.
#[derive(Default)]
struct Seen {
    answered: u64,
    /// Answers of each of the two versions.
    of: [u64; 2],
    /// Requests on a connection that the server closed meanwhile, unanswered.
    closed: u64,
}

pub(super) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("times.onnx");
    // A file is replaced whole, as careful people do.
    let put = |factor: f32| -> Result<()> {
        let new = folder.path().join("new");
        std::fs::write(&new, times(factor))?;
        Ok(std::fs::rename(&new, &path)?)
    };
    put(2.0)?;
    let server = start(folder.path(), &["times=times.onnx", "--drain-delay", "500ms"])?;
    let address = server.address().to_owned();
    let is_leaving = AtomicBool::new(false);
    let (all, ended) = std::thread::scope(|scope| -> Result<_> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let (address, is_leaving) = (&address, &is_leaving);
                scope.spawn(move || ask(address, seed, is_leaving))
            })
            .collect();
        for swap in 0..SWAPS {
            put([3.0, 2.0][swap % 2])?;
            post(&server, "/v2/repository/models/times/load", "")?;
        }
        is_leaving.store(true, Ordering::Relaxed);
        let ended = server.stop();
        let mut all = Seen::default();
        for client in clients {
            let one = client.join().unwrap_or_else(|_| bail!("a thread panicked"))?;
            all.answered += one.answered;
            all.closed += one.closed;
            (0..2).for_each(|version| all.of[version] += one.of[version]);
        }
        Ok((all, ended))
    })?;
    println!("{SWAPS} swaps and a SIGTERM under the load of {CLIENTS} connections");
    println!(
        "| answered, all right | by the one version | by the other | failed | closed unanswered at the end |"
    );
    println!("|---|---|---|---|---|");
    println!("| {} | {} | {} | 0 | {} |", all.answered, all.of[0], all.of[1], all.closed);
    println!();
    let (status, said) = ended;
    ensure!(status.success() && !said.contains("given up"), "the server ended badly, {status}: {said}");
    ensure!(all.of.iter().all(|&answers| answers > 0), "one version never answered");
    Ok(())
}

/// `y = factor x` for rows of four numbers.
fn times(factor: f32) -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["batch", "4"])
        .floats("factor", &[1], &[factor])
        .node("Mul", &["x", "factor"], &["y"])
        .output("y", FP32, &["batch", "4"])
        .bytes()
}

/// Asks until nobody listens any more.
fn ask(address: &str, seed: usize, is_leaving: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut number = seed as f32;
    loop {
        let Some(mut client) = connect(address) else {
            ensure!(is_leaving.load(Ordering::Relaxed), "the server takes no connections");
            return Ok(seen);
        };
        loop {
            number = (number + 1.0) % 1000.0;
            let Some(answer) = client.post("/v2/models/times/infer", &request("x", &[number; 4]))? else {
                ensure!(is_leaving.load(Ordering::Relaxed), "a request is not answered");
                seen.closed += 1;
                break;
            };
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            let found = numbers(&answer.body).context("no numbers")?;
            let version = [2.0, 3.0].iter().position(|factor| found == [factor * number; 4]);
            seen.of[version.with_context(|| format!("wrong for {number}: {found:?}"))?] += 1;
            seen.answered += 1;
            if !answer.goes_on {
                break;
            }
        }
    }
}
