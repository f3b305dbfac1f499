//! Loading a component: compiled anew against mapped from the cache.

use anyhow::{Context, Result};
use samara_engine::Reuse;

use crate::function::{Bench, guest};
use crate::stats::{Pair, show};

pub(crate) fn run() -> Result<()> {
    println!("loading a component, signature read");
    println!("| component | size | from the cache | compiled | faster |");
    println!("|---|---|---|---|---|");
    for (name, bytes) in [("a small function", guest("function_echo")?), ("digits' decoder", decoder()?)] {
        let folder = tempfile::tempdir()?;
        let cached = Bench::new(Some(folder.path().into()), 16, 1)?;
        let uncached = Bench::new(None, 16, 1)?;
        let pair = Pair::measure(
            15,
            || cached.load(&bytes, None, Reuse::Never).map(drop),
            || uncached.load(&bytes, None, Reuse::Never).map(drop),
        )?;
        let kilobytes = bytes.len() / 1000;
        let (ours, theirs) = (show(pair.ours), show(pair.theirs));
        println!("| {name} | {kilobytes} kB | {ours} | {theirs} | {:.0}x |", pair.times_faster());
    }
    println!();
    Ok(())
}

fn decoder() -> Result<Vec<u8>> {
    let path = crate::process::root().join("examples/digits/target/wasm32-wasip2/release/decode.wasm");
    std::fs::read(&path).with_context(|| format!("{} is missing; run `cargo xtask guests`", path.display()))
}
