//! Images that are damaged, or made to do harm: each is refused with an error
//! that says why, and nothing panics.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::io::Write;

use samara_package::image::{ErrorKind, Form, Image, Limits};
use samara_package::spec::{Descriptor, ImageConfig, ImageManifest, to_bytes};
use samara_package::{Digest, Store, media_types};
use support::{component, image, packed, pipeline, single, store};

/// What opening an image says.
fn refusal(store: &Store, digest: &Digest) -> (ErrorKind, String) {
    let error = Image::open(store, digest).unwrap_err();
    (error.kind(), error.to_string())
}

/// A whole image to be changed: its manifest and configuration.
fn whole(store: &Store) -> (ImageManifest, ImageConfig) {
    let image = Image::open(store, &packed(store, &pipeline(Form::Mixed))).unwrap();
    let config = store.blob(&image.document().config.digest).unwrap().bytes;
    (image.document().clone(), serde_json::from_slice(&config).unwrap())
}

fn put<T: serde::Serialize>(store: &Store, document: &T) -> Digest {
    store.session().unwrap().put(&to_bytes(document)).unwrap()
}

fn put_layer(store: &Store, media_type: &str, bytes: &[u8]) -> Descriptor {
    store.session().unwrap().put(bytes).unwrap();
    Descriptor::of(media_type, bytes)
}

#[test]
fn documents_that_make_no_sense_are_refused() {
    let (_folder, store) = store();
    let put = |bytes: &[u8]| store.session().unwrap().put(bytes).unwrap();
    let cases: [(&[u8], &str); 9] = [
        (b"", "no manifest"),
        (b"\xff\xfe", "no manifest"),
        (b"[]", "no manifest"),
        (b"{}", "missing field"),
        (b"\0asm\x0d\0\x01\0", "no manifest"),
        (b"{\"manifests\": {}}", "index"),
        (b"{\"manifests\": [{}]}", "missing field"),
        (br#"{"schemaVersion":1,"config":{"mediaType":"x","digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":1},"layers":[]}"#, "schema version is 1"),
        (br#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:../../etc/passwd","size":1},"layers":[]}"#, "is no digest"),
    ];
    for (bytes, reason) in cases {
        let (kind, message) = refusal(&store, &put(bytes));
        assert_eq!(kind, ErrorKind::Corrupt, "{message}");
        assert!(message.contains(reason), "{message}");
        assert!(message.len() < 500, "{message}");
    }
    let large = vec![b' '; (4 << 20) + 1];
    assert!(refusal(&store, &put(&large)).1.contains("none has more than 4194304"));
    let nested = "[".repeat(1 << 20);
    assert_eq!(refusal(&store, &put(nested.as_bytes())).0, ErrorKind::Corrupt);
    assert_eq!(refusal(&store, &Digest::of(b"nowhere")).0, ErrorKind::NotFound);
}

#[test]
fn huge_counts_are_refused() {
    let (_folder, store) = store();
    let (mut manifest, _) = whole(&store);
    let layer = manifest.layers[0].clone();
    manifest.layers = vec![layer; 513];
    let (kind, message) = refusal(&store, &put(&store, &manifest));
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(message.contains("it has 513 layers, and none has more than 512"), "{message}");
}

#[test]
fn files_are_counted_and_unpacked_bytes_are_bounded() {
    let (_folder, store) = store();
    let digest = packed(&store, &pipeline(Form::Tar));
    let open = |unpacked, files| Image::open_within(&store, &digest, &Limits { unpacked, files });
    assert!(open(0, 100).is_ok(), "layers that are not compressed cost nothing");
    let error = open(0, 5).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().contains("or 5 files")),
        (ErrorKind::TooLarge, true),
        "{error}"
    );
}

#[test]
fn a_bomb_goes_off_nowhere() {
    let (folder, store) = store();
    let (_, config) = whole(&store);
    let zeros = vec![0; 4 << 20];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&zeros).unwrap();
    let gzip = put_layer(&store, media_types::TAR_GZIP, &encoder.finish().unwrap());
    // A frame with a window of 128 KiB, and 128 blocks of as many zeros each:
    // run-length encoded, 4 bytes say 131,072 (RFC 8878, 3.1.1.2).
    let last = |block: u32| u32::from(block == 127);
    let blocks = (0..128).flat_map(|block| (last(block) | 1 << 1 | (128 << 10) << 3).to_le_bytes());
    let zstd: Vec<u8> = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38].into_iter().chain(blocks).collect();
    let zstd = put_layer(&store, media_types::TAR_ZSTD, &zstd);
    for bomb in [gzip, zstd] {
        assert!(bomb.size < 100_000, "{} bytes", bomb.size);
        let digest = image(&store, vec![bomb], vec![Digest::of(&zeros)], &config);
        let limits = Limits { unpacked: 1 << 20, files: 10 };
        let error = Image::open_within(&store, &digest, &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("unpacks to more than 1048576 bytes"), "{error}");
    }
    let left = std::fs::read_dir(folder.path().join("store/ingest")).unwrap().count();
    assert_eq!(left, 0, "nothing half-written stays");
}

#[test]
fn layers_that_are_not_what_the_documents_say_are_refused() {
    let (_folder, store) = store();
    let (manifest, config) = whole(&store);
    let refused = |change: &dyn Fn(&mut ImageManifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        refusal(&store, &put(&store, &manifest))
    };
    let (kind, message) = refused(&|manifest| manifest.layers[2].size += 1);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(message.contains("bytes, but there are"), "{message}");
    assert!(refused(&|manifest| manifest.config.size += 1).1.contains("it should have"));
    let (kind, message) = refused(&|manifest| manifest.layers[0].digest = Digest::of(b"gone"));
    assert_eq!(kind, ErrorKind::NotFound, "{message}");
    assert!(
        refused(&|manifest| manifest.layers[0].media_type = "text/plain".to_owned())
            .1
            .contains("`text/plain` is neither")
    );
    assert!(
        refused(&|manifest| manifest.layers[2].media_type = media_types::WASM.to_owned())
            .1
            .contains("`diff_ids`")
    );
    assert!(
        refused(&|manifest| manifest.layers[0].media_type = media_types::TAR.to_owned())
            .1
            .contains("`diff_ids`")
    );
    assert!(refused(&|manifest| drop(manifest.layers.remove(2))).1.contains("`diff_ids`"));
    assert!(refused(&|manifest| manifest.layers.swap(2, 3)).1.contains("the image's configuration says"));
    assert!(
        refused(&|manifest| drop(manifest.layers.remove(0)))
            .1
            .contains("has 1 component layers, but its manifest names 2 components")
    );
    let unknown = |manifest: &mut ImageManifest| {
        drop(
            manifest.layers[0]
                .annotations
                .insert("org.opencontainers.image.title".to_owned(), "x".to_owned()),
        )
    };
    assert!(
        refused(&unknown).1.contains("no component `out/decode.wasm`, which its manifest names; it has `x`")
    );
    // A tar in a compressed layer that is not the one that was promised.
    let tar = store.blob(&manifest.layers[2].digest).unwrap().bytes;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    let compressed = encoder.finish().unwrap();
    let layer = put_layer(&store, media_types::TAR_GZIP, &compressed);
    let wrong = image(&store, vec![layer], vec![Digest::of(b"promised")], &config);
    let (kind, message) = refusal(&store, &wrong);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(message.contains("the image's configuration says"), "{message}");
    assert!(!store.contains(&Digest::of(b"promised")));
    for damaged in [&compressed[..compressed.len() / 2], &b"no gzip"[..]] {
        for media_type in [media_types::TAR_GZIP, media_types::TAR_ZSTD] {
            let layer = put_layer(&store, media_type, damaged);
            let (kind, message) =
                refusal(&store, &image(&store, vec![layer], vec![Digest::of(b"x")], &config));
            assert_eq!(kind, ErrorKind::Corrupt);
            assert!(message.contains("cannot be decompressed"), "{message}");
        }
    }
}

#[test]
fn an_altered_or_truncated_blob_is_never_used() {
    let (_folder, store) = store();
    let digest = packed(&store, &pipeline(Form::Mixed));
    let image = Image::open(&store, &digest).unwrap();
    let blobs = image.document().blobs().map(|blob| blob.digest).chain([digest]);
    for blob in blobs {
        let path = store.blob(&blob).unwrap().path;
        let whole = std::fs::read(&path).unwrap();
        let mut altered = whole.clone();
        altered[whole.len() / 2] ^= 1;
        for bad in [&altered[..], &whole[..whole.len() - 1], &[]] {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bad).unwrap();
            assert_eq!(refusal(&store, &digest).0, ErrorKind::Corrupt);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(refusal(&store, &digest).0, ErrorKind::NotFound);
        std::fs::write(&path, &whole).unwrap();
        Image::open(&store, &digest).unwrap();
    }
}

#[test]
fn images_of_other_kinds_are_named() {
    let (_folder, store) = store();
    let (manifest, config) = whole(&store);
    let linux = ImageConfig { architecture: "amd64".to_owned(), os: "linux".to_owned(), ..config.clone() };
    let (kind, message) = refusal(&store, &image(&store, vec![], vec![], &linux));
    assert_eq!(kind, ErrorKind::Unsupported);
    assert_eq!(
        message,
        "the image is an image for linux/amd64; samara runs images of architecture `wasm` and Wasm artifacts"
    );
    let refused = |media_type: &str| {
        let mut manifest = manifest.clone();
        manifest.config.media_type = media_type.to_owned();
        refusal(&store, &put(&store, &manifest))
    };
    assert!(refused("application/vnd.cncf.model.config.v1+json").1.contains("hint: use it in a function"));
    assert!(refused("application/vnd.cncf.helm.config.v1+json").1.contains("helm"));
    assert!(refused(media_types::WASM_CONFIG).1.contains("a Wasm artifact with 4 layers"));
    let mut bare = config.clone();
    bare.config.labels.clear();
    bare.config.entrypoint.clear();
    assert!(refusal(&store, &image(&store, vec![], vec![], &bare)).1.contains("without `samara.toml`"));
    bare.config.entrypoint = vec!["/run.wasm".to_owned()];
    assert!(refusal(&store, &image(&store, vec![], vec![], &bare)).1.contains("its entrypoint `/run.wasm`"));
}

#[test]
fn what_the_manifest_names_must_be_there() {
    let (_folder, store) = store();
    let (manifest, config) = whole(&store);
    let with = |change: &dyn Fn(&mut ImageConfig)| {
        let mut config = config.clone();
        change(&mut config);
        let layers = manifest.layers.clone();
        refusal(&store, &image(&store, layers, config.rootfs.diff_ids.clone(), &config))
    };
    let label = |key: &'static str, value: &'static str| {
        move |config: &mut ImageConfig| drop(config.config.labels.insert(key.to_owned(), value.to_owned()))
    };
    let (kind, message) = with(&label("dev.samara.models", "{\"digits\": \"models/other.onnx\"}"));
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(message.contains("no model `digits`, which its manifest names; it has `digits`"), "{message}");
    assert_eq!(
        with(&label("dev.samara.models", "{\"digits\": \"../../etc/passwd\"}")).0,
        ErrorKind::NotFound
    );
    assert_eq!(with(&label("dev.samara.models", "[]")).0, ErrorKind::Corrupt);
    assert!(
        with(&label("dev.samara.manifest", "[function]\nname = \"other\""))
            .1
            .contains("is not what the label")
    );
    // Without a file to compare with, the label alone is read, strictly.
    let layers = manifest.layers[..3].to_vec();
    let ids = config.rootfs.diff_ids[..1].to_vec();
    let mut unknown = config.clone();
    label("dev.samara.manifest", "[function]\nname = \"f\"\nunknown = 1")(&mut unknown);
    let (kind, message) = refusal(&store, &image(&store, layers, ids, &unknown));
    assert_eq!(
        (kind, message.contains("`samara.toml` cannot be used")),
        (ErrorKind::Corrupt, true),
        "{message}"
    );
}

#[test]
fn no_layer_may_change_the_files_of_another() {
    let (_folder, store) = store();
    let (manifest, config) = whole(&store);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o644);
    header.set_cksum();
    for path in ["models/digits.onnx", "models/digits.onnx/x", "models", "./tests//three.json"] {
        tar.get_mut().clear();
        tar.append_data(&mut header.clone(), path, &b"evil"[..]).unwrap();
        let bytes = tar.get_ref().clone();
        let mut layers = manifest.layers.clone();
        layers.push(put_layer(&store, media_types::TAR, &bytes));
        let ids = config.rootfs.diff_ids.iter().copied().chain([Digest::of(&bytes)]).collect();
        let (kind, message) = refusal(&store, &image(&store, layers, ids, &config));
        assert_eq!(kind, ErrorKind::Corrupt);
        assert!(
            message.contains("is there twice") || message.contains("needs a folder"),
            "{path}: {message}"
        );
    }
}

/// The same numbers every time, of no particular pattern.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn changed_bytes_never_panic() {
    // Where there is a file system in memory, thousands of files cost little.
    let memory = tempfile::tempdir_in("/dev/shm");
    let folder = memory.unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let store = Store::at(folder.path().join("store"));
    let mut numbers = Numbers(0x5eed_5eed_5eed_5eed);
    let mut opened = 0;
    for source in [single(Form::Mixed), single(Form::Tar), single(Form::Wasm)] {
        let image = Image::open(&store, &packed(&store, &source)).unwrap();
        let manifest = image.document().clone();
        let bytes = |digest: &Digest| store.blob(digest).unwrap().bytes.to_vec();
        let mut parts = vec![bytes(&image.digest()), bytes(&manifest.config.digest)];
        parts.extend(manifest.layers.iter().map(|layer| bytes(&layer.digest)));
        for round in 0..400 {
            let mut changed = parts.clone();
            let part = round % parts.len();
            for _ in 0..=numbers.below(3) {
                change(&mut changed[part], &mut numbers);
            }
            let digest = restore(&store, &manifest, changed, part == 0);
            opened += usize::from(Image::open(&store, &digest).is_ok());
        }
    }
    assert!((1..1200).contains(&opened), "{opened} of 1200 changes were harmless");
}

#[test]
fn changed_compressed_bytes_never_panic() {
    let memory = tempfile::tempdir_in("/dev/shm");
    let folder = memory.unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let store = Store::at(folder.path().join("store"));
    let (manifest, config) = whole(&store);
    let tar = store.blob(&manifest.layers[3].digest).unwrap().bytes;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&tar).unwrap();
    let gzip = encoder.finish().unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(&*tar, ruzstd::encoding::CompressionLevel::Fastest);
    let mut numbers = Numbers(0x0dd5_0dd5_0dd5_0dd5);
    for round in 0..600 {
        let (media_type, mut bytes) = match round % 2 {
            0 => (media_types::TAR_GZIP, gzip.clone()),
            _ => (media_types::TAR_ZSTD, zstd.clone()),
        };
        change(&mut bytes, &mut numbers);
        let layer = put_layer(&store, media_type, &bytes);
        let digest = image(&store, vec![layer], vec![Digest::of(b"never")], &config);
        let limits = Limits { unpacked: 1 << 20, files: 100 };
        let error = Image::open_within(&store, &digest, &limits).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge), "{error}");
    }
}

fn change(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let place = numbers.below(bytes.len().max(1));
    match numbers.below(4) {
        0 => bytes.truncate(place),
        1 => bytes.insert(place.min(bytes.len()), numbers.below(256) as u8),
        _ if bytes.is_empty() => {}
        2 => bytes[place] ^= 1 << numbers.below(8),
        _ => bytes[place] = numbers.below(256) as u8,
    }
}

/// Puts changed parts into the store with digests that fit again, so that
/// what reads them is reached.
fn restore(store: &Store, manifest: &ImageManifest, mut parts: Vec<Vec<u8>>, raw: bool) -> Digest {
    let session = store.session().unwrap();
    if raw {
        return session.put(&parts[0]).unwrap();
    }
    let mut manifest = manifest.clone();
    let layers = parts.split_off(2);
    for (layer, bytes) in manifest.layers.iter_mut().zip(&layers) {
        let digest = session.put(bytes).unwrap();
        let text = String::from_utf8_lossy(&parts[1]).replace(&layer.digest.to_string(), &digest.to_string());
        if String::from_utf8(parts[1].clone()).is_ok() {
            parts[1] = text.into_bytes();
        }
        (layer.digest, layer.size) = (digest, bytes.len() as u64);
    }
    session.put(&parts[1]).unwrap();
    manifest.config.digest = Digest::of(&parts[1]);
    manifest.config.size = parts[1].len() as u64;
    session.put(&to_bytes(&manifest)).unwrap()
}

#[test]
fn components_that_are_none_are_refused() {
    let (_folder, store) = store();
    let (manifest, _) = whole(&store);
    for bytes in [&b""[..], b"\0as", b"#!/bin/sh"] {
        let mut manifest = manifest.clone();
        let layer = put_layer(&store, media_types::WASM, bytes);
        manifest.layers[0].digest = layer.digest;
        manifest.layers[0].size = layer.size;
        let (kind, message) = refusal(&store, &put(&store, &manifest));
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(message.starts_with("`out/decode.wasm` is no WebAssembly"), "{message}");
    }
    assert!(component("x").starts_with(b"\0asm"));
}
