//! What keeps a store healthy: collection, check and repair, limits.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use samara_package::spec::{Descriptor, ImageConfig, ImageIndex, ImageManifest, RootFs, to_bytes};
use samara_package::store::{CollectOptions, Error, ErrorKind, ProblemKind, Session};
use samara_package::{Digest, Reference, Store, media_types};

struct Place {
    _folder: tempfile::TempDir,
    store: Store,
}

/// An image with two layers: a component, and a tar that also lies
/// uncompressed in the store.
struct Image {
    manifest: Descriptor,
    config: Digest,
    layer: Digest,
    unpacked: Digest,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path().join("store"));
    Place { _folder: folder, store }
}

fn put(session: &Session, media_type: &str, bytes: &[u8]) -> Descriptor {
    session.put(bytes).unwrap();
    Descriptor::of(media_type, bytes)
}

fn image(session: &Session, what: &str) -> Image {
    let layer = put(session, media_types::WASM, format!("component {what}").as_bytes());
    let packed = put(session, media_types::TAR_GZIP, format!("packed {what}").as_bytes());
    let unpacked = session.put(format!("unpacked {what}").as_bytes()).unwrap();
    let config = ImageConfig {
        created: None,
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: Default::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![unpacked] },
    };
    let config = put(session, media_types::IMAGE_CONFIG, &to_bytes(&config));
    let manifest = ImageManifest::new(config.clone(), vec![layer.clone(), packed]);
    let manifest = put(session, media_types::IMAGE_MANIFEST, &to_bytes(&manifest));
    Image { manifest, config: config.digest, layer: layer.digest, unpacked }
}

/// A manifest that refers to `subject`, as a signature does.
fn referrer(session: &Session, subject: &Digest, what: &str) -> (Digest, Digest) {
    let config = put(session, media_types::EMPTY_CONFIG, b"{}");
    let layer = put(session, media_types::SIMPLE_SIGNING, what.as_bytes());
    let manifest = ImageManifest::new(config, vec![layer.clone()]);
    let manifest = put(session, media_types::IMAGE_MANIFEST, &to_bytes(&manifest));
    session.add_referrer(subject, &manifest.digest).unwrap();
    (manifest.digest, layer.digest)
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn blob_path(store: &Store, digest: &Digest) -> PathBuf {
    store.root().join("blobs/sha256").join(digest.hex())
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_a_name_stands_or_stood_for_stays_with_all_that_belongs_to_it() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let (old, new, gone) = (image(&session, "old"), image(&session, "new"), image(&session, "gone"));
    let (signature, payload) = referrer(&session, &old.manifest.digest, "signature");
    let (counter_signature, _) = referrer(&session, &signature, "signature of the signature");
    let (lost_signature, _) = referrer(&session, &gone.manifest.digest, "signature of what is gone");
    session.tag(&name("digits"), &old.manifest.digest).unwrap();
    session.tag(&name("digits"), &new.manifest.digest).unwrap();
    drop(session);

    let options = CollectOptions::default();
    let dry = store.collect(&CollectOptions { dry_run: true, ..options.clone() }).unwrap();
    assert!(store.contains(&gone.layer));
    let collected = store.collect(&options).unwrap();
    assert_eq!(dry, collected);
    // Four of an image's own, one unpacked, and the signature with its payload.
    assert_eq!(collected.blobs.files, 7);
    for digest in [&gone.manifest.digest, &gone.config, &gone.layer, &gone.unpacked, &lost_signature] {
        assert!(!store.contains(digest));
    }
    let kept =
        [&old.config, &old.layer, &old.unpacked, &new.unpacked, &signature, &payload, &counter_signature];
    for digest in kept {
        assert!(store.contains(digest));
    }
    assert_eq!(store.referrers(&gone.manifest.digest).unwrap(), []);
    assert_eq!(store.referrers(&old.manifest.digest).unwrap(), [signature]);
    assert!(store.check(false).unwrap().problems.is_empty());

    store.forget(&name("digits")).unwrap();
    store.collect(&options).unwrap();
    assert_eq!(store.usage().unwrap().blobs, 0);
    assert_eq!(files_in(&store.root().join("referrers")), 0);
}

#[test]
fn an_index_keeps_its_images_and_may_lack_some() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let image = image(&session, "image");
    let absent = Descriptor::of(media_types::IMAGE_MANIFEST, b"for another machine");
    let inner = ImageIndex::new(vec![image.manifest.clone(), absent]);
    let inner = put(&session, media_types::IMAGE_INDEX, &to_bytes(&inner));
    let outer = put(&session, media_types::IMAGE_INDEX, &to_bytes(&ImageIndex::new(vec![inner])));
    session.tag(&name("index"), &outer.digest).unwrap();
    drop(session);
    assert_eq!(store.collect(&CollectOptions::default()).unwrap().blobs.files, 0);
    assert!(store.check(false).unwrap().problems.is_empty());
    std::fs::remove_file(blob_path(store, &image.layer)).unwrap();
    assert_eq!(store.check(false).unwrap().problems[0].kind, ProblemKind::IncompleteImage);
}

#[test]
fn a_damaged_manifest_stops_the_collection_before_it_removes_anything() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let (image, other) = (image(&session, "image"), image(&session, "other"));
    session.tag(&name("digits"), &image.manifest.digest).unwrap();
    drop(session);
    overwrite(&blob_path(store, &image.manifest.digest), b"{}");
    let error = store.collect(&CollectOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("samara store check --repair"), "{error}");
    assert!(store.contains(&image.layer) && store.contains(&other.layer));
}

#[test]
fn downloads_stay_a_day_and_other_leftovers_do_not() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let digest = Digest::of(b"abc");
    let mut partial = session.partial(&digest, 3).unwrap().unwrap();
    partial.append(b"ab").unwrap();
    drop(partial);
    drop(session);
    let ingest = store.root().join("ingest");
    std::fs::write(ingest.join(".tmpXYZ"), b"left over").unwrap();
    let begun = std::fs::metadata(ingest.join(format!("{}.part", digest.hex()))).unwrap().modified().unwrap();
    let after = |hours: u64| CollectOptions {
        now: begun + Duration::from_secs(hours * 3600),
        ..CollectOptions::default()
    };
    assert_eq!(store.collect(&after(23)).unwrap().partial.files, 1);
    assert_eq!(files_in(&ingest), 1);
    let earlier = CollectOptions { now: SystemTime::UNIX_EPOCH, ..after(0) };
    assert_eq!(store.collect(&earlier).unwrap().partial.files, 0);
    assert_eq!(store.collect(&after(25)).unwrap().partial.bytes, 2);
    assert_eq!(files_in(&ingest), 0);
}

#[test]
fn compiled_code_that_was_unused_longest_goes_first() {
    let Place { store, .. } = &place();
    let code = store.root().join("code/compiler");
    std::fs::create_dir_all(&code).unwrap();
    for (index, file) in ["a.cwasm", "b.cwasm", "c.cwasm", ".writing-x"].iter().enumerate() {
        std::fs::write(code.join(file), vec![0; 100]).unwrap();
        // b is older than a, and a than c.
        let age = [20, 30, 10, 40][index];
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age);
        let times = std::fs::FileTimes::new().set_accessed(time).set_modified(time);
        std::fs::File::open(code.join(file)).unwrap().set_times(times).unwrap();
    }
    let limit = |max_code| CollectOptions { max_code, ..CollectOptions::default() };
    assert_eq!(store.usage().unwrap().code_bytes, 300);
    assert_eq!(store.collect(&limit(None)).unwrap().code.files, 0);
    assert_eq!(store.collect(&limit(Some(300))).unwrap().code.files, 0);
    assert_eq!(store.collect(&limit(Some(150))).unwrap().code.files, 2);
    assert!(code.join("c.cwasm").exists() && code.join(".writing-x").exists());
}

#[test]
fn repair_removes_what_is_damaged_and_goes_back_to_the_newest_whole_version() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let images: Vec<_> = ["one", "two", "three"].iter().map(|what| image(&session, what)).collect();
    for image in &images {
        session.tag(&name("digits"), &image.manifest.digest).unwrap();
    }
    session.tag(&name("only"), &images[2].manifest.digest).unwrap();
    session.tag(&name("torn"), &images[0].manifest.digest).unwrap();
    drop(session);
    overwrite(&blob_path(store, &images[2].layer), b"something else");
    std::fs::write(store.root().join("blobs/sha256/notes.txt"), b"mine").unwrap();
    let torn = store.root().join("tags").join(Digest::of(b"torn:latest").hex()).with_extension("json");
    std::fs::write(torn, b"{").unwrap();

    let expected = [
        ProblemKind::CorruptBlob,
        ProblemKind::Stray,
        ProblemKind::IncompleteImage,
        ProblemKind::IncompleteImage,
        ProblemKind::LostName,
        ProblemKind::DamagedTag,
    ];
    let kinds = |repair: bool| {
        let report = store.check(repair).unwrap();
        assert!(report.problems.iter().all(|problem| problem.repaired == repair));
        assert_eq!(report.is_whole(), repair);
        let mut kinds: Vec<_> = report.problems.iter().map(|problem| problem.kind).collect();
        kinds.sort_by_key(|kind| expected.iter().position(|other| other == kind));
        kinds
    };
    assert_eq!(kinds(false), expected);
    assert_eq!(kinds(true), expected);
    assert!(store.check(false).unwrap().problems.is_empty());
    assert_eq!(store.resolve(&name("digits")).unwrap(), images[1].manifest.digest);
    let names: Vec<_> = store.tags().unwrap().into_iter().map(|tagged| tagged.name).collect();
    assert_eq!(names, ["digits:latest"]);
    assert!(!store.contains(&images[2].layer));

    // What was removed comes again.
    let session = store.session().unwrap();
    let again = image(&session, "three");
    session.tag(&name("digits"), &again.manifest.digest).unwrap();
    assert!(store.check(false).unwrap().problems.is_empty());
}

#[test]
fn a_version_that_was_rolled_back_to_stays_current_when_another_is_dropped() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let images: Vec<_> = ["one", "two", "three"].iter().map(|what| image(&session, what)).collect();
    for image in &images {
        session.tag(&name("digits"), &image.manifest.digest).unwrap();
    }
    drop(session);
    store.rollback(&name("digits")).unwrap();
    std::fs::remove_file(blob_path(store, &images[0].config)).unwrap();
    store.check(true).unwrap();
    let tagged = store.tagged(&name("digits")).unwrap().unwrap();
    assert_eq!((tagged.versions.len(), tagged.current), (2, 0));
    assert_eq!(tagged.digest(), Some(images[1].manifest.digest));
}

#[test]
fn a_signature_that_lacks_its_payload_is_found() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let image = image(&session, "image");
    let (_, payload) = referrer(&session, &image.manifest.digest, "signature");
    session.tag(&name("digits"), &image.manifest.digest).unwrap();
    drop(session);
    std::fs::remove_file(blob_path(store, &payload)).unwrap();
    let report = store.check(true).unwrap();
    assert_eq!(report.problems[0].kind, ProblemKind::IncompleteReferrer);
    assert_eq!(store.referrers(&image.manifest.digest).unwrap(), []);
}

#[test]
fn content_that_was_damaged_is_written_anew() {
    let Place { store, .. } = &place();
    let session = store.session().unwrap();
    let digest = session.put(b"content").unwrap();
    overwrite(&blob_path(store, &digest), b"contenT");
    assert!(matches!(store.blob(&digest), Err(Error::WrongDigest { .. })));
    session.put(b"content").unwrap();
    assert_eq!(&store.blob(&digest).unwrap().bytes[..], b"content");
}

#[test]
fn a_store_is_busy_while_somebody_adds_to_it() {
    let Place { store, .. } = &place();
    assert!(!store.is_busy().unwrap());
    let session = store.session().unwrap();
    let other = store.session().unwrap();
    assert!(store.is_busy().unwrap());
    drop(session);
    assert!(store.is_busy().unwrap());
    drop(other);
    assert!(!store.is_busy().unwrap());
}

#[test]
fn limits_are_kept_and_name_themselves() {
    let Place { store, .. } = &place();
    let path = store.root().join("store.toml");
    drop(store.session().unwrap());
    std::fs::write(&path, "max-size = \"1kB\"\nmax-blob = \"600B\"\n").unwrap();
    let session = store.session().unwrap();
    let refused = |result: Result<Digest, Error>, limit: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let text = error.to_string();
        assert!(text.contains(limit) && text.contains(path.to_str().unwrap()), "{text}");
    };
    refused(session.put(&[0; 601]), "max-blob");
    session.put(&[1; 600]).unwrap();
    session.put(&[1; 600]).unwrap(); // is there already
    refused(session.put(&[2; 500]), "max-size");
    refused(session.put_from(&mut &[2; 500][..]), "max-size");
    refused(session.partial(&Digest::of(b""), 500).map(|_| Digest::of(b"")), "max-size");
    session.put(&[3; 400]).unwrap();
    refused(session.put(&[4; 1]), "samara store gc");
    assert_eq!(store.usage().unwrap().blob_bytes, 1000);
    assert_eq!(files_in(&store.root().join("ingest")), 0);
}

#[test]
fn a_wrong_settings_file_says_where_it_is_wrong() {
    let Place { store, .. } = &place();
    let path = store.root().join("store.toml");
    drop(store.session().unwrap());
    let cases = [
        ("max-sise = \"1GB\"", "max-sise"),
        ("max-size = 5", "string"),
        ("max-size = \"5\"", "a size is a number"),
        ("\nhistory = 0", "line 2"),
        ("history = \"5\"", "string \"5\""),
        ("=", "line 1"),
    ];
    for (text, reason) in cases {
        std::fs::write(&path, text).unwrap();
        let error = store.session().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        let error = error.to_string();
        assert!(error.contains(reason) && error.contains(path.to_str().unwrap()), "{text}: {error}");
        assert_eq!(store.check(true).unwrap().problems[0].kind, ProblemKind::Settings);
    }
    std::fs::write(&path, "# nothing").unwrap();
    assert_eq!(store.limits().unwrap().history, 5);
}
