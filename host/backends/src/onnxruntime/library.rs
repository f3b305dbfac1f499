//! Finding and loading the ONNX Runtime library: once per process, since the
//! library and its environment are global.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use super::arena::Arena;
use crate::sought::Sought;

/// The library as one backend looks for it.
pub(super) struct Library {
    candidates: Vec<PathBuf>,
    memory_limit: Option<u64>,
    answer: OnceLock<Result<Loaded, String>>,
}

/// The library, loaded.
#[derive(Clone)]
pub(super) struct Loaded {
    pub environment: Environment,
    pub arena: Arena,
    pub version: String,
    pub path: PathBuf,
}

impl Library {
    pub(super) fn new(candidates: Vec<PathBuf>, memory_limit: Option<u64>) -> Self {
        Self { candidates, memory_limit, answer: OnceLock::new() }
    }

    /// Loads the library, or says why that cannot be and what to do.
    pub(super) fn get(&self) -> Result<&Loaded, String> {
        let answer = self.answer.get_or_init(|| load(&SOUGHT.locate(&self.candidates)?, self.memory_limit));
        answer.as_ref().map_err(String::clone)
    }
}

/// The library that this process has loaded.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

const SOUGHT: Sought = Sought { stem: "onnxruntime", called: "the ONNX Runtime library", advice: ADVICE };

const ADVICE: &str = "the PyPI package `onnxruntime` carries it in `onnxruntime/capi`; copy it to one of these places, or set `SAMARA_ONNXRUNTIME` to its path";

fn load(path: &Path, memory_limit: Option<u64>) -> Result<Loaded, String> {
    let path = match path.canonicalize() {
        // In a folder that is open and has no name here.
        Err(_) if path.is_file() => path.to_owned(),
        path_or_error => {
            path_or_error.map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?
        }
    };
    let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*slot {
        if loaded.path == path {
            return Ok(loaded.clone());
        }
        return Err(format!(
            "this process has loaded `{}` already and cannot load `{}` too",
            loaded.path.display(),
            path.display()
        ));
    }
    let version = version(&path)?;
    let loaded = std::panic::catch_unwind(|| start(&path, memory_limit)).unwrap_or_else(|_| {
        Err(format!("`{}` (version {version}) does not behave like ONNX Runtime", path.display()))
    });
    let (environment, arena) = loaded?;
    let loaded = Loaded { environment, arena, version, path };
    *slot = Some(loaded.clone());
    Ok(loaded)
}

/// Asks the library for its version before anything relies on it.
fn version(path: &Path) -> Result<String, String> {
    let shown = path.display();
    // SAFETY: loading a library runs its initialisers; the file is one that the
    // host's owner put where the library is looked for.
    let library = unsafe { libloading::Library::new(path) }
        .map_err(|error| format!("`{shown}` cannot be loaded: {error}"))?;
    type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: `OrtGetApiBase` has had this type since the library's first version.
    let base = unsafe { library.get::<GetApiBase>(b"OrtGetApiBase") }
        .map_err(|_| format!("`{shown}` is not the ONNX Runtime library: it lacks `OrtGetApiBase`"))?;
    // SAFETY: the function takes nothing and returns a static or null.
    let base = unsafe { base() };
    if base.is_null() {
        return Err(format!("`{shown}` is not the ONNX Runtime library: `OrtGetApiBase` gives nothing"));
    }
    // SAFETY: `base` is the library's static table, which it keeps while loaded,
    // and the version a static string with a closing zero.
    let version = unsafe { CStr::from_ptr(((*base).GetVersionString)()) };
    let version = version.to_string_lossy().into_owned();
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < ort::MINOR_VERSION) {
        return Err(format!(
            "`{shown}` is ONNX Runtime {version}, and at least 1.{} is needed; {ADVICE}",
            ort::MINOR_VERSION
        ));
    }
    Ok(version)
}

fn start(path: &Path, memory_limit: Option<u64>) -> Result<(Environment, Arena), String> {
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    // What goes wrong is in the errors that calls return; the library's own log
    // would only repeat it on stderr.
    let silent = Arc::new(|_: LogLevel, _: &str, _: &str, _: &str, _: &str| {});
    let environment = builder.with_name("samara").with_telemetry(false).with_logger(silent).build();
    let fails = |error: ort::Error| format!("`{}` does not start: {}", path.display(), error.message());
    let environment = environment.map_err(fails)?;
    environment.set_log_level(LogLevel::Error);
    let arena = Arena::new(&environment, memory_limit).map_err(fails)?;
    Ok((environment, arena))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_an_answer_that_says_where_it_was_looked_for() {
        let reason = Library::new(vec!["/nowhere/x.so".into()], None).get().err().unwrap();
        assert!(
            reason.contains("`/nowhere/x.so`")
                && reason.contains("the PyPI package `onnxruntime` carries it"),
            "{reason}"
        );
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("libonnxruntime.so");
        std::fs::write(&path, "not a library").unwrap();
        let reason = Library::new(vec![path], None).get().err().unwrap();
        assert!(reason.contains("cannot be loaded"), "{reason}");
    }
}
