//! `samara doctor`: checks this machine, a line per check, with what to do.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use samara_nn::Probe;
use serde_json::{Value, json};

use crate::compose::{self, LITERT_VARIABLE, ONNXRUNTIME_VARIABLE};
use crate::error::Outcome;
use crate::printer::{GREEN, Printer, RED, YELLOW};
use crate::project::{WASM_TARGET, has_wasm_target};
use crate::settings::Settings;

/// What a check found.
struct Finding {
    check: &'static str,
    state: State,
    found: String,
    /// What to do about it.
    advice: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// Something that not everybody needs is missing.
    Warn,
    /// samara cannot do its work.
    Fail,
}

pub(crate) fn run(settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let mut findings = vec![store(settings), code_cache(settings), cargo(), wasm_target()];
    findings.extend(backends(settings));
    findings.push(cpu());
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    if printer.is_json() {
        let checks: Vec<Value> = findings.iter().map(Finding::as_json).collect();
        printer.json(&json!({ "ok": !failed, "checks": checks }))?;
    } else {
        let text: String = findings.iter().map(Finding::as_text).collect();
        printer.data(&text)?;
    }
    Ok(if failed { Outcome::Failed } else { Outcome::Done })
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Fail, found: found.into(), advice: Some(advice.into()) }
    }

    fn as_text(&self) -> String {
        let (style, word) = match self.state {
            State::Ok => (GREEN, "ok"),
            State::Warn => (YELLOW, "warn"),
            State::Fail => (RED, "fail"),
        };
        let advice =
            self.advice.iter().map(|advice| format!("{:5}{:13}{advice}\n", "", "")).collect::<String>();
        format!("{style}{word:<4}{style:#} {:<12} {}\n{advice}", self.check, self.found)
    }

    fn as_json(&self) -> Value {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        json!({ "check": self.check, "state": state, "found": self.found, "advice": self.advice })
    }
}

fn store(settings: &Settings) -> Finding {
    let Some(store) = &settings.store else {
        return Finding::fail(
            "store",
            "no data directory is known for this user",
            "name a folder with `--store DIR` or `SAMARA_STORE`",
        );
    };
    let root = store.root();
    match write_in(root) {
        Ok(()) => Finding::ok("store", format!("`{}` can be written", root.display())),
        Err(error) => Finding::fail(
            "store",
            format!("`{}` cannot be written: {error}", root.display()),
            "make it writable, or name another folder with `--store DIR` or `SAMARA_STORE`",
        ),
    }
}

/// Makes the folder and a file in it that is gone at once.
fn write_in(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    std::fs::write(&probe, "")?;
    std::fs::remove_file(&probe)
}

fn code_cache(settings: &Settings) -> Finding {
    let Some(folder) = settings.store.as_ref().map(|store| store.code()) else {
        return Finding::warn("code cache", "there is none, so every run compiles", "see `store` above");
    };
    let (files, bytes) = contents(&folder);
    Finding::ok(
        "code cache",
        format!("{files} files, {:.1} MiB in `{}`", bytes as f64 / 1_048_576.0, folder.display()),
    )
}

/// How many files a folder holds, at any depth, and their bytes.
fn contents(folder: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.fold((0, 0), |(files, bytes), entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let inside = contents(&entry.path());
            (files + inside.0, bytes + inside.1)
        }
        Ok(metadata) => (files + 1, bytes + metadata.len()),
        Err(_) => (files, bytes),
    })
}

fn cargo() -> Finding {
    match Command::new("cargo").arg("--version").output() {
        Ok(output) if output.status.success() => {
            Finding::ok("cargo", String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Finding::warn(
            "cargo",
            "it does not run here; only building functions in Rust needs it",
            "install Rust, see https://rustup.rs",
        ),
    }
}

fn wasm_target() -> Finding {
    match has_wasm_target(Path::new(".")) {
        Some(true) => Finding::ok("wasm target", format!("`{WASM_TARGET}` is installed")),
        Some(false) => Finding::warn(
            "wasm target",
            format!("`{WASM_TARGET}` is not installed; only building functions in Rust needs it"),
            format!("add it with `rustup target add {WASM_TARGET}`"),
        ),
        None => {
            Finding::warn("wasm target", "there is no `rustc` to ask", "install Rust, see https://rustup.rs")
        }
    }
}

fn backends(settings: &Settings) -> Vec<Finding> {
    let registry = compose::registry(settings);
    let mut findings: Vec<Finding> = registry
        .iter()
        .map(|backend| match backend.probe() {
            Probe::Available { version, origin, .. } => {
                Finding::ok(backend.name(), format!("{version}, {origin}"))
            }
            Probe::Unavailable { reason } => {
                Finding::warn(backend.name(), reason, library_advice(settings, backend.name()))
            }
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::warn(
            "backends",
            "this build has none, so no model can run",
            "build samara with `--features tract` or `--features onnxruntime`",
        ));
    }
    findings
}

fn library_advice(settings: &Settings, backend: &str) -> String {
    let (need, package, variable) = match backend {
        "onnxruntime" => ("only speed needs it", "onnxruntime", ONNXRUNTIME_VARIABLE),
        "litert" => ("only TFLite models need it", "ai-edge-litert", LITERT_VARIABLE),
        _ => return "see `samara backends`".to_owned(),
    };
    let stored = match settings.store {
        Some(_) => format!(
            "`samara backends add {backend} --from WHEEL` takes it from the PyPI package `{package}`, or "
        ),
        None => String::new(),
    };
    format!("{need}; {stored}name the library's file with `{variable}`")
}

fn cpu() -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let features = cpu_features();
    Finding::ok("cpu", format!("{} with {threads} threads{features}", std::env::consts::ARCH))
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> String {
    let known = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
    ];
    list(&known)
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> String {
    let known = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    list(&known)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> String {
    String::new()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn list(known: &[(&str, bool)]) -> String {
    let there: Vec<&str> = known.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    if there.is_empty() { String::new() } else { format!(", {}", there.join(", ")) }
}
