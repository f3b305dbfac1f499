//! What an image says beside its function: layers, signatures, bills of
//! materials, where it comes from.

use anyhow::Result;
use samara_package::bom::{self, Attached};
use samara_package::image::{Form, Image, Layer};
use samara_package::sign::{self, Signatures};
use samara_package::spec::Annotations;
use samara_package::{Digest, Store, media_types};
use serde_json::{Value, json};

use super::section;
use crate::images;
use crate::output::{count_text, printable, size_text};
use crate::printer::DIM;

/// What every annotation of the OCI's own begins with.
const OCI: &str = "org.opencontainers.image.";

/// An image and what refers to it.
pub(super) struct ImageFacts<'a> {
    image: &'a Image,
    /// Where it is stored as it is.
    bytes: u64,
    signatures: Signatures,
    boms: Vec<Attached>,
}

impl<'a> ImageFacts<'a> {
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn read(store: &Store, image: &'a Image) -> Result<Self> {
        let digest = image.digest();
        let signatures = sign::signatures(store, &digest)?;
        Ok(Self {
            image,
            bytes: images::size(store, &digest).unwrap_or(0),
            signatures,
            boms: bom::attached(store, &digest)?,
        })
    }

    pub(super) fn as_json(&self) -> Value {
        let layer = |layer: &Layer| {
            json!({
                "media_type": layer.descriptor.media_type,
                "digest": layer.descriptor.digest,
                "bytes": layer.descriptor.size,
                "diff_id": layer.diff_id,
                "title": title(layer),
            })
        };
        let bom = |attached: &Attached| {
            json!({
                "media_type": attached.media_type,
                "digest": attached.document,
                "bytes": attached.size,
                "packages": attached.summary.as_ref().ok().map(|summary| summary.packages),
                "models": attached.summary.as_ref().ok().map(|summary| summary.models),
            })
        };
        json!({
            "digest": self.image.digest(),
            "form": form(self.image),
            "bytes": self.bytes,
            "layers": self.image.layers().iter().map(layer).collect::<Vec<Value>>(),
            "annotations": self.image.annotations(),
            "created": self.image.created(),
            "signatures": self.signatures.count(),
            "signed_as": self.signatures.references(),
            "boms": self.boms.iter().map(bom).collect::<Vec<Value>>(),
        })
    }

    pub(super) fn as_text(&self) -> String {
        let layers: Vec<String> = self.image.layers().iter().map(layer_text).collect();
        let head = vec![
            self.image.digest().to_string(),
            format!("{} form, {}", form(self.image), size_text(self.bytes)),
        ];
        let mut text = section("image", &head);
        text.push_str(&section("layers", &layers));
        text.push_str(&section("signatures", &self.signature_lines()));
        text.push_str(&section("bills of materials", &self.boms.iter().map(bom_text).collect::<Vec<_>>()));
        text.push_str(&section("provenance", &provenance(self.image.annotations())));
        text
    }

    fn signature_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .signatures
            .references()
            .iter()
            .map(|reference| format!("signed as {}", plain(reference)))
            .collect();
        if lines.is_empty() {
            lines.push("none".to_owned());
        }
        lines.extend(
            self.signatures.ignored.iter().map(|ignored| format!("unreadable: {}", plain(&ignored.reason))),
        );
        lines
    }
}

/// Text from elsewhere, on one line.
fn plain(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

fn form(image: &Image) -> &'static str {
    match image.form() {
        Form::Mixed => "mixed",
        Form::Tar => "tar",
        Form::Wasm => "wasm",
    }
}

fn title(layer: &Layer) -> Option<&String> {
    layer.descriptor.annotations.get("org.opencontainers.image.title")
}

fn layer_text(layer: &Layer) -> String {
    let kind = match &*layer.descriptor.media_type {
        media_types::WASM => "wasm",
        media_types::TAR => "tar",
        media_types::TAR_ZSTD => "tar, zstd",
        _ => "tar, gzip",
    };
    let digest: &Digest = &layer.descriptor.digest;
    let title = title(layer).map_or_else(|| "files".to_owned(), |title| plain(title));
    format!("{DIM}{}{DIM:#}  {:<9}  {:>10}  {title}", digest.short(), kind, size_text(layer.descriptor.size))
}

fn bom_text(attached: &Attached) -> String {
    let format = match &*attached.media_type {
        media_types::CYCLONEDX => "CycloneDX",
        media_types::SPDX => "SPDX",
        other => other,
    };
    match &attached.summary {
        Ok(summary) => format!(
            "{format}: {}, {}",
            count_text(summary.packages as u64, "package"),
            count_text(summary.models as u64, "model")
        ),
        Err(reason) => format!("{format}: unreadable, {}", plain(reason)),
    }
}

fn provenance(annotations: &Annotations) -> Vec<String> {
    let known = ["source", "revision", "licenses", "version", "created", "authors", "vendor"];
    let line = |key: &&str| Some(format!("{key}: {}", plain(annotations.get(&format!("{OCI}{key}"))?)));
    known.iter().filter_map(line).collect()
}
