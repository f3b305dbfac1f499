//! The readers of images, for the fuzzer.

use std::io::Read;

use super::documents::{Parsed, parse, parse_document};
use super::layers::{Compression, reader};
use super::tar_read::{Entries, Kind, number};
use super::tar_write::{BLOCK, checksum};
use super::{FileTree, Image, Limits, MANIFEST_KEY, MODELS_LABEL};
use crate::digest::Digest;
use crate::media_types::{IMAGE_CONFIG, TAR, WASM};
use crate::spec::{ContainerConfig, Descriptor, ImageConfig, ImageManifest, RootFs, to_bytes};
use crate::store::{Document, Store};

/// A manifest, an index or a configuration.
///
/// # Panics
/// Where what was read is not the same when it is written and read again.
pub fn documents(bytes: &[u8]) {
    let digest = Digest::of(bytes);
    if let Ok(Parsed::Manifest(manifest)) = parse(&digest, bytes) {
        assert_eq!(parse_document("manifest", &digest, &to_bytes(&manifest)).ok(), Some(*manifest));
    }
    if let Ok(config) = parse_document::<ImageConfig>("configuration", &digest, bytes) {
        assert_eq!(parse_document("configuration", &digest, &to_bytes(&config)).ok(), Some(config));
    }
    drop(Document::parse(bytes));
}

/// An uncompressed layer, as it is and with its headers' checksums made right.
///
/// # Panics
/// Where a path could be taken to lie elsewhere.
pub fn layer(bytes: &[u8]) {
    let limits = Limits { files: 64, ..Limits::default() };
    for archive in [bytes.to_vec(), with_checksums(bytes.to_vec())] {
        for entry in Entries::of(&archive) {
            let Ok(entry) = entry.inspect_err(|refused| assert!(!refused.reason.is_empty())) else { break };
            let parts: Vec<&str> = entry.path.split('/').collect();
            assert!(!parts.contains(&"..") && !entry.path.starts_with('/'), "{entry:?}");
            if let Kind::File { start, size } = entry.kind {
                assert!(
                    archive[start..start + size].len() == size && !parts.contains(&""),
                    "{:?}",
                    entry.path
                );
            }
        }
        drop(FileTree::default().add(Digest::of(b""), &archive.into(), &limits));
    }
}

/// A layer that is compressed, in every way.
pub fn compressed(bytes: &[u8]) {
    const MOST: u64 = 1 << 20;
    for compression in [Compression::Gzip, Compression::Zstd] {
        if let Err(error) = std::io::copy(&mut reader(compression, bytes).take(MOST), &mut std::io::sink()) {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// An image in a store of its own: the text of `samara.toml`, models and their
/// paths, a component with its title, and a layer, each ended by a byte 0xff.
pub fn image(bytes: &[u8]) {
    let parts: Vec<&[u8]> = bytes.splitn(5, |&byte| byte == 0xff).collect();
    let Ok([manifest, models, title, wasm, tar]) = <[&[u8]; 5]>::try_from(parts) else { return };
    let Ok(folder) = tempfile::tempdir() else { return };
    let texts = [manifest, models, title].map(|text| std::str::from_utf8(text).ok());
    drop(open(&Store::at(folder.path().join("store")), texts, wasm, tar));
}

fn open(
    store: &Store,
    [manifest, models, title]: [Option<&str>; 3],
    wasm: &[u8],
    tar: &[u8],
) -> super::Result<Image> {
    let session = store.session()?;
    let tar = with_checksums(tar.to_vec());
    let mut component = Descriptor::new(WASM, session.put(wasm)?, wasm.len() as u64);
    if let Some(title) = title {
        component = component.annotated(super::TITLE, title);
    }
    let layer = Descriptor::new(TAR, session.put(&tar)?, tar.len() as u64);
    let labels = [(MANIFEST_KEY, manifest), (MODELS_LABEL, models)];
    let labels = labels.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.to_owned())));
    let config = to_bytes(&ImageConfig {
        created: None,
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: ContainerConfig { labels: labels.collect(), ..ContainerConfig::default() },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.digest] },
    });
    let config = Descriptor::new(IMAGE_CONFIG, session.put(&config)?, config.len() as u64);
    let document = ImageManifest::new(config, vec![component, layer]);
    Image::open(store, &session.put(&to_bytes(&document))?)
}

/// The archive with the checksums of all its headers made right.
fn with_checksums(mut archive: Vec<u8>) -> Vec<u8> {
    let mut position = 0;
    while let Some(block) = archive.get_mut(position..).and_then(|rest| rest.first_chunk_mut::<BLOCK>()) {
        if block.iter().all(|&byte| byte == 0) {
            break;
        }
        let sum = format!("{:06o}\0 ", checksum(block));
        block[148..156].copy_from_slice(sum.as_bytes());
        let size = number(&block[124..136]).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        position = position.saturating_add(BLOCK).saturating_add(size.next_multiple_of(BLOCK));
    }
    archive
}
