//! Models of a ModelPack artifact: its layers of weights, each a file or a tar.
//! Layers of documentation, code and configuration are left alone.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use crate::digest::Digest;
use crate::image::{
    Compression, Error, FileTree, Limits, ModelFile, TITLE, document, layer_blob, model_file, normal_path,
    parse_document, unpacked,
};
use crate::spec::{Descriptor, ImageManifest};
use crate::store::Store;

/// Where a layer's file belongs.
const FILE_PATH: &str = "org.cncf.model.filepath";
/// A layer of weights; how it is packed follows.
const WEIGHT: &str = "application/vnd.cncf.model.weight.v1.";

#[derive(Deserialize)]
struct Config {
    modelfs: Option<ModelFs>,
}

/// The layers, uncompressed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelFs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

/// Every file of weights, by its path.
pub(super) fn models(store: &Store, manifest: &ImageManifest) -> Result<Vec<(String, ModelFile)>, Error> {
    let descriptor = &manifest.config;
    let bytes = document(store, "configuration", &descriptor.digest, Some(descriptor.size))?;
    let config: Config = parse_document("configuration", &descriptor.digest, &bytes)?;
    let diff_ids = config.modelfs.map(|modelfs| modelfs.diff_ids).unwrap_or_default();
    let mut limits = Limits::default();
    let mut all = FileTree::default();
    for (place, layer) in manifest.layers.iter().enumerate() {
        let Some(packing) = layer.media_type.strip_prefix(WEIGHT) else { continue };
        if packing == "raw" {
            let (path, bytes) = raw(store, layer)?;
            all.add_bare(&path, bytes, layer.digest)?;
            continue;
        }
        let compression = match packing {
            "tar" => Compression::None,
            "tar+gzip" => Compression::Gzip,
            "tar+zstd" => Compression::Zstd,
            _ => return Err(refuse(layer, "its weights are packed in a way that is unknown here")),
        };
        let diff_id = match (compression, diff_ids.get(place)) {
            (Compression::None, _) => layer.digest,
            (_, Some(diff_id)) if diff_ids.len() == manifest.layers.len() => *diff_id,
            _ => return Err(refuse(layer, "it is compressed, and `modelfs.diffIds` does not say of what")),
        };
        let tar = unpacked(store, layer, compression, &diff_id, &mut limits)?;
        all.add(diff_id, &tar, &limits)?;
    }
    let all = Arc::new(all);
    Ok(all.files().map(|(path, file)| (path.to_owned(), model_file(path, file, &all))).collect())
}

/// The path and bytes of a file that is a layer by itself.
fn raw(store: &Store, layer: &Descriptor) -> Result<(String, Bytes), Error> {
    let named = layer.annotations.get(FILE_PATH).or_else(|| layer.annotations.get(TITLE));
    let path = named.ok_or_else(|| refuse(layer, "no annotation says which file it is"))?;
    let path = normal_path(path, false)
        .map_err(|reason| refuse(layer, &format!("the file that its annotation names {reason}")))?;
    Ok((path, layer_blob(store, layer)?))
}

fn refuse(layer: &Descriptor, reason: &str) -> Error {
    Error::Layer { layer: layer.digest, reason: reason.to_owned() }
}
