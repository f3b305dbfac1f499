//! Models that keep weights in files beside their own.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use samara_package::bundle::{self, BundleSource};
use samara_package::image::{
    Content, DATA_KEY, ErrorKind, Form, Image, ModelContent, ModelSource, Source, TITLE, pack,
};
use samara_package::models::locate;
use samara_package::spec::{ImageManifest, to_bytes};
use samara_package::{Digest, Reference, Store};
use support::{packed, single, store, weights};

fn plain(bytes: &Bytes) -> ModelContent {
    ModelContent::Plain(Content::Bytes(bytes.clone()))
}

fn own(source: &mut Source, name: &str, path: &str, model: &[u8], data: &[(&str, Bytes)]) {
    source.manifest_text.push_str(&format!("[model.{name}]\npath = \"{path}\"\n"));
    let data = data.iter().map(|(name, bytes)| ((*name).to_owned(), plain(bytes)));
    let content = plain(&Bytes::copy_from_slice(model));
    let model = ModelSource { path: path.into(), content, data: data.collect() };
    source.models.insert(name.to_owned(), model);
}

/// A function with a model of 5 bytes, and its weights in two files.
fn function(weights: &Bytes) -> Source {
    let mut source = single(Form::Mixed);
    let data = [("net.onnx.data", weights.clone()), ("./more/w.bin", Bytes::from_static(b"more"))];
    own(&mut source, "m", "nets/net.onnx", b"model", &data);
    source
}

/// Title, digest and what the layer says whose weights it is.
fn layers(image: &Image) -> Vec<(String, Digest, Option<String>)> {
    let layers = image.layers().iter().map(|layer| &layer.descriptor);
    let note = |layer: &samara_package::spec::Descriptor, key| layer.annotations.get(key).cloned();
    layers
        .map(|layer| (note(layer, TITLE).unwrap_or_default(), layer.digest, note(layer, DATA_KEY)))
        .collect()
}

#[test]
fn each_file_is_a_layer_that_versions_share() {
    let (_folder, store) = store();
    let first = Image::open(&store, &packed(&store, &function(&weights(5000)))).unwrap();
    let titles: Vec<_> = layers(&first).into_iter().map(|(title, _, of)| (title, of)).collect();
    let of = |name: &str| Some(name.to_owned());
    assert_eq!(
        titles[1..],
        [
            ("nets/net.onnx".to_owned(), None),
            ("nets/more/w.bin".to_owned(), of("m")),
            ("nets/net.onnx.data".to_owned(), of("m")),
            (String::new(), None)
        ]
    );
    let model = &first.models()["m"];
    assert_eq!(model.data("net.onnx.data").unwrap().bytes, weights(5000));
    assert_eq!(&*model.data("more/w.bin").unwrap().bytes, b"more");
    assert_eq!(model.data("./more/w.bin").unwrap().identity, model.data("more/w.bin").unwrap().identity);
    let session = store.session().unwrap();
    let second = pack(&session, &function(&weights(5001))).unwrap();
    assert!(second.added < 10_000, "only what changed is added: {}", second.added);
    let second = Image::open(&store, &second.digest).unwrap();
    let other = &second.models()["m"];
    assert_eq!(model.identity, other.identity);
    assert_eq!(model.data("more/w.bin").unwrap().identity, other.data("more/w.bin").unwrap().identity);
    assert_ne!(model.data("net.onnx.data").unwrap().identity, other.data("net.onnx.data").unwrap().identity);
}

#[test]
fn two_models_may_keep_weights_in_one_file() {
    let (_folder, store) = store();
    let mut source = single(Form::Tar);
    let shared = [("w.bin", weights(100))];
    own(&mut source, "decoder", "d.onnx", b"decoder", &shared);
    own(&mut source, "encoder", "e.onnx", b"encoder", &shared);
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    let of: Vec<_> = layers(&image).into_iter().filter_map(|(_, _, of)| of).collect();
    assert_eq!(of, ["decoder,encoder"]);
    for name in ["decoder", "encoder"] {
        assert_eq!(image.models()[name].data("w.bin").unwrap().bytes, weights(100));
    }
}

#[test]
fn weights_move_with_a_model_from_another_image() {
    let (_folder, store) = store();
    let names = BTreeSet::from(["net.onnx.data".to_owned(), "./more/w.bin".to_owned()]);
    let reference: Reference = "r.io/zoo:1".parse().unwrap();
    let zoo = packed(&store, &function(&weights(5000)));
    store.session().unwrap().tag(&reference, &zoo).unwrap();
    let file = locate(&store, &reference, None).unwrap();
    let mut source = single(Form::Mixed);
    source.files.insert("nets/more/w.bin".into(), Content::Bytes(Bytes::from_static(b"a test's")));
    source.manifest_text.push_str("[model.m]\npath = \"oci://r.io/zoo:1\"\n");
    source.models.insert("m".to_owned(), file.source(&names).unwrap());
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    let model = &image.models()["m"];
    assert_eq!(model.path.to_str(), Some("models/m/net.onnx"));
    assert_eq!(&*model.data("more/w.bin").unwrap().bytes, b"more");
    assert_eq!(model.data("net.onnx.data").unwrap().bytes, weights(5000));

    source.files.clear();
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    let model = &image.models()["m"];
    assert_eq!(model.path, file.path);
    let data = |name| (file.data(name).unwrap().layer, model.data(name).unwrap().layer);
    assert_eq!(data("net.onnx.data").0, data("net.onnx.data").1, "the layer is shared as it is");
    assert!(data("net.onnx.data").0.is_some());
}

#[test]
fn a_bundle_has_them_too() {
    let (_folder, store) = store();
    let image = Image::open(&store, &packed(&store, &function(&weights(5000)))).unwrap();
    let mut file = Vec::new();
    bundle::write(&BundleSource::from(&image), &mut file).unwrap();
    let bundle = bundle::read(file.into()).unwrap().unwrap();
    let model = &bundle.models["m"];
    let data = model.data("net.onnx.data").unwrap();
    assert_eq!((data.bytes, data.identity), (weights(5000), Digest::of(&weights(5000)).to_string()));
    assert_eq!(&*model.data("more/w.bin").unwrap().bytes, b"more");
    assert_eq!(model.data("none").unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (_folder, store) = store();
    let image = Image::open(&store, &packed(&store, &function(&weights(10)))).unwrap();
    let model = &image.models()["m"];
    let refused = |name: &str| {
        let error = model.data(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        error.to_string()
    };
    assert_eq!(
        refused("../samara.toml"),
        "the model `nets/net.onnx` keeps weights in `../samara.toml`, which leaves the layer with `..`"
    );
    assert!(refused("/samara.toml").ends_with("which has an absolute path"));
    assert!(refused("net.onnx").ends_with("which is the model itself"));
    assert!(refused("more/../net.onnx").contains("`..`"));
    assert!(refused("more").ends_with("which is not there"));
    assert!(refused("").ends_with("which is a file without a name"));
    assert!(refused("gone.bin").ends_with("which is not there"));

    let session = store.session().unwrap();
    for (name, reason) in [
        ("../w", "leaves the layer with `..`"),
        ("/w", "has an absolute path"),
        ("net.onnx", "is the model itself"),
        ("net.onnx/w", "would be a file and the folder of"),
    ] {
        let mut source = single(Form::Mixed);
        own(&mut source, "m", "nets/net.onnx", b"model", &[(name, weights(10))]);
        let error = pack(&session, &source).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    let mut source = single(Form::Mixed);
    own(&mut source, "a", "a.onnx", b"a", &[("w", weights(10))]);
    own(&mut source, "b", "b.onnx", b"b", &[("w", weights(11))]);
    let error = pack(&session, &source).unwrap_err().to_string();
    assert!(error.contains("two files of the image would be `w`"), "{error}");
    let mut source = single(Form::Mixed);
    own(&mut source, "a", "a.onnx", b"a", &[("b.onnx", weights(10))]);
    own(&mut source, "b", "b.onnx", b"b", &[]);
    let error = pack(&session, &source).unwrap_err().to_string();
    assert!(error.contains("two files of the image would be `b.onnx`"), "{error}");
}

/// The image with its layers changed, its `diff_ids` in step.
fn changed(store: &Store, image: &Image, change: impl Fn(&mut Vec<usize>)) -> Result<Image, String> {
    let session = store.session().unwrap();
    let mut order: Vec<usize> = (0..image.layers().len()).collect();
    change(&mut order);
    let layers: Vec<_> = order.iter().map(|&place| image.layers()[place].clone()).collect();
    let old = &image.document().config;
    let mut config: serde_json::Value =
        serde_json::from_slice(&store.blob(&old.digest).unwrap().bytes).unwrap();
    let ids: Vec<String> = layers.iter().filter_map(|layer| Some(layer.diff_id?.to_string())).collect();
    config["rootfs"]["diff_ids"] = ids.into();
    let config = config.to_string();
    session.put(config.as_bytes()).unwrap();
    let config = samara_package::spec::Descriptor::of(&old.media_type, config.as_bytes());
    let layers = layers.into_iter().map(|layer| layer.descriptor).collect();
    let digest = session.put(&to_bytes(&ImageManifest::new(config, layers))).unwrap();
    Image::open(store, &digest).map_err(|error| error.to_string())
}

#[test]
fn images_that_lack_a_layer_or_have_one_twice_are_refused() {
    let (_folder, store) = store();
    let image = Image::open(&store, &packed(&store, &function(&weights(10)))).unwrap();
    let place = layers(&image).iter().position(|(title, ..)| title == "nets/net.onnx.data").unwrap();
    let without = changed(&store, &image, |order| _ = order.remove(place)).unwrap();
    let error = without.models()["m"].data("net.onnx.data").unwrap_err().to_string();
    assert!(
        error.contains("`nets/net.onnx` keeps weights in `net.onnx.data`, which is not there"),
        "{error}"
    );
    let other = packed(&store, &function(&weights(11)));
    let other = Image::open(&store, &other).unwrap();
    let twice = changed(&store, &image, |order| order.push(place)).unwrap_err();
    assert!(twice.contains("`nets/net.onnx.data` is there twice"), "{twice}");
    assert!(other.models()["m"].data("net.onnx.data").is_ok());
}

#[test]
fn an_artifact_of_models_has_them_as_layers() {
    let (_folder, store) = store();
    let session = store.session().unwrap();
    let parts = [("net.onnx", b"model".as_slice()), ("net.onnx.data", b"weights")];
    let layers = parts.map(|(path, bytes)| {
        session.put(bytes).unwrap();
        let layer = samara_package::spec::Descriptor::of("application/vnd.cncf.model.weight.v1.raw", bytes);
        layer.annotated("org.cncf.model.filepath", path)
    });
    session.put(b"{}").unwrap();
    let config = samara_package::spec::Descriptor::of("application/vnd.cncf.model.config.v1+json", b"{}");
    let manifest = ImageManifest::new(config, layers.to_vec());
    let digest = session.put(&to_bytes(&manifest)).unwrap();
    let reference: Reference = "r.io/zoo:1".parse().unwrap();
    session.tag(&reference, &digest).unwrap();
    let file = locate(&store, &reference, Some("net.onnx")).unwrap();
    let data = file.data("net.onnx.data").unwrap();
    assert_eq!((&*data.bytes, data.layer), (b"weights".as_slice(), None));
    let mut source = single(Form::Mixed);
    source.manifest_text.push_str("[model.m]\npath = \"oci://r.io/zoo:1#net.onnx\"\n");
    source.models = BTreeMap::from([(
        "m".to_owned(),
        file.source(&BTreeSet::from(["net.onnx.data".to_owned()])).unwrap(),
    )]);
    let image = Image::open(&store, &packed(&store, &source)).unwrap();
    assert_eq!(&*image.models()["m"].data("net.onnx.data").unwrap().bytes, b"weights");
}
