//! Processes that add to one store are killed at any moment: what is left is
//! always whole, and the next process goes on.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use samara_package::spec::{Descriptor, ImageManifest, to_bytes};
use samara_package::store::{CollectOptions, Error, Session};
use samara_package::{Digest, Reference, Store, media_types};
use samara_test::Random;

/// Set in a child: the seed of what it does.
const SEED: &str = "SAMARA_TEST_CRASH_SEED";
/// Set in a child: the folder of the store.
const FOLDER: &str = "SAMARA_TEST_CRASH_STORE";
const CHILD: &str = "child_that_is_killed";

const NAMES: u64 = 4;
/// Contents that versions are put together from: some large enough for a
/// stamp, so small in number that processes meet at the same ones.
const CONTENTS: u64 = 12;

/// What a killed process leaves is whole: 160 kills after some number of its
/// steps, and 60 at some time.
#[test]
fn a_killed_process_leaves_the_store_whole() {
    let folder = folder();
    let store = Store::at(folder.path().join("store"));
    let mut random = Random::new(7);
    let mut steps = 0;
    for round in 0..220 {
        let mut child = Running::start(folder.path(), round);
        match round % 11 < 8 {
            true => {
                let wanted = random.below(20);
                steps += wanted;
                (0..wanted).for_each(|_| child.wait_for_step());
            }
            false => std::thread::sleep(Duration::from_micros(random.below(30_000))),
        }
        child.kill();
        check_whole(&store, round);
    }
    assert!(steps > 1000, "{steps}");
    assert!(!store.tags().unwrap().is_empty());
}

/// Four at once on the same contents and names, of which one is killed at a
/// time and replaced.
#[test]
fn the_others_go_on_when_one_is_killed() {
    let folder = folder();
    let store = Store::at(folder.path().join("store"));
    let mut random = Random::new(11);
    let mut children: Vec<_> = (0..4).map(|seed| Running::start(folder.path(), 1000 + seed)).collect();
    for round in 0..24 {
        for child in &mut children {
            (0..1 + random.below(8)).for_each(|_| child.wait_for_step());
        }
        let victim = usize::try_from(random.below(4)).unwrap();
        children[victim].kill();
        children[victim] = Running::start(folder.path(), 2000 + round);
    }
    children.iter_mut().for_each(Running::kill);
    check_whole(&store, 0);
    let all_old =
        CollectOptions { now: SystemTime::now() + Duration::from_secs(48 * 3600), ..Default::default() };
    store.collect(&all_old).unwrap();
    check_whole(&store, 0);
    assert_eq!(std::fs::read_dir(store.root().join("ingest")).unwrap().count(), 0);
}

/// In memory where that can be: a kill, unlike a power cut, loses nothing that
/// was written, and most steps would wait for the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn check_whole(store: &Store, round: u64) {
    let report = store.check(false).unwrap();
    assert_eq!(report.problems, [], "after round {round}");
    for tagged in store.tags().unwrap() {
        let reference: Reference = tagged.name.parse().unwrap();
        let digest = store.resolve(&reference).unwrap();
        let manifest: ImageManifest = serde_json::from_slice(&store.blob(&digest).unwrap().bytes).unwrap();
        manifest.blobs().for_each(|blob| assert!(store.contains(&blob.digest), "{round}: {blob:?}"));
    }
}

/// The role of a child; without its variables, nothing.
#[test]
fn child_that_is_killed() {
    let (Ok(seed), Ok(folder)) = (std::env::var(SEED), std::env::var(FOLDER)) else { return };
    let store = Store::at(Path::new(&folder).join("store"));
    let mut random = Random::new(seed.parse().unwrap());
    let report = || {
        let mut out = std::io::stdout().lock();
        // The parent that no longer listens has killed this.
        let _ = out.write_all(b"step\n").and_then(|()| out.flush());
    };
    // Bounded, so that no child outlives a parent that died.
    for _ in 0..2000 {
        let reference: Reference = format!("name{}", random.below(NAMES)).parse().unwrap();
        match random.below(8) {
            0 => match store.rollback(&reference) {
                Ok(_) | Err(Error::NoTag { .. } | Error::NoEarlierVersion { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            1 => drop(store.collect(&CollectOptions::default()).unwrap()),
            2 => match store.forget(&reference) {
                Ok(()) | Err(Error::NoTag { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            _ => pack(&store, &reference, &mut random, &report),
        }
        report();
    }
}

/// Adds an image as packing and pulling do, with something that refers to it.
fn pack(store: &Store, reference: &Reference, random: &mut Random, report: &dyn Fn()) {
    let session = store.session().unwrap();
    let layers: Vec<_> = (0..1 + random.below(3)).map(|_| content(random.below(CONTENTS))).collect();
    let mut described = Vec::new();
    for bytes in &layers {
        let descriptor = Descriptor::of(media_types::WASM, bytes);
        match random.below(2) {
            0 => assert_eq!(session.put(bytes).unwrap(), descriptor.digest),
            _ => download(&session, &descriptor.digest, bytes, report),
        }
        report();
        described.push(descriptor);
    }
    let config = put(&session, media_types::EMPTY_CONFIG, b"{}");
    let manifest = ImageManifest::new(config.clone(), described);
    let subject = put(&session, media_types::IMAGE_MANIFEST, &to_bytes(&manifest));
    report();
    if random.below(2) == 0 {
        let mut referrer = ImageManifest::new(config, Vec::new());
        referrer.subject = Some(subject.clone());
        let referrer = put(&session, media_types::IMAGE_MANIFEST, &to_bytes(&referrer));
        report();
        session.add_referrer(&subject.digest, &referrer.digest).unwrap();
    }
    session.tag(reference, &subject.digest).unwrap();
    assert_eq!(store.blob(&subject.digest).unwrap().digest, subject.digest);
}

fn download(session: &Session, digest: &Digest, bytes: &[u8], report: &dyn Fn()) {
    let Some(mut partial) = session.partial(digest, bytes.len() as u64).unwrap() else { return };
    let rest = &bytes[usize::try_from(partial.offset()).unwrap()..];
    for chunk in rest.chunks(200_000) {
        partial.append(chunk).unwrap();
        report();
    }
    partial.commit().unwrap();
}

fn put(session: &Session, media_type: &str, bytes: &[u8]) -> Descriptor {
    session.put(bytes).unwrap();
    Descriptor::of(media_type, bytes)
}

/// From some bytes to more than a megabyte.
fn content(which: u64) -> Vec<u8> {
    let size = [10, 5_000, 90_000, 1_300_000][usize::try_from(which % 4).unwrap()];
    vec![u8::try_from(which).unwrap(); size]
}

/// A child that is killed at the latest when the test ends.
struct Running {
    child: Child,
    steps: BufReader<ChildStdout>,
}

impl Running {
    fn start(folder: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
            .env(SEED, seed.to_string())
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let steps = BufReader::new(child.stdout.take().unwrap());
        Self { child, steps }
    }

    /// Waits for the child to have done one more step.
    fn wait_for_step(&mut self) {
        let mut line = String::new();
        while !line.trim_end().ends_with("step") {
            line.clear();
            let count = self.steps.read_line(&mut line).unwrap();
            assert!(count > 0, "a child ended by itself");
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(!status.success(), "a child ended by itself: {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that was killed cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
