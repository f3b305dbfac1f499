//! Models that come from other images and from ModelPack artifacts.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use samara_package::image::{Form, Image, ModelContent, ModelFile, ModelSource, pack};
use samara_package::models::{ErrorKind, locate};
use samara_package::spec::{Descriptor, ImageConfig, ImageManifest, to_bytes};
use samara_package::store::CollectOptions;
use samara_package::{Digest, Reference, Store, media_types};
use support::{packed, pipeline, single, store, weights};

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// A ModelPack artifact of given layers, tagged.
fn artifact(store: &Store, name: &str, layers: &[(&str, &str, Bytes)], diff_ids: &[Digest]) -> Digest {
    let session = store.session().unwrap();
    let descriptors = layers.iter().map(|(kind, path, bytes)| {
        session.put(bytes).unwrap();
        let layer = Descriptor::of(&format!("application/vnd.cncf.model.{kind}"), bytes);
        match *path {
            "" => layer,
            path => layer.annotated("org.cncf.model.filepath", path),
        }
    });
    let layers = descriptors.collect();
    let ids: Vec<String> = diff_ids.iter().map(Digest::to_string).collect();
    let config = serde_json::json!({
        "descriptor": {"name": "zoo"}, "config": {"format": "onnx"},
        "modelfs": {"type": "layers", "diffIds": ids},
    });
    let config = config.to_string();
    session.put(config.as_bytes()).unwrap();
    let mut manifest = ImageManifest::new(
        Descriptor::of("application/vnd.cncf.model.config.v1+json", config.as_bytes()),
        layers,
    );
    manifest.artifact_type = Some("application/vnd.cncf.model.manifest.v1+json".to_owned());
    let digest = session.put(&to_bytes(&manifest)).unwrap();
    session.tag(&reference(name), &digest).unwrap();
    digest
}

fn tar(files: &[(&str, &[u8])]) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap().into()
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

/// A function whose model is `file`, opened.
fn function_with(store: &Store, file: &ModelFile) -> Image {
    let mut source = single(Form::Mixed);
    source.manifest_text.push_str("[model.m]\npath = \"oci://r.io/zoo:1\"\n");
    source.models.insert("m".to_owned(), file.source(&BTreeSet::new()).unwrap());
    Image::open(store, &packed(store, &source)).unwrap()
}

#[test]
fn the_layer_of_another_image_is_shared_as_it_is() {
    let (_folder, store) = store();
    let digest = packed(&store, &pipeline(Form::Mixed));
    store.session().unwrap().tag(&reference("r.io/digits:1"), &digest).unwrap();
    let file = locate(&store, &reference("r.io/digits:1"), None).unwrap();
    assert_eq!(file.bytes, weights(100_003));
    let pinned = reference("r.io/digits:1").with_digest(digest);
    assert_eq!(locate(&store, &pinned, Some("digits")).unwrap().identity, file.identity);
    let layer = Image::open(&store, &digest).unwrap().models()["digits"].layer.unwrap();
    assert_eq!(file.layer, Some(layer));
    let image = function_with(&store, &file);
    assert!(image.layers().iter().any(|part| part.descriptor.digest == layer));
    assert_eq!(image.models()["m"].identity, file.identity, "equal layers are equal models");
}

#[test]
fn a_model_whose_place_is_taken_moves() {
    let (_folder, store) = store();
    let first = artifact(&store, "r.io/a:1", &[("weight.v1.tar", "", tar(&[("model.onnx", b"a")]))], &[]);
    let second = artifact(&store, "r.io/b:1", &[("weight.v1.tar", "", tar(&[("model.onnx", b"b")]))], &[]);
    assert_ne!(first, second);
    let mut source = single(Form::Mixed);
    for (name, from) in [("a", "r.io/a:1"), ("b", "r.io/b:1")] {
        source.manifest_text.push_str(&format!("[model.{name}]\npath = \"oci://{from}\"\n"));
        source.models.insert(
            name.to_owned(),
            locate(&store, &reference(from), None).unwrap().source(&BTreeSet::new()).unwrap(),
        );
    }
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    assert_eq!((&*image.models()["a"].bytes, &*image.models()["b"].bytes), (&b"a"[..], &b"b"[..]));
    assert_eq!(image.models()["a"].path, Path::new("model.onnx"));
    assert_eq!(image.models()["b"].path, Path::new("models/b/model.onnx"));
    let config = store.blob(&image.document().config.digest).unwrap().bytes;
    let config: ImageConfig = serde_json::from_slice(&config).unwrap();
    assert_eq!(
        config.config.env,
        ["SAMARA_MODEL_A=/model.onnx", "SAMARA_MODEL_B=/models/b/model.onnx"],
        "a container finds them"
    );
}

#[test]
fn a_layer_of_several_files_is_no_model() {
    let (_folder, store) = store();
    let session = store.session().unwrap();
    let layer = session.put(&tar(&[("a.onnx", b"a"), ("b.onnx", b"b")])).unwrap();
    let mut source = single(Form::Mixed);
    source.manifest_text.push_str("[model.m]\npath = \"oci://r.io/zoo:1\"\n");
    let content = ModelContent::Layer(layer);
    source
        .models
        .insert("m".to_owned(), ModelSource { path: "a.onnx".into(), content, data: BTreeMap::new() });
    let error = pack(&session, &source).unwrap_err();
    assert!(error.to_string().contains("has 2 files, not one"), "{error}");
}

#[test]
fn every_way_to_pack_weights_is_read() {
    let (_folder, store) = store();
    let model = weights(5000);
    let tarred = tar(&[("net/model.onnx", &model)]);
    let zstd = ruzstd::encoding::compress_to_vec(&*tarred, ruzstd::encoding::CompressionLevel::Fastest);
    let id = Digest::of(&tarred);
    let packings = [
        ("weight.v1.raw", "net/model.onnx", model.clone()),
        ("weight.v1.tar", "net", tarred.clone()),
        ("weight.v1.tar+gzip", "net", gzip(&tarred)),
        ("weight.v1.tar+zstd", "net", zstd.into()),
    ];
    for (kind, path, bytes) in packings {
        let other = ("doc.v1.raw", "README.md", Bytes::from_static(b"read me"));
        let config = ("weight.config.v1.raw", "config.json", Bytes::from_static(b"{}"));
        let layers = [other, (kind, path, bytes.clone()), config];
        artifact(&store, "r.io/zoo:1", &layers, &[Digest::of(b"1"), id, Digest::of(b"2")]);
        let file = locate(&store, &reference("r.io/zoo:1"), None).unwrap();
        assert_eq!((&file.bytes, &*file.path), (&model, Path::new("net/model.onnx")), "{kind}");
        assert_eq!(file.layer.is_some(), kind != "weight.v1.raw");
        let image = function_with(&store, &file);
        assert_eq!(image.models()["m"].bytes, model, "{kind}");
        assert_eq!(image.layers()[1].descriptor.media_type, media_types::TAR);
        // What was decompressed is collected with its artifact, and not before.
        store.collect(&CollectOptions::default()).unwrap();
        assert_eq!(store.contains(&id), kind != "weight.v1.raw", "{kind}");
    }
}

#[test]
fn among_several_models_one_must_be_named() {
    let (_folder, store) = store();
    let raw = |path, bytes| ("weight.v1.raw", path, Bytes::from_static(bytes));
    artifact(&store, "r.io/zoo:1", &[raw("a.onnx", b"a"), raw("b.onnx", b"b")], &[]);
    let zoo = reference("r.io/zoo:1");
    let error = locate(&store, &zoo, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    assert_eq!(
        error.to_string(),
        "`r.io/zoo:1` has several models, `a.onnx`, `b.onnx`\nhint: name one, e.g. `oci://r.io/zoo:1#a.onnx`"
    );
    assert_eq!(&*locate(&store, &zoo, Some("b.onnx")).unwrap().bytes, b"b");
    let error = locate(&store, &zoo, Some("c.onnx")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().ends_with("has no model `c.onnx`; it has `a.onnx`, `b.onnx`"), "{error}");
}

#[test]
fn what_is_no_model_is_refused() {
    let (_folder, store) = store();
    let find = |name: &str| locate(&store, &reference(name), None).unwrap_err();
    assert_eq!(find("r.io/none:1").kind(), ErrorKind::NotFound);
    let digest = packed(&store, &single(Form::Mixed));
    store.session().unwrap().tag(&reference("one"), &digest).unwrap();
    assert_eq!(find("one").to_string(), "`one:latest` has no models");
    let refused = |layer: (&str, &str, Bytes), ids: &[Digest]| {
        artifact(&store, "r.io/bad:1", &[layer], ids);
        let error = find("r.io/bad:1");
        assert_eq!(error.kind(), ErrorKind::Image);
        error.to_string()
    };
    let bytes = Bytes::from_static(b"x");
    assert!(refused(("weight.v1.raw", "", bytes.clone()), &[]).contains("no annotation says which file"));
    assert!(refused(("weight.v1.raw", "../x", bytes.clone()), &[]).contains("`..`"));
    assert!(refused(("weight.v1.tar+xz", "x", bytes.clone()), &[]).contains("unknown here"));
    assert!(refused(("weight.v1.tar", "x", bytes.clone()), &[]).contains("cut off"));
    let compressed = gzip(&tar(&[("x", b"x")]));
    assert!(refused(("weight.v1.tar+gzip", "x", compressed.clone()), &[]).contains("`modelfs.diffIds`"));
    let wrong = [Digest::of(b"wrong")];
    assert!(refused(("weight.v1.tar+gzip", "x", compressed), &wrong).contains("its content is"));
}
