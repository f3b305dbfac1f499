//! Files beside a model's own that hold its weights. Which they are stands in the
//! model; here they are found by the names that it has for them.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::open::ModelFile;
use super::source::{Content, ModelContent, ModelSource, beside, image_path};
use super::{Error, Result};
use crate::digest::Digest;

/// A file of an image, artifact or bundle that a model keeps weights in.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// In the image.
    pub path: String,
    /// A slice of the mapping that the model is one of.
    pub bytes: Bytes,
    /// As that of a [`ModelFile`].
    pub identity: String,
    /// The same.
    pub layer: Option<Digest>,
}

impl ModelFile {
    /// The file that this model calls `name`: in its folder, or below it.
    ///
    /// # Errors
    /// When the name leads elsewhere, or the file is not there.
    pub fn data(&self, name: &str) -> Result<DataFile> {
        let own = image_path(&self.path)?;
        let refuse = |reason: &str| Error::Data {
            model: own.clone(),
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        let path = beside(&own, name).map_err(|reason| refuse(&reason))?;
        if path == own {
            return Err(refuse("is the model itself"));
        }
        let file = self.files.get(&path).ok_or_else(|| refuse("is not there"))?;
        Ok(DataFile {
            identity: self.files.identity(&path, file),
            layer: self.files.is_alone(&file.layer).then_some(file.layer),
            bytes: file.bytes.clone(),
            path,
        })
    }

    /// The model as a part of another image, with the files that it calls `data`.
    /// Layers are shared where possible.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn source(&self, data: &BTreeSet<String>) -> Result<ModelSource> {
        let data = data.iter().map(|name| {
            let file = self.data(name)?;
            Ok((name.clone(), content(file.layer, &file.bytes)))
        });
        let data = data.collect::<Result<_>>()?;
        Ok(ModelSource { path: self.path.clone(), content: content(self.layer, &self.bytes), data })
    }
}

fn content(layer: Option<Digest>, bytes: &Bytes) -> ModelContent {
    match layer {
        Some(layer) => ModelContent::Layer(layer),
        None => ModelContent::Plain(Content::Bytes(bytes.clone())),
    }
}
