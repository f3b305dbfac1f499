//! Where functions come from: what the composition root implements.

use std::collections::BTreeMap;
use std::sync::Arc;

use samara_engine::FunctionSource;
use samara_nn::{NamedTensor, Signature};

use crate::config::FunctionConfig;

/// Reads what a user names: an image, a folder, a file.
pub trait Source: Send + Sync {
    /// Reads one function, as it stands now. Blocks: files, the network.
    ///
    /// # Errors
    /// In words for the user, hints included.
    fn open(&self, function: &FunctionConfig) -> Result<Loadable, String>;
}

/// A function that was read and not loaded yet.
pub struct Loadable {
    pub source: FunctionSource,
    /// Empty where the function has none; it is then served as version `1`.
    pub version: String,
    /// The digest of its image, where it comes from one.
    pub digest: Option<String>,
    pub description: Option<String>,
    pub tests: Vec<TestCase>,
    /// Per output, the words for its indices.
    pub labels: BTreeMap<String, Vec<String>>,
}

/// Inputs that come with a function.
#[derive(Clone)]
pub struct TestCase {
    pub name: String,
    /// Reads the inputs for a signature; errors are words for the user.
    pub inputs: Arc<ReadInputs>,
}

/// Reads the inputs of a test case.
pub type ReadInputs = dyn Fn(&Signature) -> Result<Vec<NamedTensor>, String> + Send + Sync;

impl std::fmt::Debug for TestCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestCase").field("name", &self.name).finish_non_exhaustive()
    }
}
