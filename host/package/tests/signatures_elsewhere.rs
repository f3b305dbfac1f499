//! Signatures between samara and programs that know nothing of it: cosign and
//! skopeo check what samara signed, samara checks what they signed, through
//! Debian's docker-registry on loopback; openssl reads the same keys.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a failure here is a failed test")]

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use samara_package::sign::{self, PrivateKey, PublicKey};
use samara_package::spec::{self, Descriptor, ImageConfig, ImageIndex, ImageManifest, RootFs};
use samara_package::store::Session;
use samara_package::{Digest, Store, media_types};

const PASSWORD: &str = "correct horse";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

#[test]
fn cosign_accepts_what_samara_signed() {
    let Some((ground, cosign)) = Ground::with_cosign() else { return };
    let registry = Registry::start(ground.path());
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    let name = format!("{}/team/digits", registry.address);
    registry.push(&ground.store, "team/digits", "1", &ground.image);
    let verify = |key: &str, more: &[&str]| {
        let key = format!("{key}.pub");
        let arguments = ["verify", "--key", &key, "--insecure-ignore-tlog=true"];
        cosign.run(&[&arguments, more, &[&format!("{name}:1")]].concat())
    };
    let refusal = verify("team", &[]).unwrap_err();
    assert!(refusal.contains("no signatures found"), "unsigned: {refusal}");

    let signed = sign::sign(&ground.session, &name.parse().unwrap(), &ground.image, &key).unwrap();
    registry.push(&ground.store, "team/digits", &sign::tag(&ground.image), &signed.manifest);
    verify("team", &[]).unwrap();
    let refusal = verify("other", &[]).unwrap_err();
    assert!(refusal.contains("no matching signatures"), "other key: {refusal}");

    // Another key's signature, in the manifest that takes the first one's place.
    let both = sign::sign(&ground.session, &name.parse().unwrap(), &ground.image, &other).unwrap();
    registry.push(&ground.store, "team/digits", &sign::tag(&ground.image), &both.manifest);
    verify("team", &[]).unwrap();
    verify("other", &[]).unwrap();

    // The form that is a referrer, under the tag of registries without their API.
    let referrers = [signed.referrer, both.referrer];
    registry.push_referrers(&ground.store, "team/digits", &ground.image, &referrers);
    verify("team", &["--experimental-oci11"]).unwrap();
    verify("other", &["--experimental-oci11"]).unwrap();
}

#[test]
fn samara_accepts_what_cosign_signed() {
    let Some((ground, cosign)) = Ground::with_cosign() else { return };
    let registry = Registry::start(ground.path());
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    registry.push(&ground.store, "team/digits", "1", &ground.image);
    cosign.run(&["generate-key-pair", "--output-key-prefix", "theirs"]).unwrap();

    // With a key that samara made, and with one that cosign made.
    let name = format!("{}/team/digits", registry.address);
    for key in ["team.key", "theirs.key"] {
        let image = format!("{name}@{}", ground.image);
        cosign.run(&["sign", "--key", key, "--tlog-upload=false", "--yes", &image]).unwrap();
    }
    let manifest = registry.pull(&ground.session, "team/digits", &sign::tag(&ground.image));
    ground.session.add_referrer(&ground.image, &manifest).unwrap();
    let theirs = PublicKey::from_file(&ground.path().join("theirs.pub")).unwrap();
    let verified = sign::verify(&ground.store, &ground.image, &[key.public(), theirs.clone()]).unwrap();
    assert_eq!(verified.keys, [key.public().id(), theirs.id()]);
    assert_eq!(verified.references, [name.as_str()]);
    assert!(verified.ignored.is_empty());
    let refused = sign::verify(&ground.store, &ground.image, &[other.public()]).unwrap_err();
    assert_eq!(refused.kind(), sign::ErrorKind::OtherKeys);

    // samara signs with cosign's key: it knows that this one has signed.
    let private = PrivateKey::from_file(&ground.path().join("theirs.key"), || Ok(PASSWORD.into())).unwrap();
    assert_eq!(private.public().id(), theirs.id());
    assert!(!sign::sign(&ground.session, &name.parse().unwrap(), &ground.image, &private).unwrap().new);
}

#[test]
fn skopeo_accepts_what_samara_signed() {
    let Some((ground, skopeo)) = Ground::with_skopeo() else { return };
    let registry = Registry::start(ground.path());
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    let reference = format!("{}/team/digits:1", registry.address).parse().unwrap();
    registry.push(&ground.store, "team/digits", "1", &ground.image);

    let copy = |name: &str| {
        let policy = ground.policy(&registry, name);
        skopeo.copy(&registry, &policy, &[&registry.image("team/digits:1"), &ground.fresh("dir:")])
    };
    let refusal = copy("team").unwrap_err();
    assert!(refusal.contains("signature"), "unsigned: {refusal}");

    let signed = sign::sign(&ground.session, &reference, &ground.image, &key).unwrap();
    registry.push(&ground.store, "team/digits", &sign::tag(&ground.image), &signed.manifest);
    copy("team").unwrap();
    let refusal = copy("other").unwrap_err();
    assert!(refusal.contains("signature"), "other key: {refusal}");

    let both = sign::sign(&ground.session, &reference, &ground.image, &other).unwrap();
    registry.push(&ground.store, "team/digits", &sign::tag(&ground.image), &both.manifest);
    copy("team").unwrap();
    copy("other").unwrap();
}

#[test]
fn samara_accepts_what_skopeo_signed() {
    let Some((ground, skopeo)) = Ground::with_skopeo() else { return };
    let registry = Registry::start(ground.path());
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    registry.push(&ground.store, "team/digits", "1", &ground.image);
    let anything = ground.write("anything.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);

    ground.write("password", PASSWORD);
    let signed_by = |key: &str, from: &str| {
        let (from, to) = (registry.image(from), registry.image("team/signed:1"));
        let arguments =
            ["--sign-by-sigstore-private-key", key, "--sign-passphrase-file", "password", &from, &to];
        skopeo.copy(&registry, &anything, &arguments)
    };
    signed_by("team.key", "team/digits:1").unwrap();
    let image = registry.pull(&ground.session, "team/signed", "1");
    let manifest = registry.pull(&ground.session, "team/signed", &sign::tag(&image));
    ground.session.add_referrer(&image, &manifest).unwrap();
    let verified = sign::verify(&ground.store, &image, &[key.public()]).unwrap();
    assert_eq!(verified.references, [format!("{}/team/signed:1", registry.address)]);
    let refused = sign::verify(&ground.store, &image, &[other.public()]).unwrap_err();
    assert_eq!(refused.kind(), sign::ErrorKind::OtherKeys);

    // skopeo adds to a manifest that samara wrote.
    let reference = format!("{}/team/signed", registry.address).parse().unwrap();
    let both = sign::sign(&ground.session, &reference, &image, &other).unwrap();
    registry.push(&ground.store, "team/signed", &sign::tag(&image), &both.manifest);
    let third = ground.key("third");
    signed_by("third.key", "team/signed:1").unwrap();
    let manifest = registry.pull(&ground.session, "team/signed", &sign::tag(&image));
    ground.session.remove_referrer(&image, &both.manifest).unwrap();
    ground.session.remove_referrer(&image, &both.referrer).unwrap();
    ground.session.add_referrer(&image, &manifest).unwrap();
    let verified =
        sign::verify(&ground.store, &image, &[key.public(), other.public(), third.public()]).unwrap();
    assert_eq!((verified.keys.len(), verified.ignored.len()), (3, 0));
}

#[test]
fn openssl_agrees_on_keys_and_signatures() {
    let Some(ground) = Ground::with(&["openssl"]) else { return };
    let key = ground.key("team");
    let signed = sign::sign(&ground.session, &"a".parse().unwrap(), &ground.image, &key).unwrap();
    let manifest: ImageManifest =
        serde_json::from_slice(&ground.store.blob(&signed.manifest).unwrap().bytes).unwrap();
    let layer = &manifest.layers[0];
    let payload = ground.store.blob(&layer.digest).unwrap().path;
    let signature = ground.path().join("signature");
    std::fs::write(&signature, STANDARD.decode(&layer.annotations[SIGNATURE]).unwrap()).unwrap();
    let public = ground.path().join("team.pub");
    let (public, signature, payload) =
        (public.to_str().unwrap(), signature.to_str().unwrap(), payload.to_str().unwrap());
    run(Command::new("openssl").args([
        "dgst",
        "-sha256",
        "-verify",
        public,
        "-signature",
        signature,
        payload,
    ]))
    .unwrap();

    let der = ground.path().join("team.der");
    run(Command::new("openssl").args(["pkey", "-pubin", "-in", public, "-outform", "der", "-out"]).arg(&der))
        .unwrap();
    assert_eq!(Digest::of(&std::fs::read(der).unwrap()), key.public().id());
}

#[test]
fn keys_of_openssl_sign() {
    let Some(ground) = Ground::with(&["openssl"]) else { return };
    let (private, public) = (ground.path().join("openssl.key"), ground.path().join("openssl.pub"));
    for arguments in [
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        // With the block `EC PARAMETERS` before the key.
        &["ecparam", "-name", "prime256v1", "-genkey"],
    ] {
        run(Command::new("openssl").args(arguments).arg("-out").arg(&private)).unwrap();
        run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public))
            .unwrap();
        let key = PrivateKey::from_file(&private, || panic!("no password is needed")).unwrap();
        let public = PublicKey::from_file(&public).unwrap();
        assert_eq!(key.public().id(), public.id());
        sign::sign(&ground.session, &"a".parse().unwrap(), &ground.image, &key).unwrap();
        sign::verify(&ground.store, &ground.image, &[public]).unwrap();
    }
    for arguments in [
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"][..],
        &["genpkey", "-algorithm", "ED25519"],
    ] {
        run(Command::new("openssl").args(arguments).arg("-out").arg(&private)).unwrap();
        let error = PrivateKey::from_file(&private, || panic!("no password is needed")).unwrap_err();
        assert!(error.to_string().contains("not of the kind ECDSA P-256"), "{error}");
    }
}

/// A folder with a store that holds one image.
struct Ground {
    folder: tempfile::TempDir,
    store: Store,
    session: Session,
    image: Digest,
}

impl Ground {
    /// `None`, said on stderr, where one of the programs is not installed.
    fn with(programs: &[&str]) -> Option<Self> {
        if let Some(missing) = programs.iter().find(|program| !installed(program)) {
            assert!(!samara_test::must_have_everything(), "{missing} is not installed");
            eprintln!("skipped: {missing} is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store"));
        let session = store.session().unwrap();
        let image = put_image(&session);
        Some(Self { folder, store, session, image })
    }

    fn with_cosign() -> Option<(Self, Program)> {
        samara_test::trixie("cosign")?;
        let ground = Self::with(&["docker-registry"])?;
        let program = Program { name: "cosign", folder: ground.path().to_owned() };
        Some((ground, program))
    }

    fn with_skopeo() -> Option<(Self, Program)> {
        samara_test::trixie("skopeo")?;
        let ground = Self::with(&["docker-registry"])?;
        let program = Program { name: "skopeo", folder: ground.path().to_owned() };
        Some((ground, program))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A new pair in `<name>.key` and `<name>.pub`.
    fn key(&self, name: &str) -> PrivateKey {
        let key = PrivateKey::generate().unwrap();
        let file = |extension| self.path().join(name).with_extension(extension);
        key.save(&file("key"), &file("pub"), &PASSWORD.into()).unwrap();
        key
    }

    /// A transport with a path that nothing is at.
    fn fresh(&self, transport: &str) -> String {
        let folder = tempfile::Builder::new().tempdir_in(self.path()).unwrap();
        format!("{transport}{}", folder.path().display())
    }

    /// skopeo's policy that takes what the key `name` signed, and nothing else.
    fn policy(&self, registry: &Registry, name: &str) -> PathBuf {
        let key = self.path().join(name).with_extension("pub");
        let policy = serde_json::json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {&registry.address: [{
                "type": "sigstoreSigned",
                "keyPath": key,
                "signedIdentity": {"type": "matchRepository"},
            }]}},
        });
        self.write(&format!("{name}.json"), &policy.to_string())
    }
}

/// A program of Debian 13 that runs in the folder of a test.
struct Program {
    name: &'static str,
    folder: PathBuf,
}

impl Program {
    fn command(&self) -> Command {
        let mut command = samara_test::trixie(self.name).unwrap();
        command.current_dir(&self.folder).env("HOME", &self.folder).env("COSIGN_PASSWORD", PASSWORD);
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<(), String> {
        run(self.command().args(arguments))
    }

    /// `skopeo copy` under a policy, with signatures.
    fn copy(&self, registry: &Registry, policy: &Path, arguments: &[&str]) -> Result<(), String> {
        let registries = self.folder.join("registries.d");
        std::fs::create_dir_all(&registries).unwrap();
        let entry = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", registry.address);
        std::fs::write(registries.join("registry.yaml"), entry).unwrap();
        let mut skopeo = self.command();
        skopeo.arg("--policy").arg(policy).arg("--registries.d").arg(&registries).arg("copy");
        skopeo.args(["--src-tls-verify=false", "--dest-tls-verify=false"]).args(arguments);
        run(&mut skopeo)
    }
}

/// Debian's docker-registry, ended when it is dropped.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    fn start(folder: &Path) -> Self {
        // Another process may take the port between; then the registry ends
        // and the next one is tried.
        for _ in 0..10 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let data = folder.join("registry");
            let config = format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {data:?}}}}}\nhttp: {{addr: '{address}'}}\n"
            );
            let path = folder.join("registry.yml");
            std::fs::write(&path, config).unwrap();
            let mut command = Command::new("docker-registry");
            command.arg("serve").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
            let mut registry = Self { process: command.spawn().unwrap(), address };
            if registry.answers() {
                return registry;
            }
        }
        panic!("docker-registry does not start");
    }

    fn answers(&mut self) -> bool {
        for _ in 0..400 {
            if TcpStream::connect(&self.address).is_ok() {
                return true;
            }
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        false
    }

    fn image(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.address)
    }

    fn url(&self, repository: &str, rest: &str) -> String {
        format!("http://{}/v2/{repository}/{rest}", self.address)
    }

    /// Pushes a manifest with its blobs.
    fn push(&self, store: &Store, repository: &str, tag: &str, digest: &Digest) {
        let bytes = store.blob(digest).unwrap().bytes;
        let manifest: ImageManifest = serde_json::from_slice(&bytes).unwrap();
        for blob in manifest.blobs() {
            let content = store.blob(&blob.digest).unwrap().bytes;
            let begun = ureq::post(self.url(repository, "blobs/uploads/")).send_empty().unwrap();
            let location = begun.headers()["location"].to_str().unwrap();
            ureq::put(format!("{location}&digest={}", blob.digest)).send(&content[..]).unwrap();
        }
        let put = ureq::put(self.url(repository, &format!("manifests/{tag}")));
        put.content_type(media_types::IMAGE_MANIFEST).send(&bytes[..]).unwrap();
    }

    /// Pushes manifests that refer to `subject`, with the list of them that
    /// stands for the API of newer registries: the tag `sha256-<hex>`.
    fn push_referrers(&self, store: &Store, repository: &str, subject: &Digest, referrers: &[Digest]) {
        let descriptors = referrers.iter().map(|referrer| {
            self.push(store, repository, &referrer.to_string(), referrer);
            let bytes = store.blob(referrer).unwrap().bytes;
            let mut descriptor = Descriptor::of(media_types::IMAGE_MANIFEST, &bytes);
            descriptor.artifact_type = Some(media_types::COSIGN_SIGNATURE.to_owned());
            descriptor
        });
        let index = spec::to_bytes(&ImageIndex::new(descriptors.collect()));
        let put = ureq::put(self.url(repository, &format!("manifests/sha256-{}", subject.hex())));
        put.content_type(media_types::IMAGE_INDEX).send(&index[..]).unwrap();
    }

    /// Pulls a manifest with its blobs.
    fn pull(&self, session: &Session, repository: &str, tag: &str) -> Digest {
        let get = |rest: &str| {
            let request = ureq::get(self.url(repository, rest)).header("accept", media_types::IMAGE_MANIFEST);
            let mut bytes = Vec::new();
            request.call().unwrap().into_body().into_reader().read_to_end(&mut bytes).unwrap();
            bytes
        };
        let bytes = get(&format!("manifests/{tag}"));
        let manifest: ImageManifest = serde_json::from_slice(&bytes).unwrap();
        for blob in manifest.blobs() {
            assert_eq!(session.put(&get(&format!("blobs/{}", blob.digest))).unwrap(), blob.digest);
        }
        session.put(&bytes).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An image whose one layer is an empty tar.
fn put_image(session: &Session) -> Digest {
    let content = [0; 1024];
    let layer = session.put(&content).unwrap();
    let config = spec::to_bytes(&ImageConfig {
        created: None,
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: spec::ContainerConfig::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer] },
    });
    session.put(&config).unwrap();
    let config = Descriptor::of(media_types::IMAGE_CONFIG, &config);
    let layer = Descriptor::of(media_types::TAR, &content);
    session.put(&spec::to_bytes(&ImageManifest::new(config, vec![layer]))).unwrap()
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
