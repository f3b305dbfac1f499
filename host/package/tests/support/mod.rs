//! A function made of a few bytes, and its images.

#![allow(dead_code, reason = "each test takes what it needs")]
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use samara_package::image::{Content, Form, Interface, ModelContent, ModelSource, Source};
use samara_package::spec::{Descriptor, ImageConfig, ImageIndex, ImageManifest, to_bytes};
use samara_package::{Digest, Store, media_types};

/// Two components around a model, and a test.
pub(crate) const PIPELINE: &str = r#"
[function]
name = "digits"
version = "1.2.3"

[model.digits]
path = "models/digits.onnx"

[[stage]]
name = "decode"
component = "out/decode.wasm"

[[stage]]
name = "digits"
model = "digits"

[[stage]]
name = "label"
component = "out/label.wasm"

[[test]]
name = "three"
inputs = "tests/three.json"
expect = "tests/three.expected.json"
"#;

/// One component and nothing else.
pub(crate) const SINGLE: &str = "[function]\nname = \"one\"\ncomponent = \"one.wasm\"\n";

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path().join("store"));
    (folder, store)
}

/// The smallest component there is, and after it a custom section that makes
/// it differ from others.
pub(crate) fn component(note: &str) -> Bytes {
    let mut bytes = b"\0asm\x0d\x00\x01\x00".to_vec();
    bytes.extend([0, u8::try_from(note.len() + 2).unwrap(), 1, b'n']);
    bytes.extend(note.as_bytes());
    bytes.into()
}

/// Bytes that look like weights: no two pages alike, the same every time.
pub(crate) fn weights(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(size).collect::<Vec<u8>>().into()
}

pub(crate) fn pipeline(form: Form) -> Source {
    let model = ModelSource {
        path: "models/digits.onnx".into(),
        content: ModelContent::Plain(Content::Bytes(weights(100_003))),
        data: BTreeMap::new(),
    };
    let file = |path: &str, text: &'static str| (PathBuf::from(path), Content::Bytes(text.into()));
    Source {
        form,
        manifest_text: PIPELINE.to_owned(),
        components: BTreeMap::from([
            ("out/decode.wasm".into(), component("decode").into()),
            ("out/label.wasm".into(), component("label").into()),
        ]),
        models: BTreeMap::from([("digits".to_owned(), model)]),
        files: BTreeMap::from([
            file("tests/three.json", "{\"inputs\": []}"),
            file("tests/three.expected.json", "{\"outputs\": []}"),
        ]),
        ..Source::default()
    }
}

pub(crate) fn single(form: Form) -> Source {
    Source {
        form,
        manifest_text: SINGLE.to_owned(),
        components: BTreeMap::from([("one.wasm".into(), component("one").into())]),
        interface: Interface {
            imports: vec!["wasi:cli/environment@0.2.6".to_owned()],
            exports: vec!["wasi:cli/run@0.2.6".to_owned()],
            target: None,
        },
        ..Source::default()
    }
}

pub(crate) fn packed(store: &Store, source: &Source) -> Digest {
    samara_package::image::pack(&store.session().unwrap(), source).unwrap().digest
}

/// Puts an image of given layers and diff_ids into the store.
pub(crate) fn image(
    store: &Store,
    layers: Vec<Descriptor>,
    diff_ids: Vec<Digest>,
    config: &ImageConfig,
) -> Digest {
    let mut config = config.clone();
    config.rootfs.diff_ids = diff_ids;
    let session = store.session().unwrap();
    let bytes = to_bytes(&config);
    session.put(&bytes).unwrap();
    let manifest = ImageManifest::new(Descriptor::of(media_types::IMAGE_CONFIG, &bytes), layers);
    session.put(&to_bytes(&manifest)).unwrap()
}

/// Writes images as an OCI layout, each under a tag.
pub(crate) fn layout(store: &Store, images: &[(&str, Digest)], folder: &Path) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    let copy = |digest: &Digest| {
        let blob = store.blob(digest).unwrap();
        std::fs::write(blobs.join(digest.hex()), &blob.bytes).unwrap();
        blob.bytes
    };
    let mut entries = Vec::new();
    for (tag, digest) in images {
        let bytes = copy(digest);
        let manifest: ImageManifest = serde_json::from_slice(&bytes).unwrap();
        manifest.blobs().for_each(|blob| drop(copy(&blob.digest)));
        let entry = Descriptor::of(media_types::IMAGE_MANIFEST, &bytes);
        entries.push(entry.annotated("org.opencontainers.image.ref.name", *tag));
    }
    std::fs::write(folder.join("index.json"), to_bytes(&ImageIndex::new(entries))).unwrap();
}

/// Puts what lies in an OCI layout of one image into a store.
pub(crate) fn load(store: &Store, folder: &Path) -> Digest {
    let session = store.session().unwrap();
    for blob in std::fs::read_dir(folder.join("blobs/sha256")).unwrap() {
        session.put(&std::fs::read(blob.unwrap().path()).unwrap()).unwrap();
    }
    let index = std::fs::read(folder.join("index.json")).unwrap();
    let index: ImageIndex = serde_json::from_slice(&index).unwrap();
    index.manifests[0].digest
}
