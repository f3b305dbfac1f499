//! The command line as types. What a flag does is said here, once.

mod bench;
mod images;
mod model;
mod serve;
mod sweep;

use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::input::InputArg;

pub(crate) use bench::*;
pub(crate) use images::*;
pub(crate) use model::*;
pub(crate) use serve::*;
pub(crate) use sweep::*;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const INPUT_HELP: &str = "\
Inputs:
  --input NAME=VALUE   a JSON array (`[[1, 2], [3, 4]]`), a comma list (`1,2,3`), or for BYTES plain text
  --input NAME=@FILE   .npy, .npz, .json, an image (PNG, JPEG), text, or any file as raw bytes
  `NAME=` may be left out where there is one input; `@FILE.npz` alone gives every input by name.
  --input -            a request of the Open Inference Protocol on standard input, which is also read
                       where standard input is no terminal and no `--input` is given.

  A file goes to an input as its signature asks: BYTES and one-axis UINT8 take the file's bytes;
  numbers of rank 2 to 4 take the pixels of an image (1 or 3 channels, first or last axis; floats
  are 0 to 1), which must have exactly the size that is asked for; .npy must have the same datatype.
  A missing batch axis is added in front where the rest of the shape fits, and a plain list of
  numbers is taken row by row into the shape that is asked for.

Exit codes: 0 done, 1 the input, function or request failed, 2 wrong usage; a command's own code.";

/// Run machine-learning functions as WebAssembly components
#[derive(Debug, Parser)]
#[command(name = "samara", version, styles = STYLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Folder of images, compiled code and libraries [default: the user's data directory]
    #[arg(long, global = true, env = "SAMARA_STORE", hide_env_values = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// File that says whose signatures images need [default: /etc/samara/policy.toml, else the user's]
    #[arg(long, global = true, env = "SAMARA_POLICY", hide_env_values = true, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Let a driver that computes on the CPU count as a GPU
    #[arg(long, global = true, env = "SAMARA_ALLOW_SOFTWARE_GPU", hide_env_values = true)]
    pub allow_software_gpu: bool,
    /// What ONNX Runtime runs models on where a GPU is asked for: `cuda`, `tensorrt`, or a plugin's library
    #[arg(
        long,
        global = true,
        env = "SAMARA_ONNXRUNTIME_PROVIDER",
        hide_env_values = true,
        value_name = "NAME|FILE"
    )]
    pub onnxruntime_provider: Option<samara_backends::Provider>,
    /// Measure each kernel on the GPU, which slows runs: for `run --verbose`, `bench` and `/metrics`
    #[arg(long, global = true, env = "SAMARA_GPU_TIMINGS", hide_env_values = true)]
    pub gpu_timings: bool,
    /// What standard output carries
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Say more: backends, timings, where compiled code came from
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    #[value(alias = "table")]
    Text,
    /// For programs
    Json,
    /// For spreadsheets: rows of `sweep`
    Csv,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a project for a new function
    New(NewArgs),
    /// Build a function's components
    Build(BuildArgs),
    /// Make a component out of a model
    Compile(CompileArgs),
    /// Run a function, a component or a model once
    Run(Box<RunArgs>),
    /// Serve functions over HTTP and gRPC
    Serve(Box<ServeArgs>),
    /// Run the tests of a function
    Test(TestArgs),
    /// Run a function over many values of its parameters, and find the best
    Sweep(Box<SweepArgs>),
    /// Measure how fast a function answers, here or at a server
    Bench(Box<BenchArgs>),
    /// Show what a function, component or model takes, gives and needs
    Inspect(InspectArgs),
    /// Make an image of a function, in the store
    Pack(PackArgs),
    /// Send an image to a registry
    Push(PushArgs),
    /// Fetch an image from a registry
    Pull(PullArgs),
    /// Print what runs an image on Kubernetes
    K8s(K8sArgs),
    /// List the images of the store
    Images(ImagesArgs),
    /// Remove images from the store
    Rm(RmArgs),
    /// Let a name stand for its earlier image again
    Rollback(RollbackArgs),
    /// Sign an image, or make a key for it
    Sign(SignArgs),
    /// Check who signed an image
    Verify(VerifyArgs),
    /// Write images into an archive, with all that belongs to them
    Save(SaveArgs),
    /// Read images from an archive into the store
    Load(LoadArgs),
    /// Write a function with its models into one `.wasm` file
    Bundle(BundleArgs),
    /// Remember the credentials of a registry
    Login(LoginArgs),
    /// Forget the credentials of a registry
    Logout(LogoutArgs),
    /// Look after the store
    Store(StoreArgs),
    /// List the engines that run models, or add one's library
    Backends(BackendsArgs),
    /// Check this machine and say what to do
    Doctor,
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackendsArgs {
    #[command(subcommand)]
    pub command: Option<BackendsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackendsCommand {
    /// Put the library of an engine into the store, where it is found
    Add(AddBackendArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddBackendArgs {
    /// The engine
    pub backend: AddedBackend,
    /// The library, or a Python wheel that carries it
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AddedBackend {
    /// ONNX Runtime, as the PyPI package `onnxruntime` carries it
    Onnxruntime,
    /// LiteRT, as the PyPI package `ai-edge-litert` carries it
    Litert,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The folder to make; its last part is the function's name
    pub name: PathBuf,
    /// What to start from [default: rust, or model with `--model`]
    #[arg(long, value_enum)]
    pub template: Option<Template>,
    /// A model file to copy into the project
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// A function in Rust
    Rust,
    /// A function in Python
    Python,
    /// A function in JavaScript
    Js,
    /// A model alone, no code
    Model,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// Folder with `samara.toml`
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompileArgs {
    /// The model file
    pub model: PathBuf,
    /// Where to write the component
    #[arg(short, long = "out", value_name = "FILE")]
    pub out: PathBuf,
    /// Put the model and an engine into the component, for hosts without wasi-nn
    #[arg(long)]
    pub standalone: bool,
    /// Compare the answers of `--standalone` on these values too; as `--input` of `samara run`
    #[arg(long = "check", value_name = "[NAME=]VALUE", requires = "standalone")]
    pub checks: Vec<InputArg>,
    /// The engine of `--standalone`, built elsewhere, where there is no Rust to build it
    #[arg(long, value_name = "FILE", requires = "standalone")]
    pub runner: Option<PathBuf>,
    #[command(flatten)]
    pub place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = INPUT_HELP)]
pub(crate) struct RunArgs {
    /// Folder with `samara.toml`, component or bundle (`.wasm`), model (`.onnx`), or image
    #[arg(default_value = ".")]
    pub what: String,
    /// Arguments of a command
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// A value for an input, see below
    #[arg(short, long = "input", value_name = "[NAME=]VALUE")]
    pub inputs: Vec<InputArg>,
    /// Give a `.wasm` a model under this name, and say where that one runs
    #[arg(long = "model", value_name = "NAME=FILE[,target=..][,backend=..]", value_parser = parse_model)]
    pub models: Vec<ModelArg>,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Folder with `samara.toml`, bundle (`.wasm`), or image
    #[arg(default_value = ".")]
    pub what: String,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// Folder with `samara.toml`, component or bundle (`.wasm`), model (`.onnx`), or image
    #[arg(default_value = ".")]
    pub what: String,
    /// Show what a run of each model does, where its backend tells; open sizes count as 1
    #[arg(long)]
    pub plan: bool,
    /// Give a `.wasm` a model under this name, and say where that one runs
    #[arg(long = "model", value_name = "NAME=FILE[,target=..][,backend=..]", value_parser = parse_model)]
    pub models: Vec<ModelArg>,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Where models run.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Models")]
pub(crate) struct PlaceArgs {
    /// Where models run: `cpu`, `gpu`, `gpu:N` or `gpu-or-cpu` [default: as the manifest says, else cpu]
    #[arg(long)]
    pub target: Option<samara_nn::Target>,
    /// The engine that runs models, see `samara backends` [default: as the manifest says, else auto]
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// GPU memory that each model may hold, its runs included, e.g. `2GiB` [default: as the manifest says, else 8GiB]
    #[arg(long, value_name = "SIZE", value_parser = samara_package::manifest::parse_size)]
    pub gpu_memory: Option<u64>,
    /// How exactly models compute: `exact`, or `fp16` for large products on a GPU [default: as the manifest says, else exact]
    #[arg(long)]
    pub precision: Option<samara_nn::Precision>,
}

impl From<&PlaceArgs> for samara_compose::Place {
    fn from(args: &PlaceArgs) -> Self {
        let PlaceArgs { target, backend, gpu_memory, precision } = args.clone();
        Self { target, backend, gpu_memory, precision }
    }
}

/// What a function may reach outside its sandbox; by default nothing.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Grants")]
pub(crate) struct GrantArgs {
    /// Allow HTTP requests to a host
    #[arg(long = "allow-http", value_name = "HOST[:PORT]")]
    pub http: Vec<String>,
    /// Allow a directory: where it is, where the function sees it, and whether it may write
    #[arg(long = "allow-dir", value_name = "HOST::GUEST[:rw]", value_parser = parse_directory)]
    pub directories: Vec<DirectoryArg>,
    /// Allow an environment variable, with this value or the one it has here
    #[arg(long = "allow-env", value_name = "NAME[=VALUE]", value_parser = parse_variable)]
    pub environment: Vec<(String, Option<String>)>,
    /// Allow everything that the manifest asks for
    #[arg(long = "allow-all-requested")]
    pub all_requested: bool,
}

/// A value of `--allow-dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryArg {
    pub host: PathBuf,
    pub guest: String,
    pub writable: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    pub shell: Shell,
}

pub(crate) fn parse_directory(text: &str) -> Result<DirectoryArg, String> {
    let form = "write `HOST::GUEST` or `HOST::GUEST:rw`, e.g. `./data::/data`";
    let (host, guest) = text.split_once("::").ok_or(form)?;
    let (guest, writable) = match guest.strip_suffix(":rw") {
        Some(guest) => (guest, true),
        None => (guest, false),
    };
    if host.is_empty() || !guest.starts_with('/') {
        return Err(form.to_owned());
    }
    Ok(DirectoryArg { host: host.into(), guest: guest.to_owned(), writable })
}

pub(crate) fn parse_variable(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("write `NAME` or `NAME=VALUE`".to_owned());
    }
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn directories_have_two_sides() {
        let data = DirectoryArg { host: "data".into(), guest: "/data".to_owned(), writable: false };
        assert_eq!(parse_directory("data::/data"), Ok(data.clone()));
        assert_eq!(parse_directory("data::/data:rw"), Ok(DirectoryArg { writable: true, ..data }));
        assert!(parse_directory("data").is_err());
        assert!(parse_directory("data::data").is_err());
        assert!(parse_directory("::/data").is_err());
    }

    #[test]
    fn variables_may_have_a_value() {
        assert_eq!(parse_variable("A=b=c"), Ok(("A".to_owned(), Some("b=c".to_owned()))));
        assert_eq!(parse_variable("A"), Ok(("A".to_owned(), None)));
        assert!(parse_variable("=b").is_err());
    }
}
