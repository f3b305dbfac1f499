//! A function in one file.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use samara_package::Digest;
use samara_package::bundle::{Bundle, BundleSource, Error, ErrorKind, read, write};
use samara_package::image::{Content, Form, Image};
use support::{PIPELINE, SINGLE, component, packed, pipeline, store, weights};

fn source() -> BundleSource {
    BundleSource {
        manifest_text: PIPELINE.to_owned(),
        components: BTreeMap::from([
            ("out/decode.wasm".into(), component("decode").into()),
            ("out/label.wasm".into(), component("label").into()),
        ]),
        models: BTreeMap::from([(
            "digits".to_owned(),
            ("models/digits.onnx".into(), weights(100_003).into()),
        )]),
        files: BTreeMap::from([("tests/three.json".into(), Content::Bytes(Bytes::from_static(b"{}")))]),
    }
}

fn written(source: &BundleSource) -> Bytes {
    let mut bytes = Vec::new();
    write(source, &mut bytes).unwrap();
    bytes.into()
}

fn refusal(bytes: impl Into<Bytes>) -> Error {
    read(bytes.into()).unwrap_err()
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn a_bundle_gives_back_what_went_in() {
    let file = written(&source());
    let Bundle { manifest_text, manifest, components, models, files } = read(file.clone()).unwrap().unwrap();
    assert_eq!((&*manifest_text, &*manifest.function.name), (PIPELINE, "digits"));
    let parts: Vec<(PathBuf, Bytes, Digest)> =
        components.into_iter().map(|part| (part.path, part.bytes, part.digest)).collect();
    let expected = |name: &str| {
        (PathBuf::from(format!("out/{name}.wasm")), component(name), Digest::of(&component(name)))
    };
    assert_eq!(parts, [expected("decode"), expected("label")]);
    let model = &models["digits"];
    assert_eq!((&model.bytes, &*model.path), (&weights(100_003), Path::new("models/digits.onnx")));
    assert_eq!(model.identity, Digest::of(&weights(100_003)).to_string());
    assert_eq!(&*files[Path::new("tests/three.json")], b"{}");
    // Slices of the file, not copies, and weights where engines want them.
    let place = model.bytes.as_ptr() as usize - file.as_ptr() as usize;
    assert!(place < file.len());
    assert_eq!(place % 64, 0);
    assert_eq!(parts[0].1.as_ptr(), file.as_ptr());
}

#[test]
fn other_tools_see_the_first_component() {
    let file = written(&source());
    assert!(file.starts_with(&component("decode")));
    let mut custom = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&file) {
        if let wasmparser::Payload::CustomSection(section) = payload.unwrap() {
            custom.push(section.name().to_owned());
        }
    }
    custom.retain(|name| name != "samara:padding");
    assert_eq!(
        custom,
        [
            "n",
            "samara:manifest",
            "samara:component/out/label.wasm",
            "samara:model/digits",
            "samara:file/tests/three.json",
            "samara:index"
        ]
    );
    wasmparser::Validator::new().validate_all(&file).unwrap();
}

#[test]
fn the_same_source_is_the_same_bytes() {
    assert_eq!(
        Digest::of(&written(&source())).to_string(),
        "sha256:41021fa843b062444be2e9f9d219694001f5b4f564ba487f0c82071ab34687f4"
    );
}

#[test]
fn weights_of_every_size_begin_aligned() {
    for size in (0..70).chain([126, 127, 128, 16_000, 16_383, 16_384, 2_097_152]) {
        for name in ["m", "a-model-with-a-name-of-some-length"] {
            let source = BundleSource {
                manifest_text: format!("[function]\nname = \"m\"\n[model.{name}]\npath = \"m.onnx\"\n"),
                models: BTreeMap::from([(name.to_owned(), ("m.onnx".into(), weights(size).into()))]),
                ..BundleSource::default()
            };
            let file = written(&source);
            let bundle = read(file.clone()).unwrap().unwrap();
            let model = &bundle.models[name].bytes;
            assert_eq!(*model, weights(size));
            assert!(
                size == 0 || (model.as_ptr() as usize - file.as_ptr() as usize).is_multiple_of(64),
                "{size}"
            );
            assert!(bundle.components.is_empty(), "the function is its model");
            wasmparser::Validator::new().validate_all(&file).unwrap();
        }
    }
}

#[test]
fn an_image_becomes_a_bundle() {
    let (_folder, store) = store();
    for form in [Form::Mixed, Form::Tar] {
        let image = Image::open(&store, &packed(&store, &pipeline(form))).unwrap();
        let bundle = read(written(&BundleSource::from(&image))).unwrap().unwrap();
        assert_eq!(bundle.models["digits"].bytes, weights(100_003));
        assert_eq!(bundle.components[1].digest, Digest::of(&component("label")));
        let files: Vec<&Path> = bundle.files.keys().map(PathBuf::as_path).collect();
        assert_eq!(files, [Path::new("tests/three.expected.json"), Path::new("tests/three.json")]);
    }
}

#[test]
fn ordinary_files_are_no_bundles() {
    for bytes in
        [component("ordinary"), Bytes::new(), Bytes::from_static(b"\0as"), Bytes::from_static(b"\0asm")]
    {
        assert!(read(bytes).unwrap().is_none());
    }
    let mut cut = component("ordinary").to_vec();
    cut.pop();
    assert!(read(cut.into()).unwrap().is_none(), "what compiles it says what is wrong");
}

#[test]
fn a_bundle_that_is_cut_off_is_told() {
    let file = written(&source());
    let base = component("decode").len();
    assert!(read(file.slice(..base)).unwrap().is_none(), "the component alone is one");
    let name = base + 4 + "samara:".len();
    let ends =
        (name..name + 600).chain((0..200).map(|step| name + step * 500)).chain(file.len() - 600..file.len());
    for end in ends {
        let error = refusal(file.slice(..end));
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(matches!(error, Error::CutOff { .. }), "{end}: {error}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let source = BundleSource {
        manifest_text: SINGLE.to_owned(),
        components: BTreeMap::from([("one.wasm".into(), component("one").into())]),
        ..BundleSource::default()
    };
    let file = written(&source);
    let expected = read(file.clone()).unwrap().unwrap();
    for place in 8..file.len() {
        for bit in 0..8 {
            let mut changed = file.to_vec();
            changed[place] ^= 1 << bit;
            match read(changed.into()) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{place}: {error}"),
                // Neither a part nor a name of one changed: it no longer is a bundle.
                Ok(None) => assert!(place < file.len() - 9, "{place}"),
                Ok(Some(bundle)) => {
                    assert_eq!(bundle.manifest_text, expected.manifest_text, "{place}");
                    assert_eq!(bundle.components[0].bytes, expected.components[0].bytes, "{place}");
                }
            }
        }
    }
}

#[test]
fn bundles_that_do_not_fit_their_table_are_refused() {
    let file = written(&source());
    let said = |bytes: Vec<u8>| {
        let error = refusal(bytes);
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        error.to_string()
    };
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut bytes = file.to_vec();
        let place = bytes.len() - 2000 + position(&bytes[bytes.len() - 2000..], from.as_bytes());
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let mut appended = file.to_vec();
    appended.extend(b"\x00\x02\x01x");
    assert!(said(appended).contains("another tool added sections"));
    let mut twice = file.to_vec();
    let index = file.len() - position(&file[file.len() - 2000..], b"samara:index");
    twice.extend_from_slice(&file[index..]);
    assert!(read(twice.into()).is_err());
    let mut weights = file.to_vec();
    let place = file.len() - 5000;
    weights[place] ^= 1;
    assert_eq!(said(weights), "the bundle is damaged: the bytes of `samara:model/digits` changed");
    let mut base = file.to_vec();
    let place = position(&base, b"decode");
    base[place] = b'D';
    assert!(said(base).contains("its first component is not what its table says"));
    assert!(
        said(replaced("\"version\":1", "\"version\":2"))
            .contains("version 2; this samara reads version 1\nhint: ")
    );
    assert!(said(replaced("\"version\":1", "\"Version\":1")).contains("table cannot be read"));
    assert!(said(replaced("samara:model/digits", "samara:model/digitz")).contains("not those of its table"));
    assert!(said(replaced("\"length\":2,", "\"length\":3,")).contains("not those of its table"));
    assert!(said(replaced("models/digits.onnx", "/etc/shadow.onnx.x")).contains("absolute path"));
}

#[test]
fn sources_that_do_not_fit_are_refused() {
    let refused = |change: &dyn Fn(&mut BundleSource)| {
        let mut source = source();
        change(&mut source);
        let error = write(&source, &mut Vec::new()).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, message) = refused(&|source| drop(source.components.remove(Path::new("out/label.wasm"))));
    assert_eq!(kind, ErrorKind::Input);
    assert!(message.contains("`out/label.wasm` was not given"), "{message}");
    assert!(refused(&|source| source.models.clear()).1.contains("not those that the manifest names"));
    let bundle = written(&source());
    let nested = |source: &mut BundleSource| {
        source.components.insert("out/decode.wasm".into(), bundle.clone().into());
    };
    assert!(refused(&nested).1.contains("`out/decode.wasm` is a bundle itself"));
    let none = |source: &mut BundleSource| {
        source.components.insert("out/decode.wasm".into(), Bytes::from_static(b"\x7fELF").into());
    };
    assert!(refused(&none).1.contains("no WebAssembly"));
    let missing = |source: &mut BundleSource| {
        source.files.insert("x.json".into(), PathBuf::from("/nowhere/x.json").into());
    };
    assert_eq!(refused(&missing), (ErrorKind::Input, "cannot read `/nowhere/x.json`".to_owned()));
}

#[test]
fn a_model_that_no_section_can_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.onnx");
    // Takes no room: it has no data.
    std::fs::File::create(&path).unwrap().set_len(4 << 30).unwrap();
    let mut source = source();
    source.models.insert("digits".to_owned(), ("huge.onnx".into(), path.into()));
    let error = write(&source, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("`samara:model/digits` has 4294967296 bytes"), "{error}");
    assert!(error.to_string().contains("\nhint: pack the function as an image"), "{error}");
}

#[test]
fn a_full_disk_is_an_error_of_the_bundle() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = write(&source(), &mut Full).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Io, "cannot write the bundle".to_owned()));
}
