//! What a server does under more load than it can bear, while its functions
//! change, and over a long life: not timings, but promises that are checked. One
//! that does not hold fails the run.

mod cycles;
mod overload;
mod swaps;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samara_test::client::Client;
use samara_test::server::Server;

use crate::large;

/// A server that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs all of it: `SAMARA_STRESS_SECONDS` (60) of overload, 50 swaps, and
/// `SAMARA_STRESS_CYCLES` (10,000) loads of each kind of function.
pub(crate) fn run() -> Result<()> {
    let seconds = number("SAMARA_STRESS_SECONDS", 60)?;
    let cycles = number("SAMARA_STRESS_CYCLES", 10_000)?;
    let broken: Vec<String> = [overload::run(seconds), swaps::run(), cycles::run(cycles)]
        .into_iter()
        .filter_map(|outcome| outcome.err().map(|error| format!("{error:#}")))
        .collect();
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is {text:?}, not a number")),
        Err(_) => Ok(default),
    }
}

/// Starts `samara serve` in a folder that has all it needs.
fn start(folder: &Path, arguments: &[&str]) -> Result<Server> {
    let mut command = large::samara(&folder.join("store"))?;
    command.current_dir(folder);
    Ok(Server::start(command.arg("serve").args(arguments)))
}

/// Memory of a process that is in RAM, in KiB.
fn resident_kib(server: &Server) -> Result<u64> {
    let path = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// A request with one row.
fn request(input: &str, row: &[f32]) -> String {
    let data: Vec<String> = row.iter().map(f32::to_string).collect();
    let (width, data) = (row.len(), data.join(","));
    format!(r#"{{"inputs":[{{"name":"{input}","datatype":"FP32","shape":[1,{width}],"data":[{data}]}}]}}"#)
}

/// One request on a connection of its own, which has to be answered well.
fn post(server: &Server, path: &str, body: &str) -> Result<String> {
    let mut client = connect(server.address()).context("the server takes no connection")?;
    let answer = client.post(path, body)?.with_context(|| format!("{path} is not answered"))?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
    Ok(answer.body)
}

/// A connection, `None` where nobody listens.
fn connect(address: &str) -> Option<Client> {
    Client::connect(address, PATIENCE)
}

/// The numbers of the last `data` of an answer.
fn numbers(body: &str) -> Option<Vec<f32>> {
    let (_, data) = body.rsplit_once("\"data\":[")?;
    let (data, _) = data.split_once(']')?;
    data.split(',').map(|number| number.trim().parse().ok()).collect()
}
