//! Finding and loading the LiteRT library, and the environment that all models share.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::api::{Api, CPU, EnvironmentOption, Handle, OK};
use crate::sought::{OfProcess, Sought};

/// The library as one backend looks for it.
pub(super) struct Library {
    candidates: Vec<PathBuf>,
    answer: OnceLock<Result<Arc<Loaded>, String>>,
}

/// The library, loaded, with an environment.
pub(super) struct Loaded {
    pub api: Api,
    pub path: PathBuf,
    /// Whoever makes or ends something in it holds it.
    environment: Mutex<Environment>,
}

/// The library's environment.
#[derive(Clone, Copy)]
pub(super) struct Environment(pub Handle);

// SAFETY: the library ties an environment to no thread, and one thread at a time has it
// out of its mutex.
unsafe impl Send for Environment {}

pub(super) const ADVICE: &str = "`samara backends add litert --from WHEEL` puts it there: `pip download --no-deps ai-edge-litert` \
     fetches the wheel; or set `SAMARA_LITERT` to its path";

const SOUGHT: Sought = Sought { stem: "LiteRt", called: "the LiteRT library", advice: ADVICE };

/// The library that this process has loaded.
static LOADED: OfProcess<Arc<Loaded>> = OfProcess::new();

impl Library {
    pub(super) fn new(candidates: Vec<PathBuf>) -> Self {
        Self { candidates, answer: OnceLock::new() }
    }

    /// Loads the library, or says why that cannot be and what to do.
    pub(super) fn get(&self) -> Result<&Arc<Loaded>, String> {
        let answer = self.answer.get_or_init(|| LOADED.get(&SOUGHT.locate(&self.candidates)?, load));
        answer.as_ref().map_err(String::clone)
    }
}

impl Loaded {
    /// The environment, for as long as something is made or ended in it.
    pub(super) fn environment(&self) -> MutexGuard<'_, Environment> {
        self.environment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(path: &Path) -> Result<Arc<Loaded>, String> {
    let api = Api::load(path)?;
    let environment = Mutex::new(start(&api, path)?);
    Ok(Arc::new(Loaded { api, path: path.to_owned(), environment }))
}

fn start(api: &Api, path: &Path) -> Result<Environment, String> {
    let options = [EnvironmentOption::accelerators(i64::from(CPU)), EnvironmentOption::least_severity(4)];
    let mut environment: Handle = std::ptr::null_mut();
    // SAFETY: the options outlive the call, and as many are told as there are.
    let status =
        unsafe { (api.create_environment)(options.len() as c_int, options.as_ptr(), &raw mut environment) };
    if status != OK || environment.is_null() {
        return Err(format!("`{}` does not start: its status is {status}", path.display()));
    }
    Ok(Environment(environment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_an_answer_that_says_what_to_do() {
        let reason = Library::new(vec!["/nowhere/x.so".into()]).get().err().unwrap();
        let expected =
            "the LiteRT library is not at `/nowhere/x.so`; `samara backends add litert --from WHEEL`";
        assert!(reason.starts_with(expected), "{reason}");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("libLiteRt.so");
        std::fs::write(&path, "not a library").unwrap();
        let reason = Library::new(vec![directory.path().to_owned()]).get().err().unwrap();
        assert!(reason.contains("cannot be loaded"), "{reason}");
    }
}
