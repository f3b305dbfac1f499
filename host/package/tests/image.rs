//! Images as samara packs them, and as it reads them back.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use samara_package::image::{Content, ErrorKind, Form, Image, ModelContent, ModelSource, Source, pack};
use samara_package::spec::{Descriptor, ImageManifest, to_bytes};
use samara_package::{Digest, Store, media_types};
use support::{PIPELINE, SINGLE, component, packed, pipeline, single, store, weights};

#[test]
fn a_mixed_image_gives_back_what_went_in() {
    let (_folder, store) = store();
    let digest = packed(&store, &pipeline(Form::Mixed));
    let image = Image::open(&store, &digest).unwrap();
    assert_eq!((image.digest(), image.form()), (digest, Form::Mixed));
    assert_eq!(image.manifest_text(), Some(PIPELINE));
    assert_eq!(image.manifest().unwrap().function.name, "digits");
    let components: Vec<_> = image
        .components()
        .iter()
        .map(|component| (component.path.clone(), component.bytes.clone()))
        .collect();
    assert_eq!(
        components,
        [
            (PathBuf::from("out/decode.wasm"), component("decode")),
            (PathBuf::from("out/label.wasm"), component("label")),
        ]
    );
    let model = &image.models()["digits"];
    assert_eq!(model.bytes, weights(100_003));
    assert_eq!(model.path, Path::new("models/digits.onnx"));
    assert_eq!(model.identity, format!("{}#models/digits.onnx", image.layers()[2].descriptor.digest));
    assert_eq!(&*image.file(Path::new("./tests/three.json")).unwrap(), b"{\"inputs\": []}");
    assert_eq!(image.file(Path::new("tests/four.json")), None);
    let types: Vec<&str> = image.layers().iter().map(|layer| &*layer.descriptor.media_type).collect();
    assert_eq!(types, [media_types::WASM, media_types::WASM, media_types::TAR, media_types::TAR]);
    let annotations = image.annotations();
    assert_eq!(annotations["org.opencontainers.image.title"], "digits");
    assert_eq!(annotations["org.opencontainers.image.version"], "1.2.3");
    assert_eq!(annotations.len(), 2);
}

#[test]
fn the_same_source_is_the_same_bytes_everywhere() {
    let digests = [Form::Mixed, Form::Tar].map(|form| packed(&store().1, &pipeline(form)).to_string());
    // What these were when they were first packed: a change of the form is
    // meant to be seen here.
    assert_eq!(
        digests,
        [
            "sha256:9c00425cc4b2e7f5a2e252513cd7d8eba8179d45f806d180f4c60e93f1dbfc5f",
            "sha256:1aa68109e9f9d00a1bf566a816bd91d35f52d835718733d34f12254ca29a0b51",
        ]
    );
    let wasm = packed(&store().1, &single(Form::Wasm)).to_string();
    assert_eq!(wasm, "sha256:ba6eb8340c5bb89f2a29d244bf822f31848fdab59e4c101e33560b61954d80d3");
}

#[test]
fn files_and_bytes_pack_the_same_and_times_do_not_matter() {
    let (folder, store) = store();
    let source = pipeline(Form::Mixed);
    let expected = packed(&store, &source);
    let mut from_files = source.clone();
    let file = |name: &str, content: &Content| {
        let Content::Bytes(bytes) = content else { panic!("a file already") };
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        Content::File(path)
    };
    for (place, content) in
        from_files.components.values_mut().chain(from_files.files.values_mut()).enumerate()
    {
        *content = file(&place.to_string(), content);
    }
    for model in from_files.models.values_mut() {
        let ModelContent::Plain(content) = &mut model.content else { panic!("a layer") };
        *content = file("model", content);
    }
    let again = pack(&store.session().unwrap(), &from_files).unwrap();
    assert_eq!((again.digest, again.added), (expected, 0), "nothing is written twice");
}

#[test]
fn a_layer_that_was_damaged_is_packed_anew() {
    let (_folder, store) = store();
    let digest = packed(&store, &pipeline(Form::Mixed));
    let layers: Vec<_> = Image::open(&store, &digest).unwrap().document().layers.clone();
    for layer in &layers {
        let path = store.blob(&layer.digest).unwrap().path;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, vec![0; layer.size as usize]).unwrap();
    }
    assert!(Image::open(&store, &digest).is_err());
    assert_eq!(packed(&store, &pipeline(Form::Mixed)), digest);
    Image::open(&store, &digest).unwrap();
}

#[test]
fn another_code_shares_the_weights() {
    let (_folder, store) = store();
    let first = packed(&store, &pipeline(Form::Mixed));
    let mut changed = pipeline(Form::Mixed);
    changed.components.insert("out/label.wasm".into(), component("label 2").into());
    let second = pack(&store.session().unwrap(), &changed).unwrap();
    assert!(second.added < 3000, "{} bytes", second.added);
    assert!(second.size > 100_003);
    let [first, second] = [first, second.digest].map(|digest| Image::open(&store, &digest).unwrap());
    assert_eq!(first.models()["digits"].identity, second.models()["digits"].identity);
    assert_ne!(first.digest(), second.digest());
}

#[test]
fn the_tar_form_holds_everything_in_tars() {
    let (_folder, store) = store();
    let image = Image::open(&store, &packed(&store, &pipeline(Form::Tar))).unwrap();
    assert_eq!(image.form(), Form::Tar);
    assert_eq!(image.layers().len(), 4);
    assert!(image.layers().iter().all(|layer| layer.descriptor.media_type == media_types::TAR));
    assert_eq!(image.components()[1].bytes, component("label"));
    assert_eq!(image.components()[1].digest, Digest::of(&component("label")));
    assert_eq!(image.models()["digits"].bytes, weights(100_003));
    let files: Vec<&str> = image.files().map(|(path, _)| path).collect();
    assert_eq!(
        files,
        [
            "models/digits.onnx",
            "out/decode.wasm",
            "out/label.wasm",
            "samara.toml",
            "tests/three.expected.json",
            "tests/three.json"
        ]
    );
}

#[test]
fn a_wasm_artifact_is_one_component_with_its_manifest_beside_it() {
    let (_folder, store) = store();
    let image = Image::open(&store, &packed(&store, &single(Form::Wasm))).unwrap();
    assert_eq!((image.form(), image.manifest_text()), (Form::Wasm, Some(SINGLE)));
    assert_eq!(image.components()[0].bytes, component("one"));
    assert_eq!(image.components()[0].path, Path::new("one.wasm"));
    let config = store.blob(&image.document().config.digest).unwrap().bytes;
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(
        config,
        serde_json::json!({
            "created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip2",
            "layerDigests": [Digest::of(&component("one")).to_string()],
            "component": {
                "imports": ["wasi:cli/environment@0.2.6"], "exports": ["wasi:cli/run@0.2.6"],
            },
        })
    );
}

#[test]
fn a_wasm_artifact_of_another_tool_needs_no_manifest() {
    let (_folder, store) = store();
    let session = store.session().unwrap();
    let wasm = component("theirs");
    session.put(&wasm).unwrap();
    let config = br#"{"created":"2024-06-25T15:58:49Z","author":null,"architecture":"wasm","os":"wasip1"}"#;
    session.put(config).unwrap();
    let manifest = ImageManifest::new(
        Descriptor::of(media_types::WASM_CONFIG, config),
        vec![Descriptor::of(media_types::WASM, &wasm)],
    );
    let digest = session.put(&to_bytes(&manifest)).unwrap();
    let image = Image::open(&store, &digest).unwrap();
    assert_eq!((image.manifest_text(), image.components().len()), (None, 1));
    assert_eq!(image.components()[0].bytes, wasm);
}

#[test]
fn what_only_an_artifact_cannot_hold_is_refused() {
    let (_folder, store) = store();
    let session = store.session().unwrap();
    for (source, reason) in [
        (pipeline(Form::Wasm), "the function has 2"),
        (
            Source {
                manifest_text: "[function]\nname=\"m\"\n[model.m]\npath=\"m\"".to_owned(),
                models: model("m", "m", b"m"),
                form: Form::Wasm,
                ..Source::default()
            },
            "the function has none",
        ),
    ] {
        let error = pack(&session, &source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.to_string().contains("\nhint: "), "{error}");
    }
}

fn model(name: &str, path: &str, bytes: &'static [u8]) -> BTreeMap<String, ModelSource> {
    let content = ModelContent::Plain(Content::Bytes(Bytes::from_static(bytes)));
    [(name.to_owned(), ModelSource { path: path.into(), content, data: BTreeMap::new() })].into()
}

#[test]
fn sources_that_contradict_themselves_are_refused() {
    let (folder, store) = store();
    let session = store.session().unwrap();
    let refusal = |change: &dyn Fn(&mut Source)| {
        let mut source = pipeline(Form::Mixed);
        change(&mut source);
        let error = pack(&session, &source).unwrap_err();
        (error.kind(), error.to_string())
    };
    type Change<'a> = &'a dyn Fn(&mut Source);
    let cases: [(Change<'_>, ErrorKind, &str); 10] = [
        (
            &|source| drop(source.components.remove(Path::new("out/label.wasm"))),
            ErrorKind::Input,
            "`out/label.wasm` was not given",
        ),
        (
            &|source| drop(source.components.insert("x.wasm".into(), component("x").into())),
            ErrorKind::Input,
            "does not name",
        ),
        (&|source| source.models.clear(), ErrorKind::Input, "not those that the manifest names"),
        (
            &|source| drop(source.files.insert("samara.toml".into(), Bytes::new().into())),
            ErrorKind::Input,
            "two files of the image would be `samara.toml`",
        ),
        (
            &|source| drop(source.files.insert("models/digits.onnx".into(), Bytes::new().into())),
            ErrorKind::Input,
            "two files",
        ),
        (
            &|source| drop(source.files.insert("tests".into(), Bytes::new().into())),
            ErrorKind::Input,
            "a file and the folder of",
        ),
        (&|source| drop(source.files.insert("../x".into(), Bytes::new().into())), ErrorKind::Input, "`..`"),
        (
            &|source| {
                drop(source.components.insert("out/label.wasm".into(), Bytes::from_static(b"\x7fELF").into()))
            },
            ErrorKind::Unsupported,
            "`out/label.wasm` is no WebAssembly: it begins with `\\x7fELF`",
        ),
        (
            &|source| {
                drop(source.components.insert("out/label.wasm".into(), folder.path().join("none").into()))
            },
            ErrorKind::Io,
            "none`",
        ),
        (&|source| source.manifest_text.push_str("\nx = 1"), ErrorKind::Corrupt, "samara.toml"),
    ];
    for (change, kind, reason) in cases {
        let (found, message) = refusal(change);
        assert_eq!(found, kind, "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn long_and_foreign_paths_survive() {
    let (_folder, store) = store();
    let mut source = single(Form::Mixed);
    let paths = [
        format!("{}/{}.json", "a".repeat(90), "b".repeat(90)),
        "ä/模型.json".to_owned(),
        format!("{}.json", "c".repeat(100 - ".json".len())),
        format!("{}.json", "d".repeat(101 - ".json".len())),
    ];
    for path in &paths {
        source.files.insert(path.into(), Bytes::copy_from_slice(path.as_bytes()).into());
    }
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    for path in &paths {
        assert_eq!(image.file(Path::new(path)).unwrap(), path.as_bytes());
    }
    // As another reader of tars sees it.
    let layer = image.layers().last().unwrap().descriptor.digest;
    let mut archive = tar::Archive::new(std::io::Cursor::new(store.blob(&layer).unwrap().bytes));
    let mut seen = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        let mode = if header.entry_type().is_dir() { 0o755 } else { 0o644 };
        assert_eq!(header.mode().unwrap(), mode);
        seen.push(String::from_utf8(entry.path_bytes().into_owned()).unwrap());
    }
    for path in &paths {
        assert!(seen.contains(path), "{seen:?}");
    }
    assert_eq!(seen.iter().filter(|path| *path == "ä/").count(), 1, "{seen:?}");
}

#[test]
fn one_file_may_be_two_models() {
    let (_folder, store) = store();
    let text = "[function]\nname=\"two\"\ncomponent=\"one.wasm\"\n[model.a]\npath=\"m.onnx\"\n[model.b]\npath=\"m.onnx\"\nthreads=1\n";
    let mut source = single(Form::Mixed);
    source.manifest_text = text.to_owned();
    source.models = model("a", "m.onnx", b"weights");
    source.models.extend(model("b", "m.onnx", b"weights"));
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    assert_eq!(image.layers().len(), 3);
    assert_eq!(image.models()["a"].identity, image.models()["b"].identity);
    source.models.extend(model("b", "m.onnx", b"others"));
    let error = pack(&store.session().unwrap(), &source).unwrap_err();
    assert!(error.to_string().contains("two files of the image would be `m.onnx`"), "{error}");
}

#[test]
fn a_function_may_be_its_model_alone() {
    let (_folder, store) = store();
    let source = Source {
        manifest_text: "[function]\nname = \"m\"\n[model.m]\npath = \"m.onnx\"\n".to_owned(),
        models: model("m", "m.onnx", b"weights"),
        ..Source::default()
    };
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    assert!(image.components().is_empty());
    assert_eq!(&*image.models()["m"].bytes, b"weights");
    assert_eq!(image.layers().len(), 2);
}

#[test]
fn a_long_manifest_is_no_label() {
    let (_folder, store) = store();
    let mut source = pipeline(Form::Mixed);
    source.manifest_text.push_str(&format!("# {}\n", "x".repeat(4096)));
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    assert_eq!(image.manifest_text(), Some(&*source.manifest_text));
    assert_eq!(image.annotations()["dev.samara.manifest"], source.manifest_text);
    assert_eq!(image.models()["digits"].bytes, weights(100_003));
}

#[test]
fn what_an_image_says_of_itself() {
    let (_folder, store) = store();
    let mut source = single(Form::Mixed);
    source.about.source = Some("https://example.com/one".to_owned());
    source.about.licenses = Some("Apache-2.0".to_owned());
    source.about.created = Some("2026-11-22T00:00:00Z".to_owned());
    source.about.title = Some("One".to_owned());
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    assert_eq!(image.created(), Some("2026-11-22T00:00:00Z"));
    let expected = [
        ("org.opencontainers.image.created", "2026-11-22T00:00:00Z"),
        ("org.opencontainers.image.licenses", "Apache-2.0"),
        ("org.opencontainers.image.source", "https://example.com/one"),
        ("org.opencontainers.image.title", "One"),
        ("org.opencontainers.image.version", "0.1.0"),
    ];
    assert!(image.annotations().iter().map(|(key, value)| (&**key, &**value)).eq(expected));
}

/// The same image with its tar layers compressed, as other tools push it.
fn recompressed(
    store: &Store,
    digest: &Digest,
    media_type: &str,
    compress: impl Fn(&[u8]) -> Vec<u8>,
) -> Digest {
    let image = Image::open(store, digest).unwrap();
    let session = store.session().unwrap();
    let mut document = image.document().clone();
    for layer in &mut document.layers {
        if layer.media_type == media_types::TAR {
            let bytes = compress(&store.blob(&layer.digest).unwrap().bytes);
            *layer = Descriptor::new(media_type, session.put(&bytes).unwrap(), bytes.len() as u64);
        }
    }
    session.put(&to_bytes(&document)).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // In two members, as parallel compressors write it.
    let mut compressed = Vec::new();
    for part in bytes.chunks(bytes.len() / 2 + 1) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        compressed.extend(encoder.finish().unwrap());
    }
    compressed
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    let half = bytes.len() / 2;
    let mut compressed = compress_to_vec(&bytes[..half], CompressionLevel::Fastest);
    compressed.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]); // a frame to skip
    compressed.extend(compress_to_vec(&bytes[half..], CompressionLevel::Fastest));
    compressed
}

#[test]
fn compressed_layers_are_decompressed_once() {
    type Compress = fn(&[u8]) -> Vec<u8>;
    let forms: [(&str, Compress); 4] = [
        (media_types::TAR_GZIP, gzip),
        (media_types::TAR_ZSTD, zstd),
        (media_types::DOCKER_TAR_GZIP, gzip),
        (media_types::DOCKER_TAR, <[u8]>::to_vec),
    ];
    for (media_type, compress) in forms {
        let (_folder, store) = store();
        let plain = packed(&store, &pipeline(Form::Mixed));
        let tars: Vec<Digest> =
            Image::open(&store, &plain).unwrap().layers().iter().filter_map(|layer| layer.diff_id).collect();
        let digest = recompressed(&store, &plain, media_type, compress);
        if media_type != media_types::DOCKER_TAR {
            for tar in &tars {
                std::fs::remove_file(store.blob(tar).unwrap().path).unwrap();
            }
        }
        let image = Image::open(&store, &digest).unwrap();
        assert_eq!(image.models()["digits"].bytes, weights(100_003), "{media_type}");
        assert_eq!(image.models()["digits"].layer, Some(tars[0]));
        assert_eq!(image.components()[0].bytes, component("decode"));
        let before = std::fs::metadata(store.blob(&tars[0]).unwrap().path).unwrap().modified().unwrap();
        Image::open(&store, &digest).unwrap();
        let after = std::fs::metadata(store.blob(&tars[0]).unwrap().path).unwrap().modified().unwrap();
        assert_eq!(before, after, "later opens find what the first one made");
    }
}

#[test]
fn an_index_leads_to_its_image_for_webassembly() {
    let (_folder, store) = store();
    let digest = packed(&store, &pipeline(Form::Mixed));
    let size = store.blob(&digest).unwrap().bytes.len();
    let entry = |digest: &Digest, size: usize, architecture: &str| {
        serde_json::json!({
            "mediaType": media_types::IMAGE_MANIFEST, "digest": digest.to_string(), "size": size,
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let open = |entries: &[serde_json::Value]| {
        let index = serde_json::json!({"schemaVersion": 2, "manifests": entries});
        let index = store.session().unwrap().put(index.to_string().as_bytes()).unwrap();
        Image::open(&store, &index)
    };
    let other = Digest::of(b"other");
    let chosen = open(&[entry(&other, 9, "amd64"), entry(&digest, size, "wasm")]).unwrap();
    assert_eq!(chosen.digest(), digest);
    assert_eq!(open(&[entry(&digest, size, "amd64")]).unwrap().digest(), digest, "the only one");
    let error = open(&[entry(&other, 9, "amd64"), entry(&other, 9, "arm64")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("an index of images for linux/amd64, linux/arm64"), "{error}");
    assert!(
        open(&[entry(&digest, size, "wasm"), entry(&other, 9, "wasm")])
            .unwrap_err()
            .to_string()
            .contains("name one by its digest")
    );
    assert_eq!(open(&[]).unwrap_err().kind(), ErrorKind::Unsupported);
    let wrong_size = open(&[entry(&digest, size + 1, "wasm")]).unwrap_err();
    assert_eq!(wrong_size.kind(), ErrorKind::Corrupt);
}

#[test]
fn every_document_is_what_the_oci_specification_says() {
    let (_folder, store) = store();
    for source in [pipeline(Form::Mixed), pipeline(Form::Tar), single(Form::Wasm)] {
        let packed = pack(&store.session().unwrap(), &source).unwrap();
        let bytes = store.blob(&packed.digest).unwrap().bytes;
        let manifest = oci_spec::image::ImageManifest::from_reader(&*bytes).unwrap();
        assert_eq!(manifest.schema_version(), 2);
        assert_eq!(manifest.layers().len(), packed.manifest.layers.len());
        let total: u64 = manifest.layers().iter().map(oci_spec::image::Descriptor::size).sum();
        assert_eq!(total + manifest.config().size() + bytes.len() as u64, packed.size);
        if source.form != Form::Wasm {
            let config = store.blob(&packed.manifest.config.digest).unwrap().bytes;
            let config = oci_spec::image::ImageConfiguration::from_reader(&*config).unwrap();
            let entrypoint = config.config().as_ref().unwrap().entrypoint().clone().unwrap();
            assert_eq!(entrypoint, ["/out/decode.wasm"]);
            assert_eq!(config.architecture().to_string(), "wasm");
            assert_eq!(config.os().to_string(), "wasip1");
        }
    }
}
