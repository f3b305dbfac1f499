//! Images as samara packs them, and as it reads them back.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::path::{Path, PathBuf};

use samara_package::image::{Form, Image, pack};
use samara_package::{Digest, Store, media_types};
use support::{PIPELINE, component, pipeline, single, store, weights};

fn packed(store: &Store, source: &samara_package::image::Source) -> Digest {
    pack(&store.session().unwrap(), source).unwrap().digest
}

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
