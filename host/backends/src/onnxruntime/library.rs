//! Finding and loading the ONNX Runtime library: once per process, since the
//! library and its environment are global.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ort::environment::Environment;
use ort::logging::LogLevel;

use super::arena::Arena;
use crate::sought::{OfProcess, Sought};

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
        let load = |path: &Path| load(path, self.memory_limit);
        let answer = self.answer.get_or_init(|| LOADED.get(&SOUGHT.locate(&self.candidates)?, load));
        answer.as_ref().map_err(String::clone)
    }
}

/// The library that this process has loaded.
static LOADED: OfProcess<Loaded> = OfProcess::new();

const SOUGHT: Sought = Sought { stem: "onnxruntime", called: "the ONNX Runtime library", advice: ADVICE };

const ADVICE: &str = "`samara backends add onnxruntime --from WHEEL` puts it there: `pip download --no-deps onnxruntime` fetches the wheel; or set `SAMARA_ONNXRUNTIME` to its path";

fn load(path: &Path, memory_limit: Option<u64>) -> Result<Loaded, String> {
    let version = version(path)?;
    let loaded = std::panic::catch_unwind(|| start(path, memory_limit)).unwrap_or_else(|_| {
        Err(format!("`{}` (version {version}) does not behave like ONNX Runtime", path.display()))
    });
    let (environment, arena) = loaded?;
    Ok(Loaded { environment, arena, version, path: path.to_owned() })
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
    check_version(&version).map_err(|reason| format!("`{shown}` is ONNX Runtime {version}, {reason}"))?;
    // SAFETY: as above; the function takes any number and gives null for those that
    // the library is too old for.
    if unsafe { ((*base).GetApi)(ort::MINOR_VERSION) }.is_null() {
        return Err(format!(
            "`{shown}` calls itself ONNX Runtime {version} and lacks the interface 1.{}; {ADVICE}",
            ort::MINOR_VERSION
        ));
    }
    Ok(version)
}

/// Whether a library of this version has the interface that this program is made for.
///
/// # Errors
/// In words that go on after the version.
fn check_version(version: &str) -> Result<(), String> {
    let needed = ort::MINOR_VERSION;
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(1), Some(minor)) if minor >= needed => Ok(()),
        (Some(0 | 1), Some(_)) => Err(format!("which is too old: at least 1.{needed} is needed; {ADVICE}")),
        _ => Err(format!("which is not known: 1.{needed} or a later 1 is needed; {ADVICE}")),
    }
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
                && reason.contains("`samara backends add onnxruntime --from WHEEL`"),
            "{reason}"
        );
    }

    /// Compiles a library that says it is ONNX Runtime of this version, and has no
    /// interface.
    #[cfg(target_os = "linux")]
    fn compile(directory: &Path, version: &str) -> PathBuf {
        let code = format!(
            "static const void *api(unsigned v) {{ return 0; }}\n\
             static const char *version(void) {{ return \"{version}\"; }}\n\
             static const struct {{ const void *(*api)(unsigned); const char *(*version)(void); }} base = {{ api, version }};\n\
             const void *OrtGetApiBase(void) {{ return &base; }}\n"
        );
        let (source, library) = (directory.join("ort.c"), directory.join("libonnxruntime.so"));
        std::fs::write(&source, code).unwrap();
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = std::process::Command::new(compiler);
        command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        assert!(command.status().unwrap().success());
        library
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn libraries_of_other_versions_are_refused_with_both_versions() {
        let needed = format!("1.{}", ort::MINOR_VERSION);
        for (claimed, words) in [
            ("1.17.3", "ONNX Runtime 1.17.3, which is too old"),
            ("2.40.0", "ONNX Runtime 2.40.0, which is not known"),
            ("nightly", "ONNX Runtime nightly, which is not known"),
            ("1.999.0", "calls itself ONNX Runtime 1.999.0 and lacks the interface"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let library = compile(directory.path(), claimed);
            let reason = Library::new(vec![library.clone()], None).get().err().unwrap();
            let path = library.display().to_string();
            for part in [words, &needed, &path, "`samara backends add onnxruntime --from WHEEL`"] {
                assert!(reason.contains(part), "{reason} lacks {part}");
            }
        }
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
