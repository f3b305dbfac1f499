//! Images: from the store or a registry, never without what the policy asks.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_package::image::{self, Image, ModelFile};
use samara_package::models::{self, LOCK_FILE_NAME, LockFile};
use samara_package::registry::{Client, ClientOptions};
use samara_package::sign::Policy;
use samara_package::spec::{Descriptor, ImageManifest};
use samara_package::store::Session;
use samara_package::{Digest, Reference, Store, store};

use crate::args::RegistryArgs;
use crate::compose;
use crate::packed::Packed;
use crate::printer::Printer;
use crate::progress::Bars;
use crate::settings::Settings;

/// The policy of the machine, which goes before the user's own.
const MACHINE_POLICY: &str = "/etc/samara/policy.toml";

/// The way to images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Images<'a> {
    pub settings: &'a Settings,
    pub registry: &'a RegistryArgs,
    pub printer: &'a Printer,
}

/// What a pull brought.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub digest: Digest,
    pub image: Image,
    /// Layers that came over the network.
    pub layers: usize,
    pub bytes: u64,
}

impl<'a> Images<'a> {
    pub(crate) fn new(settings: &'a Settings, registry: &'a RegistryArgs, printer: &'a Printer) -> Self {
        Self { settings, registry, printer }
    }

    /// # Errors
    /// When this user has no place for a store.
    pub(crate) fn store(&self) -> Result<Store> {
        store_of(self.settings)
    }

    /// The policy that holds here.
    ///
    /// # Errors
    /// When its file cannot be read or makes no sense: then nothing is trusted.
    pub(crate) fn policy(&self) -> Result<Policy> {
        match policy_file(self.settings) {
            Some(path) => Policy::load(&path).context("no image can be used without the policy"),
            None => Ok(Policy::none()),
        }
    }

    /// A client for registries.
    ///
    /// # Errors
    /// When a certificate file cannot be used.
    pub(crate) fn client(&self) -> Result<Client> {
        let options = ClientOptions {
            plain_http: self.registry.plain_http,
            ca_files: self.registry.ca_files.clone(),
            ..ClientOptions::default()
        };
        Ok(Client::new(options)?)
    }

    /// An image of the store, or else of its registry.
    ///
    /// # Errors
    /// When it cannot be had, or the policy refuses it.
    pub(crate) fn open_or_pull(&self, reference: &Reference) -> Result<Packed> {
        let store = self.store()?;
        match store.resolve(reference) {
            Ok(digest) => self.open(&store, reference, &digest),
            Err(error) if error.kind() == store::ErrorKind::NotFound => {
                if reference.registry().is_none() {
                    bail!(
                        "`{reference}` is no file here and no image in the store\nhint: `samara images` lists what is there; the name of an image elsewhere begins with its registry, e.g. `registry.example.com/{reference}`"
                    );
                }
                let pulled = self.pull(reference)?;
                Ok(Packed::from_image(reference, pulled.image))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An image that is in the store, if the policy lets it be used.
    ///
    /// # Errors
    /// When it is damaged or refused.
    pub(crate) fn open(&self, store: &Store, reference: &Reference, digest: &Digest) -> Result<Packed> {
        self.check(store, reference, digest)?;
        Ok(Packed::from_image(reference, open_image(store, reference, digest)?))
    }

    /// Fetches an image: what its signatures must be comes first, then its
    /// layers, then its code is compiled; its name moves last.
    ///
    /// # Errors
    /// Whatever keeps it from being used; the name then stands for what it did.
    pub(crate) fn pull(&self, reference: &Reference) -> Result<Pulled> {
        let store = self.store()?;
        let session = store.session()?;
        let (digest, missing) = self.transfer(&session, reference, reference)?;
        let image = open_image(&store, reference, &digest)?;
        self.compile(&image)?;
        session.tag(reference, &digest)?;
        let bytes = missing.iter().map(|layer| layer.size).sum();
        Ok(Pulled { digest, image, layers: missing.len(), bytes })
    }

    /// The model that a manifest takes from an image: of the digest that the
    /// lock file beside the manifest names, which is made where it is missing.
    ///
    /// # Errors
    /// When the image cannot be had, is refused, or has no such model.
    pub(crate) fn model(
        &self,
        folder: &Path,
        reference: &Reference,
        part: Option<&str>,
    ) -> Result<ModelFile> {
        let mut lock = LockFile::load(folder)?;
        let store = self.store()?;
        let locked = lock.get(reference);
        let digest = match (locked, reference.registry()) {
            (Some(digest), _) => digest,
            (None, Some(_)) => self.client()?.resolve(reference)?.digest,
            (None, None) => store.resolve(reference)?,
        };
        let exact = reference.with_digest(digest);
        match store.resolve(&exact) {
            Ok(digest) => self.check(&store, reference, &digest)?,
            Err(error) if error.kind() == store::ErrorKind::NotFound => {
                self.fetch(&store, reference, &exact)?
            }
            Err(error) => return Err(error.into()),
        }
        let file = models::locate(&store, &exact, part)?;
        if locked.is_none() {
            lock.set(reference, digest);
            lock.save(folder)?;
            let path = folder.join(LOCK_FILE_NAME);
            self.printer.note(format_args!("`{}` now says which image `{reference}` is", path.display()));
        }
        Ok(file)
    }

    /// Fetches an image that need not be a function; `asked` is what the policy
    /// knows it by.
    fn fetch(&self, store: &Store, asked: &Reference, exact: &Reference) -> Result<()> {
        if exact.registry().is_none() {
            bail!("`{exact}` is not in the store, and names no registry to fetch it from");
        }
        let session = store.session()?;
        let (digest, _) = self.transfer(&session, asked, exact)?;
        session.tag(exact, &digest)?;
        Ok(())
    }

    /// Brings an image into the store, its layers only if the policy allows it
    /// as `asked`; gives its digest and the layers that travelled.
    fn transfer(
        &self,
        session: &Session,
        asked: &Reference,
        exact: &Reference,
    ) -> Result<(Digest, Vec<Descriptor>)> {
        let pull = self.client()?.begin_pull(session, exact)?;
        let digest = *pull.digest();
        self.check(session.store(), asked, &digest)?;
        let missing = pull.missing();
        pull.layers(&Bars::new(self.printer))?;
        Ok((digest, missing))
    }

    /// Compiles the components of an image into the code cache.
    ///
    /// # Errors
    /// When one is no component.
    pub(crate) fn compile(&self, image: &Image) -> Result<()> {
        let components = image.components();
        if components.is_empty() {
            return Ok(());
        }
        let _spinner = self.printer.spinner("compiling");
        compose::precompile(
            self.settings,
            components.iter().map(|part| (part.path.display().to_string(), &part.bytes)),
        )
    }

    /// Asks the policy.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) fn check(&self, store: &Store, reference: &Reference, digest: &Digest) -> Result<()> {
        let decision = self.policy()?.check(store, reference, digest)?;
        self.printer.detail(format_args!("policy: {decision}"));
        Ok(())
    }

    /// Asks the policy about a folder or file.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) fn check_local(&self, what: &str) -> Result<()> {
        self.policy()?.check_local(&format!("`{what}`"))?;
        Ok(())
    }
}

/// An image of the store.
///
/// # Errors
/// Why it cannot be used, and what to do.
pub(crate) fn open_image(store: &Store, reference: &Reference, digest: &Digest) -> Result<Image> {
    use store::ErrorKind::{Corrupt, NotFound};
    Image::open(store, digest).map_err(|error| {
        let hint = match &error {
            image::Error::Store(inner) if matches!(inner.kind(), Corrupt | NotFound) => {
                "\nhint: `samara store check --repair` removes what is damaged; then pull or pack the image again"
            }
            _ => "",
        };
        anyhow::Error::new(error).context(format!("cannot use the image `{reference}`{hint}"))
    })
}

/// The store that the settings name.
///
/// # Errors
/// When this user has no place for one.
pub(crate) fn store_of(settings: &Settings) -> Result<Store> {
    let store = settings.store.as_ref().context(
        "no data directory is known for this user\nhint: name a folder with `--store DIR` or `SAMARA_STORE`",
    )?;
    Ok(store.images())
}

/// What an image takes where it is stored as it is, in bytes; `None` where its
/// manifest cannot be read.
pub(crate) fn size(store: &Store, digest: &Digest) -> Option<u64> {
    let bytes = store.blob(digest).ok()?.bytes;
    let manifest: ImageManifest = serde_json::from_slice(&bytes).ok()?;
    Some(bytes.len() as u64 + manifest.blobs().map(|blob| blob.size).sum::<u64>())
}

/// The policy file that holds: the one that is named, the machine's, or the
/// user's, where they exist.
fn policy_file(settings: &Settings) -> Option<PathBuf> {
    let machine = || Some(PathBuf::from(MACHINE_POLICY)).filter(|path| path.exists());
    let user = || Some(dirs::config_dir()?.join("samara").join("policy.toml")).filter(|path| path.exists());
    settings.policy.clone().or_else(machine).or_else(user)
}
