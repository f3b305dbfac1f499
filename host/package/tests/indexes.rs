//! Images that a registry gives by an index: the index and its signatures stay
//! with the image, through the store, a policy and an archive.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod registry_kit;

use registry_kit::{TestImage, TestStore, client, image, keep, noise, reference};
use samara_package::registry::Silent;
use samara_package::sign::{self, Policy, PrivateKey};
use samara_package::spec::{Descriptor, ImageIndex, to_bytes};
use samara_package::store::{CollectOptions, ErrorKind};
use samara_package::{Digest, Reference, Store, layout, media_types};
use samara_test::registry::{Reply, Scripted};

/// A registry that has an index as `a/b:1`, and a store that pulled nothing
/// yet.
struct Ground {
    author: TestStore,
    image: TestImage,
    index: Digest,
    key: PrivateKey,
    there: TestStore,
}

impl Ground {
    fn new() -> Self {
        let author = TestStore::new();
        let image = image(&[&noise(1, 100), &noise(2, 2_000)]);
        keep(&author.store, &image);
        let absent = Descriptor::of(media_types::DOCKER_MANIFEST_LIST, b"for another machine");
        let listed = Descriptor::of(media_types::IMAGE_MANIFEST, &image.bytes);
        let index = to_bytes(&ImageIndex::new(vec![absent, listed]));
        let index = author.store.session().unwrap().put(&index).unwrap();
        Self { author, image, index, key: PrivateKey::generate().unwrap(), there: TestStore::new() }
    }

    fn sign(&self, digest: &Digest) {
        let session = self.author.store.session().unwrap();
        sign::sign(&session, &reference("r.io/a/b:1"), digest, &self.key).unwrap();
    }

    /// Gives whatever the author's store has.
    fn serve(&self) -> Scripted {
        let (store, index) = (self.author.store.clone(), self.index);
        let images = [self.image.digest, index];
        let of_tag = |subject: &Digest| {
            let mut referrers = store.referrers(subject).unwrap().into_iter();
            let manifest = referrers.find(|digest| {
                !String::from_utf8_lossy(&store.blob(digest).unwrap().bytes).contains("\"subject\"")
            });
            (sign::tag(subject), manifest)
        };
        let mut names: Vec<(String, Option<Digest>)> = images.iter().map(of_tag).collect();
        names.push(("1".to_owned(), Some(index)));
        Scripted::start(move |seen| {
            let name = seen.path.rsplit('/').next().unwrap_or_default();
            let named = names.iter().find(|(tag, _)| tag == name).and_then(|(_, digest)| *digest);
            let content = named.or_else(|| name.parse().ok()).filter(|_| !seen.path.contains("referrers"));
            match content.and_then(|digest| store.blob(&digest).ok()) {
                Some(blob) => Reply::new(200).body(blob.bytes.to_vec()),
                None => Reply::new(404),
            }
        })
    }

    /// Pulls, and gives the name that was pulled.
    fn pull(&self) -> Reference {
        let server = self.serve();
        let name = reference(format!("{}/a/b:1", server.host()));
        let session = self.there.store.session().unwrap();
        let client = client();
        let pull = client.begin_pull(&session, &name).unwrap();
        assert_eq!(*pull.digest(), self.image.digest);
        for digest in [self.index, self.image.digest] {
            let early = self.there.store.resolve(&name.with_digest(digest)).unwrap_err();
            assert_eq!(early.kind(), ErrorKind::NotFound, "its layers are not there yet");
        }
        pull.layers(&Silent).unwrap();
        session.tag(&name, pull.digest()).unwrap();
        name
    }

    /// A policy that wants the key for what `rule` names.
    fn policy(&self, rule: &str) -> Policy {
        let folder = self.there.folder();
        std::fs::write(folder.join("team.pub"), self.key.public().to_pem()).unwrap();
        let rule =
            format!("[[rule]]\nreference = \"{rule}\"\nrequire = \"signature\"\nkeys = [\"team.pub\"]\n");
        std::fs::write(folder.join("policy.toml"), format!("default = \"accept\"\n{rule}")).unwrap();
        Policy::load(&folder.join("policy.toml")).unwrap()
    }
}

/// Which of the two digests a policy lets pass.
fn passes(policy: &Policy, store: &Store, name: &Reference, ground: &Ground) -> [bool; 2] {
    [ground.index, ground.image.digest]
        .map(|digest| policy.check(store, &name.with_digest(digest), &digest).is_ok())
}

#[test]
fn an_image_by_an_index_stays_there_by_both_digests() {
    let ground = Ground::new();
    ground.sign(&ground.index);
    let name = ground.pull();
    let store = &ground.there.store;
    assert_eq!(store.collect(&CollectOptions::default()).unwrap().blobs.files, 0);
    assert!(store.check(false).unwrap().problems.is_empty());
    for digest in [ground.index, ground.image.digest] {
        assert_eq!(store.resolve(&name.with_digest(digest)).unwrap(), digest);
    }
    store.forget(&name).unwrap();
    store.collect(&CollectOptions::default()).unwrap();
    assert!(!store.contains(&ground.index) && !store.contains(&ground.image.digest));
}

#[test]
fn a_signature_of_the_index_or_of_the_image_is_enough_for_both() {
    for signed in [true, false] {
        let ground = Ground::new();
        ground.sign(if signed { &ground.index } else { &ground.image.digest });
        let name = ground.pull();
        let store = &ground.there.store;
        assert_eq!(passes(&ground.policy("*"), store, &name, &ground), [true; 2]);
        let verified = sign::verify(store, &ground.image.digest, &[ground.key.public()]).unwrap();
        assert!(verified.ignored.is_empty(), "{:?}", verified.ignored);
        let other = PrivateKey::generate().unwrap().public();
        for digest in [ground.index, ground.image.digest] {
            let error = sign::verify(store, &digest, std::slice::from_ref(&other)).unwrap_err();
            assert_eq!(error.kind(), sign::ErrorKind::OtherKeys);
        }
    }
}

#[test]
fn without_a_signature_neither_digest_leads_past_a_policy() {
    let ground = Ground::new();
    let name = ground.pull();
    let store = &ground.there.store;
    for rule in [name.name(), format!("{}@{}", name.name(), ground.index)] {
        assert_eq!(passes(&ground.policy(&rule), store, &name, &ground), [false; 2], "{rule}");
    }
}

#[test]
fn an_index_signs_for_no_image_that_it_does_not_list() {
    let ground = Ground::new();
    ground.sign(&ground.index);
    ground.pull();
    let session = ground.there.store.session().unwrap();
    let other = image(&[&noise(3, 100)]);
    keep(&ground.there.store, &other);
    session.add_referrer(&other.digest, &ground.index).unwrap();
    let error = sign::verify(&ground.there.store, &other.digest, &[ground.key.public()]).unwrap_err();
    assert!(error.to_string().contains("no signature that can be used"), "{error}");
}

#[test]
fn an_archive_carries_the_index_and_its_signatures() {
    let ground = Ground::new();
    ground.sign(&ground.index);
    let name = ground.pull();
    let mut archive = Vec::new();
    layout::save(&ground.there.store, std::slice::from_ref(&name), &mut archive).unwrap();
    let offline = TestStore::new();
    let session = offline.store.session().unwrap();
    let loaded = layout::load(&session, archive.as_slice()).unwrap();
    assert_eq!(loaded, [(Some(name.clone()), ground.image.digest)]);
    assert_eq!(passes(&ground.policy("*"), &offline.store, &name, &ground), [true; 2]);
    assert_eq!(offline.store.resolve(&name.with_digest(ground.index)).unwrap(), ground.index);
}

#[test]
fn what_an_index_calls_a_manifest_and_is_none_stops_no_collection() {
    let there = TestStore::new();
    let session = there.store.session().unwrap();
    let image = image(&[&noise(1, 100)]);
    keep(&there.store, &image);
    let entries = [&image.layers[0], &image.bytes].map(|b| Descriptor::of(media_types::IMAGE_MANIFEST, b));
    let index = session.put(&to_bytes(&ImageIndex::new(entries.to_vec()))).unwrap();
    session.add_referrer(&image.digest, &index).unwrap();
    session.tag(&reference("a"), &image.digest).unwrap();
    drop(session);
    assert_eq!(there.store.collect(&CollectOptions::default()).unwrap().blobs.files, 0);
}
