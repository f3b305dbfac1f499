//! The arguments of the commands about images, registries and the store.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use samara_package::Reference;

/// How registries are reached.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryArgs {
    /// Speak HTTP without TLS; registries on this machine may do so anyway
    #[arg(long)]
    pub plain_http: bool,
    /// Trust the certificates in this PEM file too
    #[arg(long = "ca-file", value_name = "FILE", env = "SAMARA_CA_FILE", hide_env_values = true)]
    pub ca_files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PackArgs {
    /// Folder with `samara.toml`
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The image's name [default: the function's name and version]
    #[arg(short, long = "tag", value_name = "REF")]
    pub tags: Vec<Reference>,
    /// How the image is laid out
    #[arg(long, value_enum, default_value_t)]
    pub form: PackForm,
    /// Attach a bill of materials: the component's cargo packages and the models
    #[arg(long)]
    pub sbom: bool,
    /// Where the sources are
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// Licences, an SPDX expression
    #[arg(long, value_name = "SPDX")]
    pub licenses: Option<String>,
    /// When it was made, RFC 3339; without it equal inputs give equal images
    #[arg(long, value_name = "TIME")]
    pub created: Option<String>,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackForm {
    /// Components as Wasm layers, the rest as tar layers: kubelet, containerd 1.7 and later
    #[default]
    Mixed,
    /// Everything as tar layers: `ctr import` of containerd 1.6
    Tar,
    /// A plain Wasm artifact: one component, no models
    Wasm,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// The image in the store
    pub image: Reference,
    /// Where to send it [default: as it is called]
    pub to: Option<Reference>,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// The image, with its registry
    pub image: Reference,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct K8sArgs {
    /// The image, with the registry from which the cluster has it
    pub image: Reference,
    /// What the objects are called [default: the function's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Pods of a served function
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub replicas: u32,
    /// An indexed Job that runs this sweep over the image, a pod for each row
    #[arg(long, value_name = "FILE", conflicts_with = "replicas")]
    pub sweep: Option<PathBuf>,
    /// Pods of a sweep that run side by side
    #[arg(long, value_name = "COUNT", default_value_t = 8, requires = "sweep", value_parser = clap::value_parser!(u32).range(1..))]
    pub parallelism: u32,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImagesArgs {
    /// Show what names stood for before, too
    #[arg(long)]
    pub history: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RmArgs {
    #[arg(required = true)]
    pub images: Vec<Reference>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The name
    pub image: Reference,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SignArgs {
    /// The image in the store
    #[arg(required_unless_present = "new_key")]
    pub image: Option<Reference>,
    /// The private key, as cosign or OpenSSL writes it
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    pub key: Option<PathBuf>,
    /// Make a key: NAME.key, with a password from `SAMARA_KEY_PASSWORD` or the terminal, and NAME.pub
    #[arg(long, value_name = "NAME", conflicts_with_all = ["image", "key"])]
    pub new_key: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The image in the store, or with its registry
    pub image: Reference,
    /// A public key; one of several must have signed. Without any, the policy decides
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SaveArgs {
    /// Images in the store
    #[arg(required = true)]
    pub images: Vec<Reference>,
    /// Where to write the archive, `-` for standard output
    #[arg(short, long = "out", value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// The archive, `-` for standard input
    pub archive: PathBuf,
    /// The name of an image that has none in the archive
    #[arg(short, long, value_name = "REF")]
    pub tag: Option<Reference>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BundleArgs {
    /// Folder with `samara.toml`, or image
    #[arg(default_value = ".")]
    pub what: String,
    /// Where to write the file
    #[arg(short, long = "out", value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// Host, and port if need be
    pub registry_host: String,
    /// [default: asked for on the terminal]
    #[arg(short, long)]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// Host, and port if need be
    pub registry_host: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Say where the store is, what it holds and what it may hold
    Info,
    /// Check that everything is whole
    Check {
        /// Remove what is damaged, so that it can be pulled again
        #[arg(long)]
        repair: bool,
    },
    /// Remove what no name stands for
    Gc {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}
