//! Writes [CycloneDX 1.6](https://cyclonedx.org/docs/1.6/json/).

use serde::Serialize;
use serde_json::json;

use super::{Bom, Model, ModelData, Package};
use crate::digest::Digest;
use crate::spec::to_bytes;

/// The document. Fields are written in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Serialize)]
struct Metadata {
    tools: serde_json::Value,
    component: Component,
}

#[derive(Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its name in this document, there once.
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<serde_json::Value>,
    /// Parts of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
}

pub(super) fn write(bom: &Bom) -> Vec<u8> {
    let tool = json!({"type": "application", "name": "samara", "version": env!("CARGO_PKG_VERSION")});
    let mut document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: Metadata { tools: json!({"components": [tool]}), component: function(bom) },
        components: sorted(&bom.packages).map(package).chain(sorted(&bom.models).map(model)).collect(),
    };
    number_refs(&mut document);
    document.serial_number = Some(format!("urn:uuid:{}", uuid(&to_bytes(&document))));
    to_bytes(&document)
}

fn sorted<T: Ord>(items: &[T]) -> impl Iterator<Item = &T> {
    let mut items: Vec<&T> = items.iter().collect();
    items.sort();
    items.dedup();
    items.into_iter()
}

fn function(bom: &Bom) -> Component {
    Component {
        kind: "application",
        bom_ref: "function".to_owned(),
        name: bom.name.clone(),
        version: Some(bom.version.clone()),
        hashes: bom.digest.iter().map(sha256).collect(),
        licenses: Vec::new(),
        purl: None,
        properties: Vec::new(),
        components: Vec::new(),
    }
}

fn package(package: &Package) -> Component {
    Component {
        kind: "library",
        bom_ref: package.purl.clone(),
        name: package.name.clone(),
        version: Some(package.version.clone()),
        hashes: package.sha256.iter().map(sha256).collect(),
        licenses: package.licence.iter().map(|licence| json!({"expression": licence})).collect(),
        purl: Some(package.purl.clone()),
        properties: Vec::new(),
        components: Vec::new(),
    }
}

fn model(model: &Model) -> Component {
    let property = |name: &str, value: &str| json!({"name": name, "value": value});
    Component {
        kind: "machine-learning-model",
        bom_ref: format!("model:{}", model.name),
        name: model.name.clone(),
        version: None,
        hashes: vec![sha256(&model.digest)],
        licenses: Vec::new(),
        purl: None,
        properties: vec![
            property("samara:format", &model.format),
            property("samara:size", &model.size.to_string()),
        ],
        components: sorted(&model.data).map(|part| data(model, part)).collect(),
    }
}

fn data(model: &Model, data: &ModelData) -> Component {
    Component {
        kind: "file",
        bom_ref: format!("model:{}:{}", model.name, data.path),
        name: data.path.clone(),
        version: None,
        hashes: vec![sha256(&data.digest)],
        licenses: Vec::new(),
        purl: None,
        properties: vec![json!({"name": "samara:size", "value": data.size.to_string()})],
        components: Vec::new(),
    }
}

/// Makes every name in the document one of its own.
fn number_refs(document: &mut Document) {
    let mut taken = std::collections::HashSet::from([document.metadata.component.bom_ref.clone()]);
    let (outer, mut parts): (Vec<_>, Vec<_>) = document
        .components
        .iter_mut()
        .map(|component| (&mut component.bom_ref, &mut component.components))
        .unzip();
    let inner = parts.iter_mut().flat_map(|parts| parts.iter_mut().map(|part| &mut part.bom_ref));
    for bom_ref in outer.into_iter().chain(inner) {
        let name = bom_ref.clone();
        let mut number = 1;
        while !taken.insert(bom_ref.clone()) {
            number += 1;
            *bom_ref = format!("{name}#{number}");
        }
    }
}

fn sha256(digest: &Digest) -> serde_json::Value {
    json!({"alg": "SHA-256", "content": digest.hex()})
}

/// A UUID of version 8 (RFC 9562) that stands for these bytes.
fn uuid(bytes: &[u8]) -> String {
    let mut hex: Vec<char> = Digest::of(bytes).hex().chars().take(32).collect();
    hex[12] = '8';
    // The two bits of the variant, and two of the digest.
    let variant = hex[16].to_digit(16).unwrap_or_default() & 0b11 | 0b1000;
    hex[16] = char::from_digit(variant, 16).unwrap_or('8');
    let part = |range: std::ops::Range<usize>| hex[range].iter().collect::<String>();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}
