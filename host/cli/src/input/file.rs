//! A file as one input, as the input's declaration asks.

use std::path::Path;

use anyhow::{Context, Result, bail};
use samara_nn::{Datatype, Tensor, TensorSpec};

use super::fit::{Layout, fit};
use super::{array, from_json, from_text, picture};

/// Reads a file for the input that `spec` declares.
///
/// # Errors
/// When it cannot be read, or holds something else than is asked for.
pub(crate) fn read(path: &Path, spec: &TensorSpec) -> Result<Tensor> {
    let extension = extension(path);
    // Declared content is the file as it is, whatever its name says.
    if spec.media_type.is_none() {
        match extension.as_str() {
            "npy" => return array::fit(array::read(path)?, spec),
            "npz" => return array::fit(array::read_from_archive(path, &spec.name)?, spec),
            "json" => return from_json(&read_text(path)?, spec),
            _ => {}
        }
    }
    let bytes = read_bytes(path)?;
    if takes_file(spec) {
        return whole(bytes, spec);
    }
    if let Some(format) = picture::format(&bytes) {
        return picture::read(&bytes, format, spec);
    }
    match extension.as_str() {
        "txt" | "csv" => from_text(text(bytes)?.trim(), spec),
        "png" | "jpg" | "jpeg" => bail!("it is no PNG or JPEG image, though its name says so"),
        _ => raw(bytes, spec),
    }
}

/// The extension in lowercase, empty where there is none.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase()
}

/// Reads a file that must be UTF-8 text.
///
/// # Errors
/// When it cannot be read or is no text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    text(read_bytes(path)?).with_context(|| format!("cannot use `{}`", path.display()))
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn text(bytes: Vec<u8>) -> Result<String> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => bail!("it is not UTF-8 text, at byte {}", error.utf8_error().valid_up_to()),
    }
}

/// Whether an input takes the bytes of a file as they are.
fn takes_file(spec: &TensorSpec) -> bool {
    spec.datatype == Datatype::Bytes || (spec.datatype == Datatype::Uint8 && spec.shape.len() == 1)
}

fn whole(bytes: Vec<u8>, spec: &TensorSpec) -> Result<Tensor> {
    if spec.datatype == Datatype::Uint8 {
        let count = bytes.len();
        return fit(Tensor::from_vec([count], bytes)?, &[count], Layout::Nested, spec);
    }
    let is_text = spec.media_type.as_deref().is_some_and(|media_type| media_type.starts_with("text/"));
    let bytes = if is_text { text(bytes)?.into_bytes() } else { bytes };
    fit(Tensor::from_elements([1], [bytes])?, &[], Layout::Flat, spec)
}

/// Little-endian elements in a row.
fn raw(bytes: Vec<u8>, spec: &TensorSpec) -> Result<Tensor> {
    let size = spec.datatype.size().unwrap_or(1);
    let count = bytes.len() / size;
    if count * size != bytes.len() {
        bail!("{} bytes are no whole number of {} elements of {size} bytes", bytes.len(), spec.datatype);
    }
    fit(Tensor::new(spec.datatype, [count], bytes)?, &[count], Layout::Flat, spec)
}
