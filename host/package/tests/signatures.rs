//! Signatures and policies as whoever runs a function meets them: keys in
//! files, images in a store, and what hostile ones get.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use samara_package::sign::{self, ErrorKind, Password, PrivateKey, PublicKey};
use samara_package::spec::{self, Descriptor, ImageConfig, ImageManifest, RootFs};
use samara_package::store::Session;
use samara_package::{Digest, Reference, Store, media_types};

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A store with one image in it.
struct Ground {
    _folder: tempfile::TempDir,
    store: Store,
    session: Session,
    image: Digest,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store"));
        let session = store.session().unwrap();
        let image = put_image(&session, "one");
        Self { _folder: folder, store, session, image }
    }

    fn sign(&self, key: &PrivateKey) -> sign::Signed {
        sign::sign(&self.session, &reference("r.io/team/digits:1"), &self.image, key).unwrap()
    }

    fn verify(&self, keys: &[&PrivateKey]) -> sign::Result<sign::Verified> {
        let keys: Vec<PublicKey> = keys.iter().map(|key| key.public()).collect();
        sign::verify(&self.store, &self.image, &keys)
    }

    fn manifest(&self, digest: &Digest) -> ImageManifest {
        serde_json::from_slice(&self.store.blob(digest).unwrap().bytes).unwrap()
    }

    /// Puts a manifest beside the image as what refers to it.
    fn attach(&self, manifest: &ImageManifest) {
        self.attach_bytes(&spec::to_bytes(manifest));
    }

    fn attach_bytes(&self, bytes: &[u8]) {
        let digest = self.session.put(bytes).unwrap();
        self.session.add_referrer(&self.image, &digest).unwrap();
    }

    /// What an image gets of which this is the only signature.
    fn refusal(&self, key: &PrivateKey) -> String {
        let error = self.verify(&[key]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        error.to_string()
    }
}

#[test]
fn a_signature_verifies_by_its_key_alone() {
    let ground = Ground::new();
    let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let unsigned = ground.verify(&[&key]).unwrap_err();
    assert_eq!(unsigned.kind(), ErrorKind::Unsigned);
    assert_eq!(unsigned.to_string(), format!("{} is not signed", ground.image));

    let signed = ground.sign(&key);
    assert!(signed.new);
    assert_eq!(signed.key, key.public().id());
    let verified = ground.verify(&[&other, &key]).unwrap();
    assert_eq!(verified.keys, [key.public().id()]);
    assert_eq!(verified.references, ["r.io/team/digits"]);
    assert_eq!((verified.others, verified.ignored.len()), (0, 0));

    let refused = ground.verify(&[&other]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::OtherKeys);
    let name = other.public().id().short();
    assert_eq!(
        refused.to_string(),
        format!("{} has one signature, but none by the key {name}", ground.image)
    );
    assert_eq!(ground.verify(&[]).unwrap_err().kind(), ErrorKind::OtherKeys);
}

#[test]
fn a_signature_is_kept_in_both_forms_of_cosign() {
    let ground = Ground::new();
    let signed = ground.sign(&PrivateKey::generate().unwrap());
    assert_eq!(ground.store.referrers(&ground.image).unwrap().len(), 2);

    let cosign = ground.manifest(&signed.manifest);
    assert!(cosign.subject.is_none() && cosign.artifact_type.is_none());
    assert_eq!(cosign.config.media_type, media_types::IMAGE_CONFIG);
    let config: ImageConfig =
        serde_json::from_slice(&ground.store.blob(&cosign.config.digest).unwrap().bytes).unwrap();
    assert_eq!(config.rootfs.diff_ids, [cosign.layers[0].digest]);

    let referrer = ground.manifest(&signed.referrer);
    assert_eq!(referrer.artifact_type.as_deref(), Some(media_types::COSIGN_SIGNATURE));
    let subject = referrer.subject.clone().unwrap();
    let size = ground.store.blob(&ground.image).unwrap().bytes.len() as u64;
    assert_eq!(subject, Descriptor::new(media_types::IMAGE_MANIFEST, ground.image, size));
    assert_eq!(referrer.layers, cosign.layers);
    assert_eq!(cosign.layers[0].media_type, media_types::SIMPLE_SIGNING);
    for manifest in [&cosign, &referrer] {
        assert!(sign::is_signature(manifest));
        let strict: oci_spec::image::ImageManifest =
            serde_json::from_slice(&spec::to_bytes(manifest)).unwrap();
        assert_eq!(strict.layers().len(), 1);
        assert!(manifest.blobs().all(|blob| ground.store.contains(&blob.digest)));
    }
    assert_eq!(sign::tag(&ground.image), format!("sha256-{}.sig", ground.image.hex()));

    // Either form alone is enough.
    for alone in [signed.manifest, signed.referrer] {
        let other = if alone == signed.manifest { signed.referrer } else { signed.manifest };
        ground.session.remove_referrer(&ground.image, &other).unwrap();
        assert_eq!(sign::signatures(&ground.store, &ground.image).unwrap().found.len(), 1);
        ground.session.add_referrer(&ground.image, &other).unwrap();
    }
}

#[test]
fn signing_again_adds_the_other_keys_and_no_duplicate() {
    let ground = Ground::new();
    let (one, two) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let first = ground.sign(&one);
    let again = ground.sign(&one);
    assert_eq!(again, sign::Signed { new: false, ..first });

    let both = ground.sign(&two);
    assert!(both.new);
    assert_eq!(ground.manifest(&both.manifest).layers.len(), 2);
    let referrers = ground.store.referrers(&ground.image).unwrap();
    assert_eq!(referrers.len(), 3, "one manifest for the tag, one referrer for each key");
    assert!(!referrers.contains(&first.manifest), "the manifest for the tag was replaced");
    let verified = ground.verify(&[&two, &one, &two]).unwrap();
    assert_eq!(verified.keys, [two.public().id(), one.public().id()]);
    assert_eq!(sign::signatures(&ground.store, &ground.image).unwrap().found.len(), 2);
}

#[test]
fn manifests_for_the_tag_become_one() {
    let ground = Ground::new();
    let (one, two) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let first = ground.sign(&one).manifest;
    let own = ground.sign(&two).manifest;
    // As a pull does: the registry's manifest beside the own one.
    ground.session.remove_referrer(&ground.image, &own).unwrap();
    ground.session.add_referrer(&ground.image, &first).unwrap();
    let mut second = ground.manifest(&own);
    second.layers.remove(0);
    ground.attach(&second);
    let merged = ground.sign(&one);
    assert!(!merged.new);
    assert_eq!(ground.manifest(&merged.manifest).layers.len(), 2);
    assert_eq!(ground.verify(&[&one, &two]).unwrap().keys.len(), 2);
}

#[test]
fn hostile_signatures_are_ignored_with_a_reason() {
    let key = PrivateKey::generate().unwrap();
    let signed = Ground::new();
    let good = signed.manifest(&signed.sign(&key).manifest);
    let payload = signed.store.blob(&good.layers[0].digest).unwrap().bytes;

    // The ground of each case has the same image, and the good document.
    let case = |change: &dyn Fn(&mut ImageManifest)| {
        let ground = Ground::new();
        ground.session.put(&payload).unwrap();
        let mut manifest = good.clone();
        change(&mut manifest);
        ground.attach(&manifest);
        ground.refusal(&key)
    };
    let annotated = |signature: String| {
        case(&move |manifest| {
            manifest.layers[0].annotations.insert(SIGNATURE.to_owned(), signature.clone());
        })
    };
    let der = STANDARD.decode(&good.layers[0].annotations[SIGNATURE]).unwrap();
    assert!(case(&|manifest| manifest.layers[0].annotations.clear()).contains("has no signature"));
    assert!(annotated("?".to_owned()).contains("not base64"));
    assert!(annotated(STANDARD.encode(b"x")).contains("not one of ECDSA P-256"));
    assert!(annotated(String::new()).contains("not one of ECDSA P-256"));
    assert!(annotated("A".repeat(1 << 20)).contains("not one of ECDSA P-256"));
    // The same numbers in other bytes: trailing ones, and a length in the long form.
    let trailing = [der.as_slice(), &[0]].concat();
    assert!(annotated(STANDARD.encode(trailing)).contains("not one of ECDSA P-256"));
    let long = [&[0x30, 0x81], &der[1..]].concat();
    assert!(annotated(STANDARD.encode(long)).contains("not one of ECDSA P-256"));
    assert!(annotated(STANDARD.encode([0x30, 6, 2, 1, 0, 2, 1, 0])).contains("not one of ECDSA P-256"));

    let digest = Digest::of(b"not there");
    assert!(case(&|manifest| manifest.layers[0].digest = digest).contains("not in the store"));
    assert!(case(&|manifest| manifest.layers[0].size += 1).contains("bytes, not"));
    assert!(case(&|manifest| manifest.layers[0].size = u64::MAX).contains("more than any real one"));
    let reason = case(&|manifest| {
        manifest.artifact_type = Some(media_types::COSIGN_SIGNATURE.to_owned());
        manifest.layers[0].media_type = "text/plain".to_owned();
    });
    assert!(reason.contains("media type"), "{reason}");
    let elsewhere = Descriptor::new(media_types::IMAGE_MANIFEST, digest, 1);
    assert!(case(&|manifest| manifest.subject = Some(elsewhere.clone())).contains("another image"));
}

#[test]
fn hostile_manifests_are_ignored_with_a_reason() {
    let key = PrivateKey::generate().unwrap();
    let refusal = |bytes: &[u8]| {
        let ground = Ground::new();
        ground.attach_bytes(bytes);
        ground.refusal(&key)
    };
    assert!(refusal(b"").contains("damaged"));
    assert!(refusal(b"null").contains("damaged"));
    assert!(refusal(&b"[".repeat(1 << 20)).contains("damaged"));
    assert!(refusal(&b" ".repeat((4 << 20) + 1)).contains("more than any real one"));

    let ground = Ground::new();
    ground.session.add_referrer(&ground.image, &Digest::of(b"never written")).unwrap();
    assert!(ground.refusal(&key).contains("not in the store"));
    // It does not hide what is right, and is told.
    ground.sign(&key);
    assert_eq!(ground.verify(&[&key]).unwrap().ignored.len(), 1);

    // Ten thousand layers cost a look at one thousand.
    let mut many = ground.manifest(&ground.sign(&key).manifest);
    many.layers = vec![many.layers[0].clone().annotated(SIGNATURE, "?"); 10_000];
    let ground = Ground::new();
    ground.attach(&many);
    assert!(ground.refusal(&key).contains("and 998 more"));
}

#[test]
fn a_signature_of_another_image_is_none_of_this() {
    let key = PrivateKey::generate().unwrap();
    let ground = Ground::new();
    let two = put_image(&ground.session, "two");
    let signed = sign::sign(&ground.session, &reference("r.io/a"), &two, &key).unwrap();
    ground.session.add_referrer(&ground.image, &signed.manifest).unwrap();
    let reason = ground.refusal(&key);
    assert!(reason.contains(&format!("it is for another image, {two}")), "{reason}");
}

#[test]
fn a_changed_byte_of_document_or_manifest_is_found() {
    let key = PrivateKey::generate().unwrap();
    for change in ["document", "manifest"] {
        let ground = Ground::new();
        let signed = ground.sign(&key);
        ground.session.remove_referrer(&ground.image, &signed.referrer).unwrap();
        let layer = ground.manifest(&signed.manifest).layers[0].digest;
        let changed = if change == "document" { layer } else { signed.manifest };
        let path = ground.store.blob(&changed).unwrap().path;
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        assert!(ground.refusal(&key).contains("should be"), "{change}");
    }
}

#[test]
fn only_images_of_the_store_are_signed() {
    let ground = Ground::new();
    let key = PrivateKey::generate().unwrap();
    let sign = |digest: &Digest| sign::sign(&ground.session, &reference("a"), digest, &key).unwrap_err();
    let absent = sign(&Digest::of(b"absent"));
    assert_eq!(absent.kind(), ErrorKind::Store(samara_package::store::ErrorKind::NotFound));
    for blob in [&b"{}"[..], b"\0asm", b"{\"schemaVersion\":1}"] {
        let error = sign(&ground.session.put(blob).unwrap());
        assert_eq!(error.kind(), ErrorKind::NotAnImage, "{error}");
    }
}

#[test]
fn keys_survive_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let (private, public) = (folder.path().join("cosign.key"), folder.path().join("cosign.pub"));
    let key = PrivateKey::generate().unwrap();
    key.save(&private, &public, &"secret".into()).unwrap();
    let read = PrivateKey::from_file(&private, || Ok("secret".into())).unwrap();
    assert_eq!(read.public().id(), key.public().id());
    assert_eq!(PublicKey::from_file(&public).unwrap().id(), key.public().id());

    let text = std::fs::read_to_string(&private).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), "{text}");
    let before = folder.path().join("before.key");
    std::fs::write(&before, text.replace("SIGSTORE", "COSIGN").replace('\n', "\r\n")).unwrap();
    assert!(PrivateKey::from_file(&before, || Ok("secret".into())).is_ok());

    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&private.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    let error = PrivateKey::from_file(&private, || Ok("wrong".into())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Password);
    let error = PrivateKey::from_file(&private, || Err(std::io::Error::other("no terminal"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Password);
}

#[test]
fn key_files_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (private, public) = (folder.path().join("a.key"), folder.path().join("a.pub"));
    let key = PrivateKey::generate().unwrap();
    std::fs::write(&public, "precious").unwrap();
    let error = key.save(&private, &public, &"".into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert!(error.to_string().contains("\nhint: "), "{error}");
    assert!(!private.exists(), "half a pair is left behind");
    std::fs::remove_file(&public).unwrap();
    std::fs::write(&private, "precious").unwrap();
    assert_eq!(key.save(&private, &public, &"".into()).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(std::fs::read_to_string(&private).unwrap(), "precious");
    assert!(!public.exists());
}

#[test]
fn secrets_are_not_printed() {
    let key = PrivateKey::generate().unwrap();
    assert_eq!(format!("{key:?}"), format!("PrivateKey(of {})", key.public().id()));
    assert_eq!(format!("{:?}", Password::from("hush")), "Password(…)");
}

#[test]
fn files_without_a_key_are_refused_with_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let public = PrivateKey::generate().unwrap().public().to_pem();
    let refusal = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        let error = PrivateKey::from_file(&path, || panic!("asks for a password")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadKey, "{error}");
        assert!(PublicKey::from_file(&path).is_err() || text == public.as_bytes());
        error.to_string()
    };
    assert!(refusal(public.as_bytes()).contains("it is a public key"));
    assert!(refusal(b"").contains("no PEM text"));
    assert!(refusal(b"\xff\xfe").contains("no PEM text"));
    assert!(refusal(&vec![b'x'; 1 << 20]).contains("64 KiB"));
    assert!(refusal(public.replace("PUBLIC KEY", "CERTIFICATE").as_bytes()).contains("`CERTIFICATE`"));
    assert!(refusal(public.replace("PUBLIC", "PRIVATE").as_bytes()).contains("not of the kind"));
    assert!(refusal(b"-----BEGIN PRIVATE KEY-----\nAAAA").contains("has no end"));
    let empty = b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n";
    assert!(refusal(empty).contains("no usable key"));
    assert!(PublicKey::from_pem("x").unwrap_err().to_string().contains("the public key"));
    let missing = PublicKey::from_file(&folder.path().join("missing")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// The smallest image, told from others by `content`.
fn put_image(session: &Session, content: &str) -> Digest {
    let layer = session.put(content.as_bytes()).unwrap();
    let config = spec::to_bytes(&ImageConfig {
        created: None,
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: spec::ContainerConfig::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer] },
    });
    session.put(&config).unwrap();
    let config = Descriptor::of(media_types::IMAGE_CONFIG, &config);
    let layer = Descriptor::new(media_types::TAR, layer, content.len() as u64);
    session.put(&spec::to_bytes(&ImageManifest::new(config, vec![layer]))).unwrap()
}
