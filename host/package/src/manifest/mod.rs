//! The manifest `samara.toml`: parsed once into checked types.
//!
//! Every problem is an [`Error`] with file, line and column; an unknown key is
//! one that names the nearest known key of its section.

mod error;
pub(crate) mod reader;
mod sections;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::reference::Reference;
pub use error::{Error, ErrorKind, Place, Problem};

pub use values::{parse_duration, parse_function_name, parse_size};

/// The file name of a manifest.
pub const FILE_NAME: &str = "samara.toml";

/// What the path of a model in an image begins with.
pub const IMAGE_SCHEME: &str = "oci://";

/// A function as its author describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub function: Function,
    pub build: Option<Build>,
    /// By the name that a guest gives to `wasi:nn` `load-by-name`.
    pub models: BTreeMap<String, Model>,
    /// The steps of a pipeline, in order; empty where the function is one
    /// component or its model.
    pub stages: Vec<Stage>,
    pub limits: Limits,
    pub capabilities: Capabilities,
    /// Per output, the words for its indices: what a classifier's numbers mean.
    pub labels: BTreeMap<String, Vec<String>>,
    pub tests: Vec<TestCase>,
}

/// `[function]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// A semantic version; `0.1.0` where the manifest is silent.
    pub version: String,
    /// One line for people.
    pub description: Option<String>,
    /// Inside the function's folder. `None`: the function is its stages, or its
    /// only model.
    pub component: Option<PathBuf>,
    /// `None`: a fresh instance for every call.
    pub reuse: Option<Reuse>,
}

/// How long one instance may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// Calls after which the instance is replaced; at least 1.
    pub calls: u64,
}

/// `[build]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// A shell command, run in the function's folder.
    pub command: String,
}

/// `[model.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub path: ModelPath,
    /// `cpu`, `gpu`, `gpu:N` or `gpu-or-cpu`; checked. `cpu` by default.
    pub target: String,
    /// A backend's name, or `auto`, the default.
    pub backend: String,
    /// `None`: calls are merged only where that is known to change nothing.
    pub batch: Option<Batch>,
    /// Threads that one run may use; `None`: whoever runs it decides.
    pub threads: Option<usize>,
    /// The most runs side by side; `None`: whoever runs it decides.
    pub sessions: Option<usize>,
    /// Bytes of a GPU's memory that it may hold; `None`: whoever runs it decides.
    pub gpu_memory: Option<u64>,
    /// `exact` or `fp16`; checked. `exact` by default.
    pub precision: String,
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPath {
    /// Inside the function's folder.
    File(PathBuf),
    /// In an image or artifact: `oci://registry/repository:tag#part`.
    Image {
        reference: Reference,
        /// A model's name in an image of samara, or a file's path in a
        /// ModelPack artifact; `None`: the only model there.
        part: Option<String>,
    },
}

/// How rows of several callers may be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Rows in one run at most; at least 1, which keeps every call by itself.
    pub max: usize,
    /// How long a row may wait for company while the model runs for others;
    /// zero by default.
    pub delay: Duration,
}

/// `[[stage]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub name: String,
    pub run: StageRun,
    /// From the stage's own tensor names to the names in the pipeline.
    pub rename: BTreeMap<String, String>,
}

/// What a stage runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageRun {
    /// Inside the function's folder.
    Component(PathBuf),
    /// One of the manifest's models, by name.
    Model(String),
}

/// `[limits]`: what one instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, all memories together.
    pub memory: u64,
    /// Elements of tables, all tables together.
    pub table: u64,
    /// From the call to its answer.
    pub deadline: Duration,
    /// Bytes of tensors that the instance holds in the host at once.
    pub tensor_memory: u64,
    /// Bytes of output that one call may give.
    pub output: u64,
}

impl Limits {
    /// What holds where `[limits]` is silent: 256 MiB of memory, 20,000 table
    /// elements, 30 seconds, 256 MiB of tensors, 64 MiB of output.
    pub const DEFAULT: Limits = Limits {
        memory: 256 << 20,
        table: 20_000,
        deadline: Duration::from_secs(30),
        tensor_memory: 256 << 20,
        output: 64 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `[capabilities]`: what the function asks for. Nothing is granted unless
/// whoever runs it allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Hosts, with a port where it is not the scheme's own.
    pub http: Vec<String>,
    pub directories: Vec<Directory>,
    /// Names of environment variables.
    pub environment: Vec<String>,
}

/// A directory that the function asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// On the machine; a relative one starts at the function's folder.
    pub host: PathBuf,
    /// The absolute path under which the guest sees it.
    pub guest: String,
    /// `false` by default.
    pub writable: bool,
}

/// `[[test]]`
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    pub name: String,
    /// A request of the Open Inference Protocol, inside the function's folder.
    pub inputs: PathBuf,
    /// The response that is expected, inside the function's folder.
    pub expect: PathBuf,
    /// The largest difference between floats that passes;
    /// [`DEFAULT_TOLERANCE`] where the manifest is silent.
    pub tolerance: f64,
}

/// The tolerance of a test that names none.
pub const DEFAULT_TOLERANCE: f64 = 1e-5;

/// The variable by which a container names the file of a model.
pub fn model_variable(model: &str) -> String {
    let sign = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_ascii_uppercase(),
        false => '_',
    };
    format!("SAMARA_MODEL_{}", model.chars().map(sign).collect::<String>())
}

impl ModelPath {
    /// The file inside the function's folder, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            ModelPath::File(path) => Some(path),
            ModelPath::Image { .. } => None,
        }
    }
}

impl fmt::Display for ModelPath {
    /// As the manifest writes it, with the tag that was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelPath::File(path) => write!(f, "{}", path.display()),
            ModelPath::Image { reference, part: None } => write!(f, "{IMAGE_SCHEME}{reference}"),
            ModelPath::Image { reference, part: Some(part) } => {
                write!(f, "{IMAGE_SCHEME}{reference}#{part}")
            }
        }
    }
}

impl Manifest {
    /// Reads `samara.toml` in `folder`.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or as [`parse`](Self::parse).
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NotFound { folder: folder.to_owned() })
            }
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Parses the text of a manifest; `path` is where messages say it is.
    ///
    /// # Errors
    /// The first problem in the file, with its line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        sections::parse(text, path)
    }

    /// The components that the function is made of, in stage order.
    pub fn components(&self) -> Vec<&Path> {
        let stages = self.stages.iter().filter_map(|stage| match &stage.run {
            StageRun::Component(path) => Some(path.as_path()),
            StageRun::Model(_) => None,
        });
        self.function.component.as_deref().into_iter().chain(stages).collect()
    }
}

#[cfg(test)]
mod tests;
