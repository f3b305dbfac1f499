//! What goes wrong with images: damaged stores, registries that refuse or lie,
//! a full disk, wrong names. Each is told, nothing half-written is used, and
//! what was there before still is.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use samara_test::registry::{DockerRegistry, Ending, Reply, Scripted, Seen, Setup};
use serde_json::{Value, json};

use crate::support::{EMPTY_SECTION, Place, Ran, TINY_ANSWER, at, ran};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn a_changed_byte_is_found_before_anything_is_loaded() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    // The model's layer is large enough for a stamp, the others are small.
    place.tiny("tiny", 400_000);
    let name = format!("{}/tiny:1", registry.host());
    let digest = place.digest(&["pack", "tiny", "-t", &name]);
    place.digest(&["push", &name]);
    let blobs = place.blobs("store");
    assert_eq!(blobs.len(), 5, "component, model, files, configuration, manifest");
    for path in &blobs {
        for end in [true, false] {
            alter(path, end);
            let said = place.samara(&["run", &name, "-v"]).bad();
            assert!(said.contains("hint: ") && said.contains("store check --repair"), "{said}");
            assert!(!said.contains("component ") && !said.contains("loaded by"), "nothing is loaded: {said}");
            let hex = path.file_name().unwrap().to_str().unwrap();
            let report = place.samara(&["store", "check"]);
            assert_eq!(report.code, Some(1), "{report:?}");
            assert!(report.stdout.contains(hex) && report.stderr.contains("--repair"), "{report:?}");

            place.samara(&["store", "check", "--repair"]).good();
            assert!(!path.exists());
            assert_eq!(place.digest(&["pull", &name]), digest);
            assert_eq!(place.answer(&[&name]), TINY_ANSWER);
            place.samara(&["store", "check"]).good();
        }
    }
}

#[test]
fn a_blob_that_is_cut_or_gone_is_not_used() {
    let place = Place::new();
    place.tiny("tiny", 1);
    place.digest(&["pack", "tiny", "-t", "tiny:1"]);
    let whole: Vec<(PathBuf, Vec<u8>)> =
        place.blobs("store").into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    for (path, bytes) in &whole {
        for left in [None, Some(0), Some(bytes.len() / 2)] {
            std::fs::remove_file(path).unwrap();
            if let Some(left) = left {
                std::fs::write(path, &bytes[..left]).unwrap();
            }
            let said = place.samara(&["run", "tiny:1"]).bad();
            assert!(said.contains("tiny:1"), "{left:?}: {said}");
            place.samara(&["save", "tiny:1", "-o", "tiny.tar"]).bad();
            assert!(!place.path("tiny.tar").exists());
            assert_eq!(place.samara(&["store", "check"]).code, Some(1));
            std::fs::write(path, bytes).unwrap();
        }
    }
    place.samara(&["store", "check"]).good();
    assert_eq!(place.answer(&["tiny:1"]), TINY_ANSWER);
}

/// A layer is missing where a command has looked at an image without fetching
/// it, or was killed while it did: a run by digest goes on from there.
#[test]
fn an_image_of_which_a_part_is_there_is_fetched() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.store("other");
    place.tiny("tiny", 1);
    let name = format!("{}/tiny:1", registry.host());
    let digest = place.digest(&["pack", "tiny", "-t", &name]);
    place.samara(&["sign", "--new-key", "team"]).good();
    place.samara(&["sign", &name, "--key", "team.key"]).good();
    place.digest(&["push", &name]);
    let exactly = format!("{}/tiny@{digest}", registry.host());
    place.digest(&at("other", &["verify", &exactly, "--key", "team.pub"]));
    assert_eq!(place.answer(&at("other", &[&exactly])), TINY_ANSWER);

    // As does a project whose model it is.
    place.store("third");
    place.digest(&at("third", &["verify", &exactly, "--key", "team.pub"]));
    place.model_from("tiny", &exactly);
    assert_eq!(place.answer(&at("third", &["tiny"])), TINY_ANSWER);
}

#[test]
fn what_a_registry_refuses_is_said_with_what_to_do() {
    for (status, words, hint) in [
        (401, "401", Some("hint: samara login ")),
        (403, "403", None),
        (404, "404", None),
        (429, "429", None),
        (501, "501", None),
    ] {
        // It is to be asked again later than anybody would wait.
        let server = Scripted::start(move |_| Reply::new(status).header("Retry-After", "3600"));
        let place = Place::new();
        place.tiny("tiny", 1);
        let name = format!("{}/tiny:1", server.host());
        place.digest(&["pack", "tiny", "-t", &name]);
        let commands = [vec!["push", &name], at("other", &["pull", &name]), at("other", &["run", &name])];
        for arguments in commands {
            let said = place.samara(&arguments).bad();
            assert!(said.contains(words) && said.contains(&server.host()), "{arguments:?}: {said}");
            assert!(hint.is_none_or(|hint| said.contains(hint)), "{arguments:?}: {said}");
        }
        assert_eq!(place.json(&at("other", &["images"])), json!([]));
        assert_eq!(place.blobs("other"), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_registry_that_is_not_there_is_said_to_be_so() {
    let place = Place::new();
    let gone = Scripted::start(|_| Reply::new(200)).host();
    let said = place.samara(&["pull", &format!("{gone}/tiny:1")]);
    let said = said.bad();
    assert!(said.contains(&gone) && said.contains("hint: "), "{said}");
}

#[test]
fn a_registry_that_lies_moves_no_name() {
    let place = Place::new();
    place.tiny("tiny", 1);
    let digest = place.digest(&["pack", "tiny", "-t", "tiny:1"]);
    // It shares no layer with the other.
    place.tiny("before", 2);
    for file in ["tiny.wasm", "in.json"] {
        place.append(&format!("before/{file}"), if file == "in.json" { b"\n" } else { EMPTY_SECTION });
    }
    let before = place.digest(&["pack", "before", "-t", "before:1"]);
    let packed = place.json(&["inspect", "tiny:1"]);
    let layers: Vec<String> = packed["image"]["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap().to_owned())
        .collect();

    // Every layer once: changed, cut and then changed, of another length.
    for wrong in &layers {
        for lie in ["changed", "cut", "longer"] {
            let server = liar(&place, &digest, wrong, lie);
            let name = format!("{}/tiny:1", server.host());
            let other = format!("{lie}-{}", &wrong[7..13]);
            place.store(&other);
            // What the name stands for already stays.
            place.samara(&["save", "before:1", "-o", "before.tar"]).good();
            place.samara(&at(&other, &["load", "before.tar", "-t", &name])).good();
            let said = place.samara(&at(&other, &["pull", &name])).bad();
            assert!(said.contains(&wrong[..20]) || said.contains(wrong), "{lie}: {said}");
            let images = place.json(&at(&other, &["images"]));
            assert_eq!(images[0]["digest"], before.as_str(), "{lie}: {images}");
            assert!(!place.blob(&other, wrong).exists(), "{lie}");
            place.samara(&at(&other, &["store", "check"])).good();
            assert_eq!(place.answer(&at(&other, &[&name])), TINY_ANSWER);
        }
    }
}

#[test]
fn several_pulls_of_one_image_at_once_are_one_image() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.store("other");
    place.tiny("tiny", 1_000_000);
    let name = format!("{}/tiny:1", registry.host());
    let digest = place.digest(&["pack", "tiny", "-t", &name]);
    place.digest(&["push", &name]);
    let pulls: Vec<_> = (0..4)
        .map(|_| {
            let mut command = place.command(&at("other", &["pull", &name]));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for pull in pulls {
        let said = Ran::from(pull.wait_with_output().unwrap());
        assert_eq!(said.good().trim_end(), digest);
    }
    assert_eq!(place.blobs("other").len(), 5);
    assert_eq!(place.json(&at("other", &["images", "--history"])).as_array().unwrap().len(), 1);
    assert_eq!(place.json(&at("other", &["store", "info"]))["partial_bytes"], 0);
    place.samara(&at("other", &["store", "check"])).good();
    assert_eq!(place.answer(&at("other", &[&name])), TINY_ANSWER);
}

#[test]
fn a_full_disk_is_said_and_the_store_stays_whole() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let Some(unshare) = samara_test::program("unshare") else { return };
    let place = Place::new();
    place.tiny("tiny", 1);
    place.tiny("large", 1_000_000);
    let name = format!("{}/large:1", registry.host());
    place.digest(&["pack", "large", "-t", &name]);
    place.digest(&["push", &name]);
    place.samara(&["save", &name, "-o", "large.tar"]).good();
    std::fs::create_dir(place.path("disk")).unwrap();
    // Half a megabyte for what needs four; compiled code is elsewhere.
    let script = format!(
        "mount -t tmpfs -o size=512k none disk || exit 77
         ln -s ../store/code disk/code
         samara() {{ \"$0\" --store disk \"$@\"; }}
         samara pack tiny -t tiny:1 || exit 1
         for full in 'pack large' 'pull {name}' 'run {name}' 'load large.tar'; do
             echo \"@@$full\" >&2; samara $full; echo \"code $?\" >&2
         done
         echo @@after >&2
         samara store check && samara images --output json && samara test tiny:1"
    );
    let mut shell = Command::new(unshare);
    place.settle(&mut shell);
    let said = ran(shell.args(["-Urm", "sh", "-c", &script]).arg(samara_test::samara()));
    if !said.stderr.contains("@@") {
        skip(&format!("no folder can be given a small disk here: {}", said.stderr.trim_end()));
        return;
    }
    let parts: Vec<&str> = said.stderr.split("@@").collect();
    assert_eq!(parts.len(), 6, "{}", said.stderr);
    for full in &parts[1..5] {
        assert!(full.ends_with("code 1\n"), "{full}");
        assert!(full.contains("no space is left") && full.contains("hint: make room"), "{full}");
    }
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("all whole") && said.stdout.contains("1 passed, 0 failed"),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains("large:1"), "{}", said.stdout);
}

#[test]
fn names_that_stand_for_nothing_are_said_to_do_so() {
    let place = Place::new();
    place.tiny("tiny", 1);
    place.digest(&["pack", "tiny", "-t", "tiny:1"]);
    let unknown: [(&[&str], &str); 9] = [
        (&["run", "nothing:1"], "no image in the store"),
        (&["inspect", "nothing:1"], "no image in the store"),
        (&["test", "nothing:1"], "no image in the store"),
        (&["bundle", "nothing:1", "-o", "x.wasm"], "no image in the store"),
        (&["push", "nothing:1", "r.example/a:1"], "is not in the store"),
        (&["rm", "nothing:1"], "is not in the store"),
        (&["rollback", "nothing:1"], "is not in the store"),
        (&["save", "nothing:1", "-o", "x.tar"], "is not in the store"),
        (&["verify", "nothing:1"], "is not in the store"),
    ];
    for (arguments, words) in unknown {
        let said = place.samara(arguments).bad();
        assert!(said.starts_with("error: ") && said.contains(words), "{arguments:?}: {said}");
        assert!(said.contains("`nothing:1`"), "{arguments:?}: {said}");
    }
    assert!(!place.path("x.tar").exists() && !place.path("x.wasm").exists());
    let usage: [&[&str]; 6] = [
        &["push", "tiny:1"],
        &["pull", "tiny:1"],
        &["pull", "UPPER"],
        &["rm"],
        &["sign", "tiny:1"],
        &["login", "r.example", "--password-stdin"],
    ];
    for arguments in usage {
        let said = place.samara(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", said.stderr);
    }
    let said = place.samara(&["push", "tiny:1"]).stderr;
    assert!(said.contains("names no registry") && said.contains("hint: `samara push tiny:1 "), "{said}");
}

#[test]
fn images_of_other_kinds_are_told_apart() {
    let place = Place::new();
    let config = |architecture: &str, os: &str| {
        json!({"architecture": architecture, "os": os, "config": {},
               "rootfs": {"type": "layers", "diff_ids": []}})
    };
    let image = "application/vnd.oci.image.config.v1+json";
    for (media_type, config, words) in [
        (image, config("amd64", "linux"), "linux/amd64"),
        ("application/vnd.cncf.helm.config.v1+json", json!({}), "application/vnd.cncf.helm.config.v1+json"),
        (image, config("wasm", "wasip1"), "Wasm"),
        (image, json!([]), "damaged"),
    ] {
        let config = config.to_string();
        let config_digest = samara_engine::sha256(config.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": media_type, "digest": config_digest, "size": config.len()},
        });
        let server = Scripted::start(move |seen| match seen.path.rsplit_once('/') {
            Some((_, last)) if last == config_digest => Reply::new(200).body(config.clone()),
            Some((_, "1")) => Reply::new(200).header("Content-Type", MANIFEST).body(manifest.to_string()),
            _ => Reply::new(404),
        });
        let name = format!("{}/foreign:1", server.host());
        let said = place.samara(&["run", &name]).bad();
        assert!(said.contains(&format!("cannot use the image `{name}`")), "{said}");
        assert!(said.contains(words), "{words}: {said}");
        assert_eq!(place.json(&["images"]), json!([]));
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let place = Place::new();
    place.tiny("tiny", 100_000);
    place.digest(&["pack", "tiny", "-t", "tiny:1"]);
    for arguments in [
        &["images"][..],
        &["inspect", "tiny:1", "--output", "json"],
        &["pack", "tiny"],
        &["store", "info"],
        &["save", "tiny:1", "-o", "-"],
    ] {
        let mut command = place.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let said = Ran::from(child.wait_with_output().unwrap());
        assert!(
            !said.stderr.contains("error") && !said.stderr.contains("panicked"),
            "{arguments:?}: {said:?}"
        );
        assert_eq!(said.code, Some(0), "{arguments:?}");
    }
    place.samara(&["store", "check"]).good();
}

#[test]
fn every_command_speaks_to_programs() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.store("other");
    place.tiny("tiny", 1);
    let name = format!("{}/tiny:1", registry.host());
    let has = |arguments: &[&str], keys: &[&str]| -> Value {
        let value = place.json(arguments);
        let object = if value.is_array() { &value[0] } else { &value };
        let found: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert_eq!(found, keys, "{arguments:?}");
        value
    };
    let login = ["login", registry.host(), "-u", "team", "--password-stdin", "--output", "json", "-q"];
    let said = place.samara_with(&login, "word").response();
    assert_eq!(said, json!({"registry": registry.host()}));
    has(&["sign", "--new-key", "team"], &["key", "private_key", "public_key"]);
    has(&["pack", "tiny", "-t", &name, "--sbom"], &["bytes", "bytes_added", "digest", "images", "layers"]);
    has(&["sign", &name, "--key", "team.key"], &["digest", "image", "key", "signature"]);
    has(&["push", &name], &["bytes_sent", "digest", "image"]);
    has(&at("other", &["pull", &name]), &["bytes_fetched", "digest", "image", "layers_fetched"]);
    has(&["verify", &name, "--key", "team.pub"], &["digest", "image", "keys", "reason"]);
    has(&["images"], &["bytes", "current", "digest", "image", "past", "signatures", "since"]);
    let facts = has(
        &["inspect", &name],
        &[
            "capabilities",
            "image",
            "kind",
            "labels",
            "limits",
            "models",
            "name",
            "signature",
            "stages",
            "version",
        ],
    );
    for key in ["annotations", "boms", "bytes", "digest", "form", "layers", "signatures", "signed_as"] {
        assert!(facts["image"].get(key).is_some(), "{key}: {facts}");
    }
    has(&["run", &name], &["model_name", "model_version", "outputs", "parameters"]);
    has(&["test", &name], &["failed", "function", "passed", "tests"]);
    has(&["bundle", &name, "-o", "tiny.wasm"], &["bundle", "bytes"]);
    has(&["save", &name, "-o", "tiny.tar"], &["archive", "bytes", "images"]);
    has(&at("third", &["load", "tiny.tar"]), &["digest", "image"]);
    has(
        &["store", "info"],
        &["blob_bytes", "blobs", "code_bytes", "images", "limits", "partial_bytes", "path"],
    );
    has(&["store", "check"], &["blobs", "bytes", "names", "problems"]);
    place.tiny("tiny", 2);
    place.digest(&["pack", "tiny", "-t", &name]);
    has(&["rollback", &name], &["digest", "image"]);
    has(&["rm", &name], &["bytes_freed", "removed"]);
    has(&["store", "gc", "--dry-run"], &["blobs", "code", "dry_run", "unfinished"]);
    place.json(&["logout", registry.host()]);
}

/// Changes the last byte of a file or the first, whoever may write to it.
fn alter(path: &Path, last: bool) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = if last { bytes.len() - 1 } else { 0 };
    bytes[at] ^= 1;
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A registry that has one image of the store, of which one layer is not what
/// it should be.
fn liar(place: &Place, image: &str, wrong: &str, lie: &'static str) -> Scripted {
    let (image, wrong) = (image.to_owned(), wrong.to_owned());
    let folder = place.blob("store", &image).parent().unwrap().to_owned();
    let asked = AtomicUsize::new(0);
    Scripted::start(move |seen: &Seen| {
        let read = |digest: &str| std::fs::read(folder.join(digest.trim_start_matches("sha256:"))).ok();
        let last = seen.path.rsplit('/').next().unwrap_or_default();
        let is_manifest = seen.path.contains("/manifests/");
        if !is_manifest && !seen.path.contains("/blobs/") {
            return Reply::new(404);
        }
        let Some(mut bytes) = read(if is_manifest && last == "1" { &image } else { last }) else {
            return Reply::new(404);
        };
        if is_manifest {
            return Reply::new(200).header("Content-Type", MANIFEST).body(bytes);
        }
        if last != wrong {
            return Reply::new(200).body(bytes);
        }
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        let half = bytes.len() / 2;
        bytes[half] ^= 1;
        match lie {
            "cut" if first => Reply::new(200).body(bytes).ending(Ending::CutAfter(half)),
            "longer" => {
                bytes[half] ^= 1;
                bytes.push(0);
                Reply::new(200).body(bytes)
            }
            _ => Reply::new(200).body(bytes),
        }
    })
}

/// Says that a test is skipped.
#[expect(clippy::print_stderr, reason = "a skip is said on stderr")]
fn skip(reason: &str) {
    assert!(!samara_test::must_have_everything(), "{reason}");
    eprintln!("skipped: {reason}");
}
