//! Archives of images: what is saved comes back, other tools read it, and
//! what they write is read; anything else is refused.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failure here is a failed test; a skip is said"
)]

use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::process::Command;

use samara_package::layout::{self, Error, ErrorKind, Loaded};
use samara_package::spec::{
    ContainerConfig, Descriptor, ImageConfig, ImageIndex, ImageManifest, RootFs, to_bytes,
};
use samara_package::store::Session;
use samara_package::{Digest, Reference, Store, media_types};

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

/// An image with all that an archive carries.
struct Image {
    digest: Digest,
    bom: Digest,
    /// As cosign stores it: nothing in it says what it refers to.
    signature: Digest,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path().join("store"));
    Place { folder, store }
}

fn put(session: &Session, media_type: &str, bytes: &[u8]) -> Descriptor {
    session.put(bytes).unwrap();
    Descriptor::of(media_type, bytes)
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

/// A tar with one file, as a layer.
fn layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).unwrap();
    tar.into_inner().unwrap()
}

fn image(session: &Session, what: &str) -> Image {
    let component = put(session, media_types::WASM, format!("component {what}").as_bytes());
    let model = layer("model.onnx", &vec![7; 2_000_000]);
    let model = put(session, media_types::TAR, &model);
    let config = ImageConfig {
        created: None,
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: ContainerConfig { entrypoint: vec!["f.wasm".to_owned()], ..Default::default() },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![model.digest] },
    };
    let config = put(session, media_types::IMAGE_CONFIG, &to_bytes(&config));
    let manifest = ImageManifest::new(config, vec![component, model]);
    let manifest = put(session, media_types::IMAGE_MANIFEST, &to_bytes(&manifest));
    let empty = put(session, media_types::EMPTY_CONFIG, b"{}");

    let mut bom =
        ImageManifest::new(empty.clone(), vec![put(session, media_types::CYCLONEDX, b"{\"bom\":1}")]);
    bom.artifact_type = Some(media_types::CYCLONEDX.to_owned());
    bom.subject = Some(manifest.clone());
    let bom = put(session, media_types::IMAGE_MANIFEST, &to_bytes(&bom)).digest;
    session.add_referrer(&manifest.digest, &bom).unwrap();

    let payload = put(session, media_types::SIMPLE_SIGNING, format!("signed {what}").as_bytes());
    let signature = ImageManifest::new(empty, vec![payload]);
    let signature = put(session, media_types::IMAGE_MANIFEST, &to_bytes(&signature)).digest;
    session.add_referrer(&manifest.digest, &signature).unwrap();
    Image { digest: manifest.digest, bom, signature }
}

/// A store with one image, and its archive.
fn saved() -> (Place, Image, Vec<u8>) {
    let place = place();
    let session = place.store.session().unwrap();
    let image = image(&session, "digits");
    session.tag(&name("localhost:5000/team/digits:1.0"), &image.digest).unwrap();
    let archive = save(&place.store, &["localhost:5000/team/digits:1.0"]);
    (place, image, archive)
}

fn save(store: &Store, names: &[&str]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|text| name(text)).collect();
    let mut archive = Vec::new();
    layout::save(store, &names, &mut archive).unwrap();
    archive
}

fn load(store: &Store, archive: &[u8]) -> Result<Vec<Loaded>, Error> {
    layout::load(&store.session().unwrap(), archive)
}

/// The entries of an archive, in order.
fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in entries.iter().filter(|(path, _)| !path.ends_with('/')) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// An archive whose one entry has a header that no library would write.
fn raw_entry(path: &str, kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Whether a program is there; where all must be, it has to.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there || !samara_test::must_have_everything(), "`{program}` is missing");
    if !there {
        eprintln!("skipped: `{program}` is missing");
    }
    there
}

#[test]
fn what_was_saved_comes_back_with_all_that_refers_to_it() {
    let (from, image, archive) = saved();
    let to = place();
    let expected = [(Some(name("localhost:5000/team/digits:1.0")), image.digest)];
    assert_eq!(load(&to.store, &archive).unwrap(), expected);
    let mut referrers = vec![image.bom, image.signature];
    referrers.sort();
    assert_eq!(to.store.referrers(&image.digest).unwrap(), referrers);
    assert_eq!(to.store.tags().unwrap(), [], "loading tags nothing");
    let usage = |store: &Store| store.usage().unwrap().blobs;
    assert_eq!(usage(&from.store), usage(&to.store));
    assert!(to.store.check(false).unwrap().problems.is_empty());
    // And again, onto what is there.
    assert_eq!(load(&to.store, &archive).unwrap(), expected);
}

#[test]
fn equal_images_make_equal_archives_whatever_the_order_they_are_named_in() {
    let make = |reverse: bool| {
        let place = place();
        let session = place.store.session().unwrap();
        let mut names = vec!["a/b:1", "a/c:1"];
        for text in &names {
            let image = image(&session, text);
            session.tag(&name(text), &image.digest).unwrap();
        }
        if reverse {
            names.reverse();
        }
        save(&place.store, &names)
    };
    let archive = make(false);
    assert_eq!(archive, make(true));
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let header = entry.unwrap().header().clone();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
    }
}

#[test]
fn every_document_is_one_to_the_strict_reader() {
    let (_place, _, archive) = saved();
    let mut manifests = 0;
    for (path, bytes) in entries(&archive) {
        match path.as_str() {
            "oci-layout" => drop(oci_spec::image::OciLayout::from_reader(bytes.as_slice()).unwrap()),
            "index.json" => {
                let index = oci_spec::image::ImageIndex::from_reader(bytes.as_slice()).unwrap();
                assert_eq!(index.manifests().len(), 3);
                assert!(index.manifests().iter().all(|entry| entry.platform().is_none()));
                let annotations = index.manifests()[0].annotations().clone().unwrap();
                assert_eq!(annotations["org.opencontainers.image.ref.name"], "1.0");
                assert_eq!(annotations["io.containerd.image.name"], "localhost:5000/team/digits:1.0");
            }
            _ if bytes.starts_with(b"{\"schemaVersion\"") => {
                let manifest = oci_spec::image::ImageManifest::from_reader(bytes.as_slice()).unwrap();
                assert_eq!(manifest.schema_version(), 2);
                manifests += 1;
            }
            _ if bytes.starts_with(b"{\"architecture\"") => {
                drop(oci_spec::image::ImageConfiguration::from_reader(bytes.as_slice()).unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(manifests, 3);
}

#[test]
fn a_compressed_archive_is_read_too() {
    let (_place, image, archive) = saved();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(load(&place().store, &gzip).unwrap()[0].1, image.digest);
    let error = load(&place().store, &gzip[..gzip.len() / 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
}

#[test]
fn an_archive_that_is_cut_off_is_refused_wherever() {
    let (_place, _, archive) = saved();
    let target = place();
    let length = archive.len();
    // The last 1024 bytes only say that it ends.
    let cuts = (0..200).map(|cut| cut * (length - 1024) / 200).chain(length - 3000..length - 1600);
    for cut in cuts.step_by(3) {
        let error = load(&target.store, &archive[..cut]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotALayout), "{cut}: {error}");
    }
    assert!(target.store.check(false).unwrap().problems.is_empty());
}

#[test]
fn an_altered_blob_is_refused_even_where_the_store_has_the_right_one() {
    let (place_, _, archive_) = saved();
    let fresh = place();
    for index in 0..entries(&archive_).len() {
        let mut entries = entries(&archive_);
        let (path, bytes) = &mut entries[index];
        if !path.starts_with("blobs/") || bytes.is_empty() {
            continue;
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        for store in [&fresh.store, &place_.store] {
            let error = load(store, &archive(&entries)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains("content that should be sha256:"), "{error}");
        }
    }
}

#[test]
fn an_archive_that_lacks_a_blob_is_refused() {
    let (_place, _, archive_) = saved();
    for index in 0..entries(&archive_).len() {
        let mut entries = entries(&archive_);
        let (path, bytes) = entries.remove(index);
        if path.ends_with('/') {
            continue;
        }
        let error = load(&place().store, &archive(&entries)).map(|_| path.clone()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotALayout), "{path}: {error}");
        drop(bytes);
    }
}

#[test]
fn entries_may_come_in_any_order_with_others_between_them() {
    let (_place, image, archive_) = saved();
    let mut entries = entries(&archive_);
    entries.reverse();
    entries.insert(1, ("manifest.json".to_owned(), b"[]".to_vec()));
    entries.insert(3, (format!("{}.txt", "long/".repeat(60)), b"other".to_vec()));
    assert_eq!(load(&place().store, &archive(&entries)).unwrap()[0].1, image.digest);
}

#[test]
fn paths_and_kinds_that_no_layout_has_are_refused() {
    use tar::EntryType;
    let (_place, _, good) = saved();
    let hex = Digest::of(b"x").hex();
    let cases = [
        ("../evil", EntryType::Regular),
        ("blobs/sha256/../../../evil", EntryType::Regular),
        ("/etc/evil", EntryType::Regular),
        (&format!("blobs/sha256/{hex}"), EntryType::Symlink),
        (&format!("blobs/sha256/{hex}"), EntryType::Link),
        ("index.json", EntryType::Char),
        ("index.json", EntryType::Block),
        ("index.json", EntryType::Fifo),
        ("index.json", EntryType::GNUSparse),
    ];
    for (path, kind) in cases {
        let mut bytes = raw_entry(path, kind, b"");
        bytes.truncate(512);
        bytes.extend(&good);
        let error = load(&place().store, &bytes).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }) || kind == EntryType::GNUSparse, "{path}: {error}");
    }
}

#[test]
fn sizes_that_a_header_only_claims_cost_nothing() {
    // Eight gigabytes of file name, of which some megabytes come.
    let mut bytes = raw_entry("././@LongLink", tar::EntryType::GNULongName, b"");
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&bytes[..512]);
    header.set_size(8 << 30);
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    bytes.truncate(512);
    let endless = Cursor::new(bytes).chain(std::io::repeat(b'a'));
    let store = place();
    let error = layout::load(&store.store.session().unwrap(), endless).unwrap_err();
    assert!(error.to_string().contains("headers are too long"), "{error}");

    // A blob beyond the limit is refused before it comes.
    let mut header = tar::Header::new_gnu();
    header.set_path(format!("blobs/sha256/{}", Digest::of(b"x").hex())).unwrap();
    header.set_size(17 << 30);
    header.set_cksum();
    let endless = Cursor::new(header.as_bytes().to_vec()).chain(std::io::repeat(b'a'));
    let error = layout::load(&store.store.session().unwrap(), endless).unwrap_err();
    assert!(error.to_string().contains("max-blob"), "{error}");
}

#[test]
fn what_is_no_archive_of_images_says_so() {
    let other = layer("hello.txt", b"hello");
    let docker = layer("manifest.json", b"[]");
    let version = ("oci-layout".to_owned(), b"{\"imageLayoutVersion\":\"2.0.0\"}".to_vec());
    let newer = archive(&[version, ("index.json".to_owned(), b"{}".to_vec())]);
    let cases: [(&[u8], &str); 5] = [
        (b"", "lacks `oci-layout`"),
        (&[b'x'; 2000], "no tar"),
        (&other, "lacks `oci-layout`"),
        (&docker, "Docker's old form"),
        (&newer, "version `2.0.0`"),
    ];
    for (bytes, reason) in cases {
        let error = load(&place().store, bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotALayout, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn an_image_that_is_not_whole_is_not_saved() {
    let (place, image, _) = saved();
    let manifest: ImageManifest =
        serde_json::from_slice(&place.store.blob(&image.digest).unwrap().bytes).unwrap();
    let layer = manifest.layers[0].digest;
    std::fs::remove_file(place.store.blob(&layer).unwrap().path).unwrap();
    let names = [name("localhost:5000/team/digits:1.0")];
    let error = layout::save(&place.store, &names, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains(&layer.to_string()), "{error}");
    let error = layout::save(&place.store, &[name("other")], &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("`other:latest` is not in the store"), "{error}");
}

#[test]
fn of_an_index_the_image_for_webassembly_is_chosen() {
    let place = place();
    let session = place.store.session().unwrap();
    let wasm = image(&session, "wasm").digest;
    let foreign = |architecture: &str| {
        let config = format!(
            "{{\"architecture\":\"{architecture}\",\"os\":\"linux\",\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[]}}}}"
        );
        let config = put(&session, media_types::IMAGE_CONFIG, config.as_bytes());
        put(&session, media_types::IMAGE_MANIFEST, &to_bytes(&ImageManifest::new(config, Vec::new())))
    };
    let size = place.store.blob(&wasm).unwrap().bytes.len() as u64;
    let wasm = Descriptor::new(media_types::IMAGE_MANIFEST, wasm, size);
    let load_index = |images: Vec<Descriptor>| {
        let index = put(&session, media_types::IMAGE_INDEX, &to_bytes(&ImageIndex::new(images)));
        session.tag(&name("many:1"), &index.digest).unwrap();
        load(&self::place().store, &save(&place.store, &["many:1"]))
    };
    let expected = [(Some(name("many:1")), wasm.digest)];
    assert_eq!(load_index(vec![foreign("amd64"), wasm.clone(), foreign("arm64")]).unwrap(), expected);
    assert_eq!(load_index(vec![foreign("amd64")]).unwrap()[0].1, foreign("amd64").digest);
    let error = load_index(vec![foreign("amd64"), foreign("arm64")]).unwrap_err();
    assert!(error.to_string().contains("lists 2 images, 0 of them for WebAssembly"), "{error}");
}

#[test]
fn a_signature_that_lacks_its_payload_stays_behind() {
    let (place_, image, _) = saved();
    let manifest = place_.store.blob(&image.signature).unwrap();
    let manifest: ImageManifest = serde_json::from_slice(&manifest.bytes).unwrap();
    std::fs::remove_file(place_.store.blob(&manifest.layers[0].digest).unwrap().path).unwrap();
    let to = place();
    load(&to.store, &save(&place_.store, &["localhost:5000/team/digits:1.0"])).unwrap();
    assert_eq!(to.store.referrers(&image.digest).unwrap(), [image.bom]);
}

#[test]
fn skopeo_reads_what_is_saved_and_what_it_writes_is_read() {
    if !has("skopeo") {
        return;
    }
    let (place_, image, archive) = saved();
    let file = place_.folder.path().join("digits.tar");
    std::fs::write(&file, &archive).unwrap();
    let source = format!("oci-archive:{}:1.0", file.display());
    let skopeo = || Command::new("skopeo");
    let raw = run(skopeo().args(["inspect", "--raw", &source]));
    assert_eq!(Digest::of(raw.as_bytes()), image.digest);
    let config = run(skopeo().args(["inspect", "--config", "--raw", &source]));
    assert!(config.contains("\"wasip1\""), "{config}");

    let copy = |to: &str| {
        run(skopeo().args(["copy", "--insecure-policy", "--preserve-digests", &source, to]));
    };
    let folder = place_.folder.path().join("folder");
    copy(&format!("dir:{}", folder.display()));
    assert_eq!(Digest::of(&std::fs::read(folder.join("manifest.json")).unwrap()), image.digest);
    for (name_, expected) in [("r.io/x/digits:2", Some(name("r.io/x/digits:2"))), ("2", None)] {
        let written = place_.folder.path().join("written.tar");
        let _ = std::fs::remove_file(&written);
        copy(&format!("oci-archive:{}:{name_}", written.display()));
        let loaded = load(&place().store, &std::fs::read(&written).unwrap()).unwrap();
        assert_eq!(loaded, [(expected, image.digest)]);
    }
}

#[test]
fn umoci_reads_the_unpacked_layout() {
    if !has("umoci") {
        return;
    }
    let (place, _, archive) = saved();
    let folder = place.folder.path().join("layout");
    tar::Archive::new(archive.as_slice()).unpack(&folder).unwrap();
    let layout = |tag: &str| format!("{}:{tag}", folder.display());
    assert_eq!(run(Command::new("umoci").args(["ls", "--layout"]).arg(&folder)).trim(), "1.0");
    let stat = run(Command::new("umoci").args(["stat", "--json", "--image", &layout("1.0")]));
    assert!(stat.contains("history"), "{stat}");
    assert!(Path::new(&folder).join("index.json").is_file());
}
