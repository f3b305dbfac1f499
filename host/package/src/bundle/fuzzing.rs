//! The reader of bundles, for the fuzzer.

use super::read::{Section, read};
use super::write::header;
use super::{Base, Entry, FORMAT_VERSION, INDEX, Index, MAGIC, MODEL, PADDING, PREFIX};
use crate::digest::Digest;
use crate::spec::to_bytes;

/// What the first component and every model are called by the tables that are
/// made here.
const COMPONENT_PATH: &str = "main.wasm";
const MODEL_PATH: &str = "model.onnx";

/// A function in one file, as it is and with a table that fits its sections:
/// without one, nothing that was changed gets past the digests.
///
/// # Panics
/// Where the parts that are read lie elsewhere than in the file.
pub fn bundle(bytes: &[u8]) {
    for file in [bytes.to_vec(), with_table(bytes)] {
        let length = file.len();
        match read(file.into()) {
            Ok(None) => {}
            Ok(Some(bundle)) => {
                let parts = bundle.components.iter().map(|component| component.bytes.len());
                let parts = parts.chain(bundle.models.values().map(|model| model.bytes.len()));
                assert!(parts.sum::<usize>() <= length);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn with_table(bytes: &[u8]) -> Vec<u8> {
    let mut sections = Vec::new();
    let mut base = None;
    let mut end = bytes.len().min(MAGIC.len() + 4);
    while let Some(section) = Section::at(bytes, end) {
        match section.name.filter(|name| name.starts_with(PREFIX)) {
            Some(INDEX) => break,
            Some(name) => {
                base.get_or_insert(end);
                let is_model = name.starts_with(MODEL);
                let entry = Entry {
                    name: name.to_owned(),
                    offset: section.payload.start as u64,
                    length: section.payload.len() as u64,
                    digest: Digest::of(&bytes[section.payload]),
                    path: is_model.then(|| MODEL_PATH.to_owned()),
                };
                sections.extend((name != PADDING).then_some(entry));
            }
            None => {}
        }
        end = section.end;
    }
    let component = &bytes[..base.unwrap_or(end)];
    let base = Base {
        path: Some(COMPONENT_PATH.to_owned()),
        length: component.len() as u64,
        digest: Digest::of(component),
    };
    let index = to_bytes(&Index { version: FORMAT_VERSION, base, sections });
    [&bytes[..end], &header(INDEX, index.len() as u64).unwrap_or_default(), &index].concat()
}
