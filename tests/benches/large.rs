//! Functions that are one large model and nothing else, as folders and images.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use samara_test::onnx::{FP32, INT64, Model, raw};

/// How much 200 MB of weights are, as closely as each model comes.
const WEIGHT_BYTES: usize = 200_000_000;
/// Numbers in a row of the table.
const COLUMNS: usize = 1024;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Rows of a table by their numbers: the least that can be computed.
pub(crate) fn table() -> Vec<u8> {
    let rows = WEIGHT_BYTES / (4 * COLUMNS);
    Model::new()
        .input("row", INT64, &["rows"])
        .initializer(raw("table", FP32, &[rows as i64, COLUMNS as i64], random(rows * COLUMNS)))
        .node("Gather", &["table", "row"], &["y"])
        .output("y", FP32, &["rows", &COLUMNS.to_string()])
        .bytes()
}

/// One product with a square matrix, whose weights an engine rearranges.
pub(crate) fn product() -> Vec<u8> {
    let width = product_width();
    let size = width.to_string();
    Model::new()
        .input("x", FP32, &["rows", &size])
        .initializer(raw("w", FP32, &[width as i64, width as i64], random(width * width)))
        .node("MatMul", &["x", "w"], &["y"])
        .output("y", FP32, &["rows", &size])
        .bytes()
}

pub(crate) fn product_width() -> usize {
    (WEIGHT_BYTES / 4).isqrt()
}

/// Writes the folder of a function that is this model.
pub(crate) fn write(folder: &Path, name: &str, model: &[u8]) -> Result<PathBuf> {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("model.onnx"), model)?;
    let manifest =
        format!("[function]\nname = \"{name}\"\nversion = \"1.0.0\"\n\n[model.m]\npath = \"model.onnx\"\n");
    std::fs::write(folder.join("samara.toml"), manifest)?;
    Ok(folder)
}

/// Packs a folder into a store.
pub(crate) fn pack(store: &Path, folder: &Path, reference: &str) -> Result<()> {
    finish(samara(store)?.arg("pack").arg(folder).args(["-t", reference]))
}

/// The program that was built beside this one, with this store, and with no
/// policy of the user.
pub(crate) fn samara(store: &Path) -> Result<Command> {
    let path = std::env::current_exe()?.with_file_name("samara");
    ensure!(path.exists(), "{} is missing; run `cargo xtask bench`", path.display());
    let mut command = Command::new(path);
    command.env("SAMARA_STORE", store).env_remove("SAMARA_POLICY").env("XDG_CONFIG_HOME", store);
    Ok(command)
}

/// Runs a program that is to go well.
pub(crate) fn finish(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().context("cannot start a program")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {errors}");
    Ok(())
}

/// Numbers between -1 and 1 that nothing compresses, the same each time.
fn random(count: usize) -> Vec<u8> {
    let mut state = SEED;
    let mut bytes = Vec::with_capacity(4 * count);
    for _ in 0..count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let number = (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}
