//! Images go to a real registry and come back: Debian's `docker-registry`.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod registry_kit;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;

use registry_kit::{TestImage, TestStore, client, image, keep, noise, of, options, reference};
use samara_package::registry::{Client, ClientOptions, Credentials, ErrorKind, Progress, Silent, Transfer};
use samara_package::spec::{ContainerConfig, Descriptor, ImageConfig, ImageManifest, RootFs, to_bytes};
use samara_package::{Digest, Reference, media_types};
use samara_test::program;
use samara_test::registry::{DockerRegistry, Setup};

#[test]
fn an_image_goes_there_and_comes_back() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let image = image(&[&noise(1, 300_000), &noise(2, 3_000_000), b"", &noise(2, 3_000_000)]);
    let (here, there) = (TestStore::new(), TestStore::new());
    keep(&here.store, &image);
    let name = reference(format!("{}/team/digits:1", registry.host()));
    let client = client();
    let pushed = client.push(&here.store, &image.digest, &name, &Silent).unwrap();
    assert_eq!(pushed.digest, image.digest);
    // The layer that is named twice travels once.
    assert_eq!((pushed.blobs, pushed.sent), (4, 3_300_000 + image.config.len() as u64));

    let resolved = client.resolve(&name).unwrap();
    assert_eq!((resolved.digest, resolved.size), (image.digest, image.bytes.len() as u64));

    let session = there.store.session().unwrap();
    let pull = client.begin_pull(&session, &name).unwrap();
    assert_eq!((pull.digest(), pull.manifest()), (&image.digest, &image.manifest));
    assert_eq!(pull.missing().len(), 3);
    pull.layers(&Silent).unwrap();
    assert!(pull.missing().is_empty());
    assert!(there.has(&image));
    assert!(there.store.referrers(&image.digest).unwrap().is_empty());

    // What the registry has does not travel again.
    let again = client.push(&here.store, &image.digest, &name.with_tag("2").unwrap(), &Silent).unwrap();
    assert_eq!((again.blobs, again.sent), (0, 0));
}

#[test]
fn a_registry_may_want_a_login_and_speak_tls() {
    let setup = Setup { login: Some(("me", "hush-hush")), tls: true, ..Setup::default() };
    let Some(registry) = DockerRegistry::start(&setup) else { return };
    let image = image(&[b"wasm", b"files"]);
    let (here, there) = (TestStore::new(), TestStore::new());
    keep(&here.store, &image);
    let name = reference(format!("{}/digits:1", registry.host()));
    let login = |password: &str| ClientOptions {
        ca_files: vec![registry.authority()],
        credentials: [(registry.host().to_owned(), Credentials::password("me", password))].into(),
        ..options().0
    };

    // Nobody knows the authority of its certificate.
    let error = client().push(&here.store, &image.digest, &name, &Silent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    assert!(error.to_string().contains("--ca-file"), "{error}");
    // Nobody may come in without a login, or with a wrong one.
    let anonymous = ClientOptions { credentials: Default::default(), ..login("") };
    for options in [anonymous, login("wrong-wrong")] {
        let client = Client::new(options).unwrap();
        let error = client.push(&here.store, &image.digest, &name, &Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        let text = format!("{error} {error:?} {client:?}");
        assert!(text.contains("hint: samara login 127.0.0.1:") && !text.contains("wrong-wrong"), "{text}");
    }
    let client = Client::new(login("hush-hush")).unwrap();
    client.push(&here.store, &image.digest, &name, &Silent).unwrap();
    let session = there.store.session().unwrap();
    client.begin_pull(&session, &name).unwrap().layers(&Silent).unwrap();
    assert!(there.has(&image));

    let ask = |password| client.check_login(registry.host(), &Credentials::password("me", password));
    ask("hush-hush").unwrap();
    assert_eq!(ask("other").unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[test]
fn authorities_are_found_where_docker_keeps_them() {
    let Some(registry) = DockerRegistry::start(&Setup { tls: true, ..Setup::default() }) else { return };
    let folder = registry.folder().join("certs.d").join(registry.host());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(registry.authority(), folder.join("ca.crt")).unwrap();
    let certs_folder = registry.folder().join("certs.d");
    let client = Client::new(ClientOptions { certs_folder, ..options().0 }).unwrap();
    let error = client.resolve(&reference(format!("{}/nothing:1", registry.host()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let missing = ClientOptions { ca_files: vec!["/nonexistent/ca.crt".into()], ..options().0 };
    assert_eq!(Client::new(missing).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_refers_to_an_image_goes_with_it() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let image = image(&[b"wasm"]);
    let here = TestStore::new();
    keep(&here.store, &image);
    let bill = bill_of(&image, b"{\"bill\":1}");
    let ours = signature(&["ours"]);
    keep_referrer(&here, &image, &bill);
    keep_referrer(&here, &image, &ours);
    let name = reference(format!("{}/digits:1", registry.host()));
    let client = client();
    let pushed = client.push(&here.store, &image.digest, &name, &Silent).unwrap();
    assert_eq!(pushed.referrers, 2);
    assert_eq!(pulled_referrers(&name), sorted([bill.digest, ours.digest]));

    // Another, who knows nothing of these, adds a bill and a signature.
    let other = TestStore::new();
    keep(&other.store, &image);
    let second = bill_of(&image, b"{\"bill\":2}");
    keep_referrer(&other, &image, &second);
    keep_referrer(&other, &image, &signature(&["theirs"]));
    client.push(&other.store, &image.digest, &name, &Silent).unwrap();
    let found = pulled_referrers(&name);
    assert_eq!(found.len(), 3);
    assert!(found.contains(&bill.digest) && found.contains(&second.digest));
    let there = TestStore::new();
    let session = there.store.session().unwrap();
    client.begin_pull(&session, &name).unwrap();
    let merged = found.iter().find(|digest| ![bill.digest, second.digest].contains(digest)).unwrap();
    let merged: ImageManifest = serde_json::from_slice(&there.store.blob(merged).unwrap().bytes).unwrap();
    assert_eq!(
        merged.layers,
        [&signature(&["ours"]).manifest.layers[..], &signature(&["theirs"]).manifest.layers].concat()
    );
    let config = there.store.blob(&merged.config.digest).unwrap().bytes;
    let config: ImageConfig = serde_json::from_slice(&config).unwrap();
    assert_eq!(config.rootfs.diff_ids, merged.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>());

    // What is all there changes nothing.
    client.push(&here.store, &image.digest, &name, &Silent).unwrap();
    assert_eq!(pulled_referrers(&name), found);
    // Who has more than there is replaces it.
    let both = signature(&["ours", "theirs", "more"]);
    let third = TestStore::new();
    keep(&third.store, &image);
    keep_referrer(&third, &image, &both);
    client.push(&third.store, &image.digest, &name, &Silent).unwrap();
    assert!(pulled_referrers(&name).contains(&both.digest));
}

#[test]
fn skopeo_reads_what_was_pushed_and_writes_what_is_pulled() {
    let Some(skopeo) = program("skopeo") else { return };
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let run = |arguments: &[&str]| {
        let output = Command::new(&skopeo).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "skopeo {arguments:?}: {said}");
        output.stdout
    };
    let image = image(&[b"\0asm", &noise(5, 100_000)]);
    let here = TestStore::new();
    keep(&here.store, &image);
    let name = |name: &str| format!("{}/{name}", registry.host());
    let client = client();
    client.push(&here.store, &image.digest, &reference(name("ours:1")), &Silent).unwrap();

    let ours = format!("docker://{}", name("ours:1"));
    let raw = run(&["inspect", "--tls-verify=false", "--raw", &ours]);
    assert_eq!(raw, image.bytes);
    let config = run(&["inspect", "--tls-verify=false", "--config", "--raw", &ours]);
    assert_eq!(config, image.config);

    let theirs = format!("docker://{}", name("theirs:2"));
    let both = ["--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"];
    run(&[&["copy"][..], &both, &[&ours, &theirs]].concat());
    let there = TestStore::new();
    let session = there.store.session().unwrap();
    let pull = client.begin_pull(&session, &reference(name("theirs:2"))).unwrap();
    pull.layers(&Silent).unwrap();
    assert_eq!(*pull.digest(), image.digest);
    assert!(there.has(&image));

    // The same content in Docker's older form.
    let docker = format!("docker://{}", name("docker:3"));
    let folder = format!("dir:{}", registry.folder().join("dir").display());
    run(&[
        "copy",
        "--src-tls-verify=false",
        &format!("docker://{}", tar_only(&client, &name("tar:1"))),
        &folder,
        "--format",
        "v2s2",
    ]);
    run(&["copy", "--dest-tls-verify=false", &folder, &docker]);
    let pull = client.begin_pull(&session, &reference(name("docker:3"))).unwrap();
    assert_eq!(pull.manifest().media_type.as_deref(), Some(media_types::DOCKER_MANIFEST));
    pull.layers(&Silent).unwrap();
    assert!(pull.missing().is_empty());
}

#[test]
fn progress_is_told() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let image = image(&[&noise(1, 200_000), &noise(2, 1_000)]);
    let (here, there) = (TestStore::new(), TestStore::new());
    keep(&here.store, &image);
    let name = reference(format!("{}/digits:1", registry.host()));
    let client = client();
    let push = Told::default();
    client.push(&here.store, &image.digest, &name, &push).unwrap();
    let wanted: BTreeMap<_, _> =
        image.manifest.blobs().map(|blob| (blob.digest, (blob.size, Some(Transfer::Done)))).collect();
    assert_eq!(push.bytes(), wanted);
    let again = Told::default();
    client.push(&here.store, &image.digest, &name, &again).unwrap();
    assert!(again.bytes().values().all(|(_, outcome)| *outcome == Some(Transfer::AlreadyThere)));
    let pull = Told::default();
    let session = there.store.session().unwrap();
    client.begin_pull(&session, &name).unwrap().layers(&pull).unwrap();
    assert_eq!(pull.bytes().values().map(|(bytes, _)| bytes).sum::<u64>(), 201_000);

    // One blob alone, into a store that lacks it.
    let alone = TestStore::new();
    let session = alone.store.session().unwrap();
    client.open_blob(&session, &name, &image.manifest.layers[0], &Silent).unwrap();
    assert_eq!(alone.store.blob(&image.manifest.layers[0].digest).unwrap().bytes, image.layers[0]);
}

#[test]
fn what_an_earlier_attempt_left_is_continued() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let image = image(&[&noise(1, 500_000)]);
    let here = TestStore::new();
    keep(&here.store, &image);
    let name = reference(format!("{}/digits:1", registry.host()));
    client().push(&here.store, &image.digest, &name, &Silent).unwrap();
    let layer = image.manifest.layers[0].digest;
    // What is there is the beginning of the layer, or it is not.
    for (left, is_whole) in
        [(noise(1, 200_000), true), (noise(2, 200_000), false), (noise(2, 500_000), false)]
    {
        let there = TestStore::new();
        let session = there.store.session().unwrap();
        session.partial(&layer, 500_000).unwrap().unwrap().append(&left).unwrap();
        let told = Told::default();
        client().begin_pull(&session, &name).unwrap().layers(&told).unwrap();
        assert!(there.has(&image));
        assert_eq!(told.bytes()[&layer], (500_000, Some(Transfer::Done)));
        assert_eq!(told.begun(), if is_whole { vec![200_000] } else { vec![left.len() as u64, 0] });
    }
}

#[test]
fn names_must_fit_what_is_pushed() {
    let here = TestStore::new();
    let image = image(&[b"wasm"]);
    keep(&here.store, &image);
    let push = |name: &str| client().push(&here.store, &image.digest, &reference(name), &Silent).unwrap_err();
    let error = push("digits");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("hint: put one in front"), "{error}");
    let other = Digest::of(b"other");
    assert_eq!(push(&format!("127.0.0.1:1/digits@{other}")).kind(), ErrorKind::Invalid);
}

/// What a transfer was told, and with how many bytes it began.
#[derive(Default)]
struct Told(Mutex<BTreeMap<Digest, (u64, Option<Transfer>)>>, Mutex<Vec<u64>>);

impl Told {
    fn begun(&self) -> Vec<u64> {
        self.1.lock().unwrap().clone()
    }

    fn bytes(&self) -> BTreeMap<Digest, (u64, Option<Transfer>)> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Told {
    fn begin(&self, digest: &Digest, _: &str, _: u64, already: u64) {
        self.0.lock().unwrap().insert(*digest, (already, None));
        self.1.lock().unwrap().push(already);
    }

    fn advance(&self, digest: &Digest, bytes: u64) {
        self.0.lock().unwrap().get_mut(digest).unwrap().0 += bytes;
    }

    fn end(&self, digest: &Digest, outcome: Transfer) {
        self.0.lock().unwrap().get_mut(digest).unwrap().1 = Some(outcome);
    }
}

/// A bill of materials, whose subject is the image.
fn bill_of(image: &TestImage, bill: &[u8]) -> TestImage {
    let config = Descriptor::of(media_types::EMPTY_CONFIG, b"{}");
    let mut manifest = ImageManifest::new(config, vec![Descriptor::of(media_types::CYCLONEDX, bill)]);
    manifest.artifact_type = Some(media_types::CYCLONEDX.to_owned());
    manifest.subject = Some(Descriptor::of(media_types::IMAGE_MANIFEST, &image.bytes));
    of(manifest, b"{}".to_vec(), vec![bill.to_vec()])
}

/// What cosign keeps under its tag: one layer per signature.
fn signature(payloads: &[&str]) -> TestImage {
    let layer = |payload: &&str| {
        Descriptor::of(media_types::SIMPLE_SIGNING, payload.as_bytes())
            .annotated("dev.cosignproject.cosign/signature", format!("of {payload}"))
    };
    let config = Descriptor::of(media_types::IMAGE_CONFIG, b"{\"none\":1}");
    let manifest = ImageManifest::new(config, payloads.iter().map(layer).collect());
    of(
        manifest,
        b"{\"none\":1}".to_vec(),
        payloads.iter().map(|payload| payload.as_bytes().to_vec()).collect(),
    )
}

fn keep_referrer(to: &TestStore, image: &TestImage, referrer: &TestImage) {
    keep(&to.store, referrer);
    to.store.session().unwrap().add_referrer(&image.digest, &referrer.digest).unwrap();
}

/// What somebody who pulls gets as referrers, whole.
fn pulled_referrers(name: &Reference) -> Vec<Digest> {
    let there = TestStore::new();
    let session = there.store.session().unwrap();
    let client = client();
    let pull = client.begin_pull(&session, name).unwrap();
    let found = there.store.referrers(pull.digest()).unwrap();
    for digest in &found {
        let manifest: ImageManifest =
            serde_json::from_slice(&there.store.blob(digest).unwrap().bytes).unwrap();
        for blob in manifest.blobs() {
            there.store.blob(&blob.digest).unwrap();
        }
    }
    found
}

fn sorted<const N: usize>(mut digests: [Digest; N]) -> Vec<Digest> {
    digests.sort();
    digests.to_vec()
}

/// Pushes an image of one layer of files, which every tool reads.
fn tar_only(client: &Client, name: &str) -> String {
    let tar = vec![0; 1024]; // two empty blocks: an archive of nothing
    let config = to_bytes(&ImageConfig {
        created: None,
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: ContainerConfig::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![Digest::of(&tar)] },
    });
    let manifest = ImageManifest::new(
        Descriptor::of(media_types::IMAGE_CONFIG, &config),
        vec![Descriptor::of(media_types::TAR, &tar)],
    );
    let image = of(manifest, config, vec![tar]);
    let here = TestStore::new();
    keep(&here.store, &image);
    client.push(&here.store, &image.digest, &reference(name), &Silent).unwrap();
    name.to_owned()
}
