//! The decoders of what comes from outside, for the fuzzer: whatever the bytes,
//! they answer or refuse.

use std::path::Path;

pub use crate::bundle::fuzzing::bundle;
pub use crate::image::fuzzing::{compressed, documents, image, layer};
pub use crate::registry::fuzzing::{bodies, headers};
pub use crate::sign::fuzzing::{payload, public_key};

use crate::manifest::Manifest;
use crate::models::LockFile;
use crate::reference::Reference;
use crate::sign::Policy;
use crate::store::Store;
use crate::sweep::{MOST_POINTS, Point, Sweep};

/// The text of a manifest.
///
/// # Panics
/// Where it is refused at a place that it does not have.
pub fn manifest(text: &str) {
    if let Err(error) = Manifest::parse(text, Path::new("samara.toml")) {
        assert!(!error.to_string().is_empty());
        let lines = text.lines().count().max(1);
        assert!(error.place().is_none_or(|place| (1..=lines + 1).contains(&place.line)), "{error}");
    }
}

/// The text of a sweep.
///
/// # Panics
/// Where it is refused at a place that it does not have, or has a point without a
/// value for each parameter.
pub fn sweep(text: &str) {
    match Sweep::parse(text, Path::new("sweep.toml")) {
        Ok(sweep) => {
            assert!((1..=MOST_POINTS).contains(&sweep.points.len()));
            let names = |point: &Point| point.0.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
            assert!(sweep.points.iter().all(|point| names(point) == sweep.parameters));
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let lines = text.lines().count().max(1);
            assert!(error.place().is_none_or(|place| (1..=lines + 1).contains(&place.line)), "{error}");
        }
    }
}

/// The text of a policy, whose keys are not there.
pub fn policy(text: &str) {
    if let Err(error) = Policy::parse(text, Path::new("/nowhere/policy.toml")) {
        assert!(!error.to_string().is_empty());
    }
}

/// The text of a lock file.
///
/// # Panics
/// Where it is not the same when it is written and read again.
pub fn lock(text: &str) {
    if let Ok(lock) = LockFile::parse(text) {
        assert_eq!(LockFile::parse(&lock.to_text()).as_ref(), Ok(&lock));
    }
}

/// The name of an image.
///
/// # Panics
/// Where it is not the same when it is written and read again.
pub fn reference(text: &str) {
    if let Ok(reference) = text.parse::<Reference>() {
        let written = reference.to_string();
        let again = written.parse::<Reference>().map(|again| again.to_string());
        assert_eq!(again.as_ref(), Ok(&written));
    }
}

/// An image layout as one file, loaded into a store of its own.
pub fn archive(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let store = Store::at(folder.path().join("store"));
    let Ok(session) = store.session() else { return };
    if let Err(error) = crate::layout::load(&session, bytes) {
        assert!(!error.to_string().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use samara_test::{whatever_comes, whatever_text_comes};

    use super::*;
    use crate::bundle::BundleSource;
    use crate::digest::Digest;
    use crate::image::Content;
    use crate::spec::{Descriptor, ImageIndex, ImageManifest, to_bytes};
    use crate::{bundle as bundles, media_types};

    const ROUNDS: usize = 3_000;

    const MANIFEST: &str = "[function]\nname = \"f\"\ncomponent = \"main.wasm\"\n\
        [model.m]\npath = \"model.onnx\"\nbatch = { max = 32, delay = \"500us\" }\n\
        [limits]\nmemory = \"64MiB\"\ndeadline = \"2s\"\n\
        [capabilities]\nhttp = [\"a.example\"]\n";

    #[test]
    fn manifests() {
        whatever_text_comes(ROUNDS, &[MANIFEST], manifest);
    }

    #[test]
    fn sweeps() {
        let grid = "function = \".\"\nobjective = \"a\"\ngoal = \"max\"\ntimeout = \"2s\"\n[parameters]\n\
            rate = { from = 0.01, to = 1.0, count = 3, scale = \"log\" }\nkind = [\"a\", 2]\nx = -1e3\n";
        let drawn = "function = \"f\"\npass = \"both\"\n[random]\ncount = 9\nseed = 3\n[parameters]\n\
            depth = { from = 1, to = 99 }\n[[point]]\ndepth = 0\n";
        whatever_text_comes(ROUNDS, &[grid, drawn], sweep);
    }

    #[test]
    fn policies_and_lock_files() {
        let rules =
            "default = \"refuse\"\n[[rule]]\nreference = \"r.example/team/*\"\nrequire = \"nothing\"\n";
        whatever_text_comes(ROUNDS, &[rules], policy);
        let digest = Digest::of(b"");
        let locked = format!("[[model]]\nsource = \"oci://r.example/m:1\"\ndigest = \"{digest}\"\n");
        whatever_text_comes(ROUNDS, &[&locked], lock);
    }

    #[test]
    fn bundles_with_and_without_their_table() {
        let content = |bytes: &'static [u8]| Content::Bytes(bytes.into());
        let source = BundleSource {
            manifest_text: MANIFEST.to_owned(),
            components: BTreeMap::from([("main.wasm".into(), content(b"\0asm\x0d\0\x01\0"))]),
            models: BTreeMap::from([("m".to_owned(), ("model.onnx".into(), content(b"model")))]),
            files: BTreeMap::from([("test.json".into(), content(b"{}"))]),
        };
        let mut file = Vec::new();
        bundles::write(&source, &mut file).unwrap();
        whatever_comes(ROUNDS, &[&file], bundle);
    }

    #[test]
    fn layers_as_they_are_and_compressed() {
        let tar = [b"a".repeat(100), vec![0; 24], b"00000000005\0".to_vec(), vec![0; 20], b"0".to_vec()];
        let mut archive = tar.concat();
        archive.resize(257, 0);
        archive.extend(b"ustar\x0000");
        archive.resize(512, 0);
        archive.extend(b"12345");
        archive.resize(1024, 0);
        whatever_comes(ROUNDS, &[&archive], layer);
        // Zstandard: a frame of five raw bytes, and one that is skipped.
        let zstd = b"\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello\x50\x2a\x4d\x18\x01\0\0\0x";
        whatever_comes(ROUNDS, &[zstd], compressed);
    }

    #[test]
    fn documents_of_images_and_registries() {
        let blob = Descriptor::of(media_types::IMAGE_MANIFEST, b"{}");
        let manifest = to_bytes(&ImageManifest::new(blob.clone(), vec![blob.clone()]));
        let index = to_bytes(&ImageIndex::new(vec![blob]));
        whatever_comes(ROUNDS, &[&manifest, &index, br#"{"token":"t","expires_in":300}"#], |bytes| {
            documents(bytes);
            payload(bytes);
            bodies(bytes);
        });
    }

    #[test]
    fn headers_of_registries_and_names() {
        let seeds = [
            r#"Bearer realm="https://a.example/token",service="r.example", Basic realm="x \"y\"""#,
            "<https://r.example/v2/_catalog?last=a&n=1>; rel=\"next\"",
            "r.example:5000/team/f:1.0",
        ];
        whatever_text_comes(ROUNDS, &seeds, |text| {
            headers(text);
            reference(text);
        });
    }
}
