//! Signatures between samara and programs that know nothing of it: cosign and
//! skopeo check what samara signed, samara checks what they signed, through
//! Debian's docker-registry on loopback; openssl reads the same keys.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use samara_package::registry::{Client, ClientOptions, Silent};
use samara_package::sign::{self, PrivateKey, PublicKey};
use samara_package::spec::{self, Descriptor, ImageConfig, ImageManifest, RootFs};
use samara_package::store::Session;
use samara_package::{Digest, Reference, Store, media_types};
use samara_test::registry::{DockerRegistry, Setup};

const PASSWORD: &str = "correct horse";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

#[test]
fn cosign_accepts_what_samara_signed() {
    let Some((ground, registry, cosign)) = Ground::with("cosign") else { return };
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    let name = format!("{}/team/digits:1", registry.host());
    let verify = |key: &str, more: &[&str]| {
        let key = format!("{key}.pub");
        let arguments = ["verify", "--key", &key, "--insecure-ignore-tlog=true"];
        cosign.run(&[&arguments, more, &[name.as_str()]].concat())
    };
    ground.push(&name);
    let refusal = verify("team", &[]).unwrap_err();
    assert!(refusal.contains("no signatures found"), "unsigned: {refusal}");

    ground.sign(&name, &key);
    ground.push(&name);
    verify("team", &[]).unwrap();
    let refusal = verify("other", &[]).unwrap_err();
    assert!(refusal.contains("no matching signatures"), "other key: {refusal}");

    ground.sign(&name, &other);
    ground.push(&name);
    for key in ["team", "other"] {
        verify(key, &[]).unwrap();
        // The form that is a referrer.
        verify(key, &["--experimental-oci11"]).unwrap();
    }
}

#[test]
fn samara_accepts_what_cosign_signed() {
    let Some((ground, registry, cosign)) = Ground::with("cosign") else { return };
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    let name = format!("{}/team/digits:1", registry.host());
    ground.push(&name);
    cosign.run(&["generate-key-pair", "--output-key-prefix", "theirs"]).unwrap();

    // With a key that samara made, and with one that cosign made.
    let exactly = format!("{}/team/digits@{}", registry.host(), ground.image);
    for key in ["team.key", "theirs.key"] {
        cosign.run(&["sign", "--key", key, "--tlog-upload=false", "--yes", &exactly]).unwrap();
    }
    assert_eq!(ground.pull(&name), ground.image);
    let theirs = PublicKey::from_file(&ground.path().join("theirs.pub")).unwrap();
    let verified = sign::verify(&ground.store, &ground.image, &[key.public(), theirs.clone()]).unwrap();
    assert_eq!(verified.keys, [key.public().id(), theirs.id()]);
    assert_eq!(verified.references, [format!("{}/team/digits", registry.host())]);
    assert!(verified.ignored.is_empty());
    let refused = sign::verify(&ground.store, &ground.image, &[other.public()]).unwrap_err();
    assert_eq!(refused.kind(), sign::ErrorKind::OtherKeys);

    // samara signs with cosign's key: it knows that this one has signed.
    let private = PrivateKey::from_file(&ground.path().join("theirs.key"), || Ok(PASSWORD.into())).unwrap();
    assert_eq!(private.public().id(), theirs.id());
    assert!(!ground.sign(&name, &private).new);
}

#[test]
fn skopeo_accepts_what_samara_signed() {
    let Some((ground, registry, skopeo)) = Ground::with("skopeo") else { return };
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    let name = format!("{}/team/digits:1", registry.host());
    let copy = |key: &str| {
        let policy = ground.policy(&registry, key);
        skopeo.copy(&registry, &policy, &[&format!("docker://{name}"), &ground.fresh("dir:")])
    };
    ground.push(&name);
    let refusal = copy("team").unwrap_err();
    assert!(refusal.contains("signature"), "unsigned: {refusal}");

    ground.sign(&name, &key);
    ground.push(&name);
    copy("team").unwrap();
    let refusal = copy("other").unwrap_err();
    assert!(refusal.contains("signature"), "other key: {refusal}");

    ground.sign(&name, &other);
    ground.push(&name);
    copy("team").unwrap();
    copy("other").unwrap();
}

#[test]
fn samara_accepts_what_skopeo_signed() {
    let Some((ground, registry, skopeo)) = Ground::with("skopeo") else { return };
    let [key, other] = ["team", "other"].map(|name| ground.key(name));
    let name = format!("{}/team/digits:1", registry.host());
    ground.push(&name);
    let anything = ground.write("anything.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);

    ground.write("password", PASSWORD);
    let signed = format!("{}/team/signed:1", registry.host());
    let signed_by = |key: &str, from: &str| {
        let (from, to) = (format!("docker://{from}"), format!("docker://{signed}"));
        let arguments =
            ["--sign-by-sigstore-private-key", key, "--sign-passphrase-file", "password", &from, &to];
        skopeo.copy(&registry, &anything, &arguments)
    };
    signed_by("team.key", &name).unwrap();
    let image = ground.pull(&signed);
    let verified = sign::verify(&ground.store, &image, &[key.public()]).unwrap();
    assert_eq!(verified.references, [signed.as_str()]);
    let refused = sign::verify(&ground.store, &image, &[other.public()]).unwrap_err();
    assert_eq!(refused.kind(), sign::ErrorKind::OtherKeys);

    // skopeo adds to the signatures that samara added one to.
    sign::sign(&ground.session, &signed.parse().unwrap(), &image, &other).unwrap();
    client().begin_pull(&ground.session, &signed.parse().unwrap()).unwrap().layers(&Silent).unwrap();
    client().push(&ground.store, &image, &signed.parse().unwrap(), &Silent).unwrap();
    let third = ground.key("third");
    signed_by("third.key", &signed).unwrap();
    let elsewhere = Store::at(ground.path().join("elsewhere"));
    client().begin_pull(&elsewhere.session().unwrap(), &signed.parse().unwrap()).unwrap();
    let keys = [key.public(), other.public(), third.public()];
    let verified = sign::verify(&elsewhere, &image, &keys).unwrap();
    assert_eq!((verified.keys.len(), verified.ignored.len()), (3, 0));
}

#[test]
fn openssl_agrees_on_keys_and_signatures() {
    let Some(openssl) = samara_test::program("openssl") else { return };
    let ground = Ground::new();
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
    run(Command::new(&openssl).args([
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
    run(Command::new(&openssl).args(["pkey", "-pubin", "-in", public, "-outform", "der", "-out"]).arg(&der))
        .unwrap();
    assert_eq!(Digest::of(&std::fs::read(der).unwrap()), key.public().id());
}

#[test]
fn keys_of_openssl_sign() {
    let Some(openssl) = samara_test::program("openssl") else { return };
    let ground = Ground::new();
    let (private, public) = (ground.path().join("openssl.key"), ground.path().join("openssl.pub"));
    for arguments in [
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        // With the block `EC PARAMETERS` before the key.
        &["ecparam", "-name", "prime256v1", "-genkey"],
    ] {
        run(Command::new(&openssl).args(arguments).arg("-out").arg(&private)).unwrap();
        run(Command::new(&openssl).args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public))
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
        run(Command::new(&openssl).args(arguments).arg("-out").arg(&private)).unwrap();
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
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store"));
        let session = store.session().unwrap();
        let image = put_image(&session);
        Self { folder, store, session, image }
    }

    /// One with a registry and a program of Debian 13; `None` says that the
    /// test is to be skipped.
    fn with(name: &'static str) -> Option<(Self, DockerRegistry, Program)> {
        samara_test::trixie(name)?;
        let registry = DockerRegistry::start(&Setup::default())?;
        let ground = Self::new();
        let folder = ground.path().to_owned();
        Some((ground, registry, Program { name, folder }))
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

    fn sign(&self, name: &str, key: &PrivateKey) -> sign::Signed {
        sign::sign(&self.session, &name.parse().unwrap(), &self.image, key).unwrap()
    }

    /// Pushes the image with its signatures.
    fn push(&self, name: &str) {
        let name: Reference = name.parse().unwrap();
        client().push(&self.store, &self.image, &name, &Silent).unwrap();
    }

    /// Pulls what a policy is checked by: the manifest and its signatures.
    fn pull(&self, name: &str) -> Digest {
        *client().begin_pull(&self.session, &name.parse().unwrap()).unwrap().digest()
    }

    /// A transport with a folder that is empty.
    fn fresh(&self, transport: &str) -> String {
        let folder = tempfile::tempdir_in(self.path()).unwrap().keep();
        format!("{transport}{}", folder.display())
    }

    /// skopeo's policy that takes what the key `name` signed, and nothing else.
    fn policy(&self, registry: &DockerRegistry, name: &str) -> PathBuf {
        let key = self.path().join(name).with_extension("pub");
        let policy = serde_json::json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {registry.host(): [{
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
    fn copy(&self, registry: &DockerRegistry, policy: &Path, arguments: &[&str]) -> Result<(), String> {
        let registries = self.folder.join("registries.d");
        std::fs::create_dir_all(&registries).unwrap();
        let entry = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", registry.host());
        std::fs::write(registries.join("registry.yaml"), entry).unwrap();
        let mut skopeo = self.command();
        skopeo.arg("--policy").arg(policy).arg("--registries.d").arg(&registries).arg("copy");
        skopeo.args(["--src-tls-verify=false", "--dest-tls-verify=false"]).args(arguments);
        run(&mut skopeo)
    }
}

fn client() -> Client {
    Client::new(ClientOptions::default()).unwrap()
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

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
