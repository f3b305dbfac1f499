//! Commands on images are killed at any moment: what they leave is always a
//! whole store, and the next command goes on from there.

use std::process::Stdio;
use std::time::{Duration, Instant};

use samara_test::Random;
use samara_test::registry::{DockerRegistry, Setup};

use crate::support::{Place, TINY_ANSWER};

/// Commands that are to be killed before their end, if that comes late enough.
const KILLS: usize = 200;
/// Commands that are started for it at most.
const ROUNDS: usize = 400;
/// After so many rounds the store is checked: a damage stays until then.
const CHECK_EVERY: usize = 4;

/// The moments are spread over the time that the command took undisturbed. When
/// a kill comes changes what it leaves, but not that it must be whole.
#[test]
fn a_killed_command_leaves_the_store_whole() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::in_memory();
    let name = format!("{}/tiny:1", registry.host());
    let versions = ["one", "two", "three"];
    for (version, folder) in versions.iter().enumerate() {
        // Large enough for a stamp.
        place.tiny(folder, 300_000 + version);
        place.digest(&at_work(&["pack", folder, "-t", &format!("{}/tiny:{folder}", registry.host())]));
    }
    let publish = |folder: &str| {
        place.digest(&at_work(&["pack", folder, "-t", &name]));
        place.digest(&at_work(&["push", &name]));
    };
    publish("one");

    // The pull comes first, when nothing is there and it takes longest.
    let commands: [&[&str]; 6] = [
        &["pull", &name],
        &["pack", "two", "-t", &name],
        &["pack", "three", "-t", &name],
        &["store", "gc"],
        &["rollback", &name],
        &["rm", &name],
    ];
    let lengths = commands.map(|command| duration(&place, command));
    let mut random = Random::new(7);
    let mut kills = 0;
    for round in 0..ROUNDS {
        if round % 20 == 0 {
            publish(versions[round / 20 % versions.len()]);
        }
        // A pull has most to do after a removal.
        let which = [0, 1, 2, 3, 4, 5, 0, 5][round % 8];
        let length = u64::try_from(lengths[which].as_micros()).unwrap();
        kills +=
            usize::from(killed(&place, commands[which], Duration::from_micros(random.below(length + 1))));
        if round % CHECK_EVERY == CHECK_EVERY - 1 {
            let report = place.samara(&["store", "check", "--output", "json"]);
            assert_eq!(report.code, Some(0), "after round {round}: {report:?}");
        }
        if kills == KILLS {
            break;
        }
    }
    eprintln!("{kills} commands were killed before their end");

    let pulled = place.digest(&["pull", &name]);
    assert_eq!(place.answer(&[&name]), TINY_ANSWER);
    assert_eq!(place.json(&["inspect", &name])["image"]["digest"], pulled.as_str());
    place.samara(&["store", "gc"]).good();
    place.samara(&["store", "check"]).good();
    // Nothing is left over but what can be gone on with.
    for entry in place.path("store/ingest").read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_some_and(|extension| extension == "part"), "{}", path.display());
    }
    assert_eq!(place.answer(&[&name]), TINY_ANSWER);
}

/// Arguments for the store from which images are sent, which nobody kills.
fn at_work<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    crate::support::at("work", arguments)
}

/// How long a command takes.
fn duration(place: &Place, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    // Whether there is something to roll back or to remove depends on those
    // before.
    place.samara(arguments);
    started.elapsed()
}

/// Kills a command after a time; says whether it had not ended before.
fn killed(place: &Place, arguments: &[&str], moment: Duration) -> bool {
    let mut command = place.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(moment);
    // `SIGKILL` on Unix, which nobody can put off.
    let _ = child.kill();
    child.wait().unwrap().code().is_none()
}
