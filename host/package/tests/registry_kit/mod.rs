//! Images that tests make by hand, and clients that do not wait.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use samara_package::registry::{Client, ClientOptions, Pause};
use samara_package::spec::{ContainerConfig, Descriptor, ImageConfig, ImageManifest, RootFs, to_bytes};
use samara_package::{Digest, Reference, Store, media_types};
use samara_test::registry::{Reply, Seen};

/// A store in a folder that goes with it.
pub(crate) struct TestStore {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
}

/// An image, as bytes.
#[derive(Debug, Clone)]
pub(crate) struct TestImage {
    pub(crate) manifest: ImageManifest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Vec<u8>>,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store"));
        Self { folder, store }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Whether the store has all of the image, whole.
    pub(crate) fn has(&self, image: &TestImage) -> bool {
        let whole = |digest: &Digest| self.store.blob(digest).is_ok();
        whole(&image.digest) && image.manifest.blobs().all(|blob| whole(&blob.digest))
    }
}

/// An image with these layers: the first of Wasm, the others files.
pub(crate) fn image(layers: &[&[u8]]) -> TestImage {
    let config = to_bytes(&ImageConfig {
        created: None,
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: ContainerConfig::default(),
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: layers.iter().map(|layer| Digest::of(layer)).collect(),
        },
    });
    let kinds = std::iter::once(media_types::WASM).chain(std::iter::repeat(media_types::TAR));
    let descriptors = layers.iter().zip(kinds).map(|(layer, kind)| Descriptor::of(kind, layer)).collect();
    let manifest = ImageManifest::new(Descriptor::of(media_types::IMAGE_CONFIG, &config), descriptors);
    of(manifest, config, layers.iter().map(|layer| layer.to_vec()).collect())
}

/// The image of a manifest that may be wrong.
pub(crate) fn of(manifest: ImageManifest, config: Vec<u8>, layers: Vec<Vec<u8>>) -> TestImage {
    let bytes = to_bytes(&manifest);
    TestImage { digest: Digest::of(&bytes), manifest, bytes, config, layers }
}

/// Puts all of an image into a store.
pub(crate) fn keep(store: &Store, image: &TestImage) {
    let session = store.session().unwrap();
    session.put(&image.config).unwrap();
    for layer in &image.layers {
        session.put(layer).unwrap();
    }
    session.put(&image.bytes).unwrap();
}

/// Bytes that look like nothing, the same for the same seed.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub(crate) fn reference(text: impl AsRef<str>) -> Reference {
    text.as_ref().parse().unwrap()
}

/// Options that know no login, do not wait between attempts and not long for
/// an answer. The pauses that would have been are noted.
pub(crate) fn options() -> (ClientOptions, Arc<Mutex<Vec<Duration>>>) {
    let pauses = Arc::<Mutex<Vec<Duration>>>::default();
    let noted = pauses.clone();
    let options = ClientOptions {
        docker_config: Some("/nonexistent/config.json".into()),
        certs_folder: "/nonexistent".into(),
        attempts: 3,
        pause: Pause::new(move |pause| noted.lock().unwrap().push(pause)),
        ..ClientOptions::default()
    };
    (options, pauses)
}

pub(crate) fn client() -> Client {
    Client::new(options().0).unwrap()
}

/// What an honest registry that has this image as `a/b:1` answers.
pub(crate) fn serve(image: &TestImage, seen: &Seen) -> Reply {
    let path = seen.path.split('?').next().unwrap_or_default();
    let blobs = image.manifest.blobs().map(|blob| blob.digest);
    let contents = std::iter::once(&image.config).chain(&image.layers);
    let found = blobs.zip(contents).find(|(digest, _)| path == format!("/v2/a/b/blobs/{digest}"));
    let is_manifest = ["1".to_owned(), image.digest.to_string()]
        .iter()
        .any(|name| path == format!("/v2/a/b/manifests/{name}"));
    match found {
        Some((_, content)) => part(content, seen.header("range")),
        None if is_manifest => {
            Reply::new(200).header("Content-Type", media_types::IMAGE_MANIFEST).body(image.bytes.clone())
        }
        None => {
            Reply::new(404).body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
        }
    }
}

/// All of the content, or what a range of it asks for.
fn part(content: &[u8], range: Option<&str>) -> Reply {
    let Some((start, end)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Reply::new(200).body(content);
    };
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    let span = format!("bytes {start}-{end}/{}", content.len());
    Reply::new(206).header("Content-Range", span).body(&content[start..=end])
}
