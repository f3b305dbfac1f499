//! Documents that are written, attached and read.

use serde_json::Value;

use super::*;
use crate::spec;

fn digits() -> Bom {
    let package = |name: &str, version: &str, licence: Option<&str>| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: format!("pkg:cargo/{name}@{version}"),
        sha256: licence.map(|_| Digest::of(name.as_bytes())),
        licence: licence.map(str::to_owned),
    };
    let model = |name: &str| Model {
        name: name.to_owned(),
        digest: Digest::of(name.as_bytes()),
        format: "onnx".to_owned(),
        size: 12,
        data: Vec::new(),
    };
    Bom {
        name: "digits".to_owned(),
        version: "0.1.0".to_owned(),
        digest: Some(Digest::of(b"component")),
        packages: vec![package("serde", "1.0.1", Some("MIT OR Apache-2.0")), package("half", "2.0.0", None)],
        models: vec![model("digits")],
    }
}

struct Ground {
    _folder: tempfile::TempDir,
    session: Session,
    image: Digest,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let session = Store::at(folder.path().join("store")).session().unwrap();
        let manifest = ImageManifest::new(Descriptor::of("text/plain", b"x"), Vec::new());
        let image = session.put(&spec::to_bytes(&manifest)).unwrap();
        Self { _folder: folder, session, image }
    }

    fn attached(&self) -> Vec<Attached> {
        attached(self.session.store(), &self.image).unwrap()
    }
}

#[test]
fn equal_content_is_equal_bytes() {
    let mut shuffled = digits();
    shuffled.packages.reverse();
    shuffled.packages.push(shuffled.packages[0].clone());
    assert_eq!(digits().to_cyclonedx(), shuffled.to_cyclonedx());
    let serial = |bom: &Bom| {
        let document: Value = serde_json::from_slice(&bom.to_cyclonedx()).unwrap();
        document["serialNumber"].as_str().unwrap().to_owned()
    };
    let mut other = digits();
    other.version = "0.2.0".to_owned();
    assert_ne!(serial(&digits()), serial(&other));
}

#[test]
fn a_document_names_packages_and_models() {
    let document: Value = serde_json::from_slice(&digits().to_cyclonedx()).unwrap();
    assert_eq!(document["specVersion"], "1.6");
    let components = document["components"].as_array().unwrap();
    let names: Vec<_> = components.iter().map(|component| component["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["half", "serde", "digits"]);
    assert_eq!(components[1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(components[1]["hashes"][0]["content"], Digest::of(b"serde").hex());
    assert!(components[0].get("hashes").is_none() && components[0].get("licenses").is_none());
    assert_eq!(components[2]["type"], "machine-learning-model");
    assert!(components[2].get("components").is_none());
    assert!(document["metadata"].get("timestamp").is_none());
}

#[test]
fn files_of_weights_are_parts_of_their_model() {
    let mut bom = digits();
    let data = ModelData { path: "digits.onnx.data".to_owned(), digest: Digest::of(b"weights"), size: 7 };
    bom.models[0].data = vec![data];
    let document: Value = serde_json::from_slice(&bom.to_cyclonedx()).unwrap();
    let part = &document["components"][2]["components"][0];
    assert_eq!((&part["type"], &part["name"]), (&"file".into(), &"digits.onnx.data".into()));
    assert_eq!(part["hashes"][0]["content"], Digest::of(b"weights").hex());
    assert_eq!(part["bom-ref"], "model:digits:digits.onnx.data");
}

#[test]
fn a_name_that_is_there_twice_gets_two_references() {
    let mut bom = digits();
    // A fork of the same version.
    bom.packages.push(Package { sha256: Some(Digest::of(b"fork")), ..bom.packages[0].clone() });
    let document: Value = serde_json::from_slice(&bom.to_cyclonedx()).unwrap();
    let references: std::collections::HashSet<_> = document["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["bom-ref"].as_str().unwrap())
        .collect();
    assert_eq!(references.len(), 4);
}

#[test]
fn what_is_attached_is_listed_with_a_summary() {
    let ground = Ground::new();
    assert!(ground.attached().is_empty());
    let document = digits().to_cyclonedx();
    let manifest = attach(&ground.session, &ground.image, media_types::CYCLONEDX, &document).unwrap();
    let spdx2 =
        br#"{"spdxVersion":"SPDX-2.3","name":"theirs","packages":[{},{},{}],"documentDescribes":["a"]}"#;
    attach(&ground.session, &ground.image, media_types::SPDX, spdx2).unwrap();
    let spdx3 = br#"{"@graph":[{"type":"CreationInfo","specVersion":"3.0.1"},{"type":"software_Package"},{"type":"ai_AIPackage"}]}"#;
    attach(&ground.session, &ground.image, media_types::SPDX, spdx3).unwrap();

    let nested = br#"{"bomFormat":"CycloneDX","specVersion":"1.4","components":[{"type":"library","name":"a",
        "components":[{"type":"machine-learning-model","name":"b"},{"type":"file","name":"c"}]}]}"#;
    attach(&ground.session, &ground.image, media_types::CYCLONEDX, nested).unwrap();

    let mut attached = ground.attached();
    attached.sort_by(|a, b| a.summary.as_ref().unwrap().format.cmp(&b.summary.as_ref().unwrap().format));
    let summary = |format: &str, subject: Option<&str>, packages, models| {
        Ok(Summary { format: format.to_owned(), subject: subject.map(str::to_owned), packages, models })
    };
    assert_eq!(attached.remove(0).summary, summary("CycloneDX 1.4", None, 1, 1));
    assert_eq!(attached[0].summary, summary("CycloneDX 1.6", Some("digits 0.1.0"), 2, 1));
    assert_eq!((attached[0].manifest, attached[0].document), (manifest, Digest::of(&document)));
    assert_eq!(attached[0].size, document.len() as u64);
    assert_eq!(attached[1].summary, summary("SPDX 2.3", Some("theirs"), 2, 0));
    assert_eq!(attached[2].summary, summary("SPDX 3.0.1", None, 1, 1));

    let bytes = ground.session.store().blob(&manifest).unwrap().bytes;
    let strict: oci_spec::image::ImageManifest = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(strict.artifact_type().as_ref().unwrap().to_string(), media_types::CYCLONEDX);
    assert_eq!(strict.subject().as_ref().unwrap().digest().to_string(), ground.image.to_string());
}

#[test]
fn only_bills_of_materials_are_attached() {
    let ground = Ground::new();
    let refused = |media_type: &str, document: &[u8]| {
        let error = attach(&ground.session, &ground.image, media_type, document).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotABom, "{error}");
        error.to_string()
    };
    assert!(refused("text/plain", b"{}").contains("`text/plain` is no media type"));
    assert!(refused(media_types::CYCLONEDX, b"{}").contains("bomFormat"));
    assert!(refused(media_types::SPDX, &digits().to_cyclonedx()).contains("spdxVersion"));
    assert!(refused(media_types::CYCLONEDX, b"<bom/>").contains("damaged"));
    let other = br#"{"bomFormat":"x","specVersion":"1.6"}"#;
    assert!(refused(media_types::CYCLONEDX, other).contains("is not `CycloneDX`"));
    let deep = format!("{}{}", r#"{"components":["#.repeat(1000), "]}".repeat(1000));
    assert!(refused(media_types::CYCLONEDX, deep.as_bytes()).contains("recursion limit"));

    let absent = Digest::of(b"absent");
    let document = digits().to_cyclonedx();
    let error = attach(&ground.session, &absent, media_types::CYCLONEDX, &document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store(store::ErrorKind::NotFound));
    let blob = ground.session.put(b"no image").unwrap();
    let error = attach(&ground.session, &blob, media_types::CYCLONEDX, &document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnImage);
}

#[test]
fn damaged_documents_are_listed_with_what_is_wrong() {
    let ground = Ground::new();
    let subject = referrer::describe(ground.session.store(), &ground.image).unwrap();
    let attach = |layer: Descriptor| {
        let config = Descriptor::of(media_types::EMPTY_CONFIG, spec::EMPTY_JSON);
        let manifest =
            ImageManifest { subject: Some(subject.clone()), ..ImageManifest::new(config, vec![layer]) };
        let manifest = ground.session.put(&spec::to_bytes(&manifest)).unwrap();
        ground.session.add_referrer(&ground.image, &manifest).unwrap();
        manifest
    };
    let absent = attach(Descriptor::new(media_types::SPDX, Digest::of(b"absent"), 6));
    ground.session.put(b"no JSON").unwrap();
    let damaged = attach(Descriptor::of(media_types::CYCLONEDX, b"no JSON"));
    let reason = |manifest: Digest| {
        let attached = ground.attached().into_iter().find(|attached| attached.manifest == manifest).unwrap();
        attached.summary.unwrap_err()
    };
    assert!(reason(absent).contains("is not in the store"));
    assert!(reason(damaged).contains("damaged"));
    // Of other kinds, about other images, and unreadable ones are none.
    attach(Descriptor::of("text/plain", b"x"));
    ground.session.add_referrer(&ground.image, &ground.session.put(b"[").unwrap()).unwrap();
    assert_eq!(ground.attached().len(), 2);
}
