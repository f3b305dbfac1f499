//! Registries: images and what belongs to them, fetched and sent over the OCI
//! distribution specification 1.1
//! (<https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md>).
//!
//! A registry is believed nothing: every byte is checked against the digest
//! that was asked for, on its way to the disk, and everything that it sends
//! has a bound. A login goes to the registry it belongs to and to the token
//! server that this registry names, and nowhere else.
//!
//! ```text
//! push, pull      what is moved, in which order
//! referrers       signatures and bills of materials that belong to an image
//! remote          one repository: its manifests
//! download, upload   one blob, with its interruptions
//! host            one registry: redirects, refusals
//! auth, challenge, credentials   the login
//! transport, url, retry   one request, its address, and asking again
//! ```

mod auth;
mod challenge;
pub mod credentials;
mod download;
mod error;
pub(crate) mod fuzzing;
mod host;
mod manifests;
mod parallel;
mod progress;
mod pull;
mod push;
mod referrers;
mod remote;
mod retry;
mod signatures;
mod transport;
mod upload;
mod url;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use credentials::Credentials;
pub use error::{Error, ErrorKind};
pub use progress::{Progress, Silent, Transfer};
pub use pull::Pull;
pub use push::Pushed;
pub use retry::Pause;

use crate::digest::Digest;
use crate::reference::Reference;
use crate::spec::Descriptor;
use crate::store::{Session, Store};
use error::{Asked as _, Failure};
use host::Host;
use remote::Remote;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How registries are asked.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Ask every registry over plain HTTP. A registry on this machine is asked
    /// so without it, when what listens there does not speak TLS.
    pub plain_http: bool,
    /// Certificates of private authorities, PEM, that are trusted beside the
    /// system's.
    pub ca_files: Vec<PathBuf>,
    /// Docker's `config.json`; [`credentials::default_config`] where not given.
    pub docker_config: Option<PathBuf>,
    /// Logins by registry, which go before those of Docker's configuration.
    pub credentials: BTreeMap<String, Credentials>,
    /// Blobs that are transferred at once.
    pub transfers: usize,
    /// How long a registry may send and take nothing.
    pub idle: Duration,
    /// How often one thing is asked for when the registry is busy or broken.
    pub attempts: u32,
    /// The largest blob that is fetched, in bytes.
    pub max_blob: u64,
    /// How to wait between attempts.
    pub pause: Pause,
    /// Docker's folder of authorities by registry.
    pub certs_folder: PathBuf,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            plain_http: false,
            ca_files: Vec::new(),
            docker_config: None,
            credentials: BTreeMap::new(),
            transfers: 4,
            idle: Duration::from_secs(30),
            attempts: 5,
            max_blob: 1 << 40,
            pause: Pause::default(),
            certs_folder: PathBuf::from("/etc/docker/certs.d"),
        }
    }
}

/// Asks registries. It remembers how each is reached and what it wants.
pub struct Client {
    options: ClientOptions,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Client {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// When an authority's file cannot be read.
    pub fn new(options: ClientOptions) -> Result<Self> {
        for path in &options.ca_files {
            transport::certificates(path).asked(|| "cannot use the authority".to_owned())?;
        }
        Ok(Self { options, hosts: Mutex::default() })
    }

    /// Which image a reference stands for in its registry: the digest, size
    /// and type of its manifest or index. Nothing is stored.
    ///
    /// # Errors
    /// When the registry cannot be asked, does not have it, or answers what
    /// cannot be.
    pub fn resolve(&self, reference: &Reference) -> Result<Descriptor> {
        let asked = || format!("cannot resolve `{reference}`");
        let remote = self.remote(reference, false).asked(asked)?;
        remote.resolve(reference).asked(asked)
    }

    /// Begins to pull: the manifest, its configuration, and every signature
    /// and other referrer with their blobs are in the store afterwards, and
    /// noted there as the image's. Of an index, the one manifest for Wasm is
    /// chosen, or its only one; the index and its signatures are kept with it.
    ///
    /// # Errors
    /// When any of that cannot be fetched whole. That an image has no
    /// signature is no error; that one cannot be fetched is.
    pub fn begin_pull<'a>(&self, session: &'a Session, reference: &Reference) -> Result<Pull<'a>> {
        let remote = self.remote(reference, false).asked(|| format!("cannot pull `{reference}`"))?;
        pull::begin(remote, session, reference)
    }

    /// Sends an image of the store, with what refers to it, as `reference`.
    /// Only what the registry lacks travels.
    ///
    /// # Errors
    /// When the store lacks a part of it, or the registry does not take it.
    pub fn push(
        &self,
        store: &Store,
        digest: &Digest,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let remote = self.remote(reference, true).asked(|| format!("cannot push `{reference}`"))?;
        push::push(&remote, store, digest, reference, progress)
    }

    /// Fetches one blob of the reference's repository into the store, if it
    /// is not there.
    ///
    /// # Errors
    /// When it cannot be fetched whole.
    pub fn open_blob(
        &self,
        session: &Session,
        reference: &Reference,
        blob: &Descriptor,
        progress: &dyn Progress,
    ) -> Result<()> {
        let asked = || format!("cannot fetch {} of `{}`", blob.digest, reference.name());
        let remote = self.remote(reference, false).asked(asked)?;
        parallel::each(1, std::slice::from_ref(blob), |blob, stop| {
            download::download(&remote, session, blob, progress, stop)
        })
        .asked(asked)
    }

    /// Asks a registry whether it takes these credentials.
    ///
    /// # Errors
    /// When it does not, or cannot be asked.
    pub fn check_login(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        let check = || -> Result<(), Failure> {
            let host = Host::with_login(&self.options, registry, Some(credentials.clone()))?;
            let url = host.root.with_path("/v2/")?;
            host.ask(&transport::Request::new(ureq::http::Method::GET, url), "", &[200]).map(|_| ())
        };
        check().asked(|| format!("cannot log in to `{registry}`"))
    }

    fn remote(&self, reference: &Reference, for_push: bool) -> Result<Remote, Failure> {
        let registry = reference.registry().ok_or_else(|| {
            Failure::new(ErrorKind::Invalid, "the name has no registry")
                .hint(format!("put one in front, e.g. `registry.example/{reference}`"))
        })?;
        let known = self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(registry).cloned();
        let host = match known {
            Some(host) => host,
            // Asked without the lock: another registry need not wait.
            None => Arc::new(Host::new(&self.options, registry)?),
        };
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(registry.to_owned()).or_insert(host).clone();
        Ok(Remote::new(host, reference.repository(), for_push))
    }
}
