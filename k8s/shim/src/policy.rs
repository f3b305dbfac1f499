//! The node's policy: whose signature an image needs before a container of it is
//! made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{GetContainerRequest, GetImageRequest, ListImagesRequest};
use containerd_client::tonic::{IntoRequest, Request};
use samara_package::registry::{Client, ClientOptions};
use samara_package::sign::{self, Policy};
use samara_package::{Digest, Reference, Store};
use serde_json::Value;

use crate::asked::Asked;
use crate::{bundle, node};

/// The policy of the machine, which `samara` obeys too.
const MACHINE_POLICY: &str = "/etc/samara/policy.toml";
/// Another file, set where containerd is started.
const VARIABLE: &str = "SAMARA_POLICY";

/// By which containerd marks the pause container of a pod, whose image the
/// machine's configuration names and no pod.
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";

/// How long a registry may be silent before a container is refused.
const IDLE: Duration = Duration::from_secs(10);

/// An image as containerd has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    reference: Reference,
    digest: Digest,
}

/// Asks the policy about the container `id` that is to be made, whose specification
/// lies in `bundle`.
///
/// # Errors
/// When the policy cannot be read, or refuses the image: then the container must
/// not be made.
pub(crate) fn check(bundle: &Path, id: &str, asked: &Asked) -> Result<()> {
    let Some(file) = file() else { return Ok(()) };
    let policy = Policy::load(&file).context("no container can run without the node's policy")?;
    if is_sandbox(&bundle::specification(bundle)?) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let names =
        runtime.block_on(names(id, asked)).context("cannot ask containerd for the container's image")?;
    let store = Store::at(node::store());
    let mut refused = None;
    for name in &names {
        match decide(&policy, &store, name) {
            Ok(()) => return Ok(()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| anyhow::anyhow!("the container's image has no name that a policy knows")))
}

fn file() -> Option<PathBuf> {
    let machine = || Some(PathBuf::from(MACHINE_POLICY)).filter(|path| path.exists());
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from).or_else(machine)
}

fn is_sandbox(specification: &Value) -> bool {
    specification["annotations"][CONTAINER_TYPE] == "sandbox"
}

/// Asks the policy, and once more with the signatures that the registry has where
/// those of the node do not suffice.
fn decide(policy: &Policy, store: &Store, named: &Named) -> Result<()> {
    let Named { reference, digest } = named;
    let Err(refused) = policy.check(store, reference, digest) else { return Ok(()) };
    if !matches!(refused, sign::Error::Refused { .. }) || reference.registry().is_none() {
        return Err(refused.into());
    }
    if let Err(error) = fetch(store, &reference.with_digest(*digest)) {
        bail!("{refused}\nnote: its signatures cannot be fetched: {error:#}");
    }
    policy.check(store, reference, digest)?;
    Ok(())
}

/// Brings an image's manifest and its signatures into the node's store.
fn fetch(store: &Store, exact: &Reference) -> Result<()> {
    let client = Client::new(ClientOptions { idle: IDLE, attempts: 2, ..ClientOptions::default() })?;
    client.begin_pull(&store.session()?, exact)?;
    Ok(())
}

/// The names of the container's image: the one that the container was made by, or
/// all that its content has where that is no name.
async fn names(id: &str, asked: &Asked) -> Result<Vec<Named>> {
    let (Some(namespace), Some(address)) = (asked.namespace(), asked.address()) else {
        bail!("it has said neither what it calls itself nor where it listens");
    };
    let channel = containerd_client::connect(&address).await?;
    let get = GetContainerRequest { id: id.to_owned() };
    let got = ContainersClient::new(channel.clone()).get(within(namespace, get)?).await?;
    let image = got.into_inner().container.unwrap_or_default().image;
    if image.is_empty() {
        bail!("the container `{id}` was made of no image");
    }
    let mut images = ImagesClient::new(channel);
    let get = GetImageRequest { name: image.clone() };
    let target = images.get(within(namespace, get)?).await?.into_inner().image.unwrap_or_default().target;
    let digest = target.unwrap_or_default().digest;
    if let Some(named) = named(&image, &digest)? {
        return Ok(vec![named]);
    }
    let list = ListImagesRequest { filters: vec![format!("target.digest=={digest}")] };
    let list = images.list(within(namespace, list)?).await?.into_inner().images;
    let names: Result<Vec<_>> = list.iter().map(|image| named(&image.name, &digest)).collect();
    Ok(names?.into_iter().flatten().collect())
}

/// `None` where `name` is none that a registry or a person gave: containerd calls
/// images by their configuration's digest too.
fn named(name: &str, digest: &str) -> Result<Option<Named>> {
    let digest: Digest =
        digest.parse().with_context(|| format!("the image `{name}` has the digest `{digest}`"))?;
    let reference = name.parse().ok().filter(|_| name.parse::<Digest>().is_err());
    Ok(reference.map(|reference| Named { reference, digest }))
}

/// A request to one of containerd's namespaces.
fn within<T>(namespace: &str, message: T) -> Result<Request<T>> {
    let mut request = message.into_request();
    request.metadata_mut().insert("containerd-namespace", namespace.parse()?);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_are_no_names() {
        assert_eq!(named(DIGEST, DIGEST).unwrap(), None);
        let found = named("registry.example/team/digits:1", DIGEST).unwrap().unwrap();
        assert_eq!(found.reference.repository(), "team/digits");
        assert_eq!(found.digest.to_string(), DIGEST);
        let error = named("digits:1", "sha256:none").unwrap_err();
        assert!(format!("{error:#}").contains("the image `digits:1` has the digest `sha256:none`"));
    }

    #[test]
    fn only_the_pause_container_is_no_pod_s_choice() {
        assert!(is_sandbox(&json!({ "annotations": { CONTAINER_TYPE: "sandbox" } })));
        assert!(!is_sandbox(&json!({ "annotations": { CONTAINER_TYPE: "container" } })));
        assert!(!is_sandbox(&json!({})));
    }

    #[test]
    fn what_the_policy_refuses_offline_is_refused_with_both_reasons() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        let policy = |text: &str| Policy::parse(text, &file).unwrap();
        let store = Store::at(folder.path().join("store"));
        // Nothing listens there.
        let named = named("127.0.0.1:9/team/digits:1", DIGEST).unwrap().unwrap();
        decide(&policy("default = \"accept\"\n"), &store, &named).unwrap();
        let error = decide(&policy("default = \"refuse\"\n"), &store, &named).unwrap_err().to_string();
        assert!(error.starts_with("`127.0.0.1:9/team/digits:1` is refused: no rule of"), "{error}");
        assert!(error.contains("\nnote: its signatures cannot be fetched: "), "{error}");
    }
}
