//! Functions as images: packed, sent, fetched, copied by others, and run with
//! the same answer.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use samara_test::registry::{DockerRegistry, Setup};
use serde_json::{Value, json};

use crate::support::{EMPTY_SECTION, Place, Ran, TINY_ANSWER, at, numbers, ran, root, samara_in};

const DIGITS: &str = "examples/digits";
/// The base of what one picture is.
const THREE: &str = "image=@examples/digits/three.png";

#[test]
fn a_function_travels_through_a_registry_and_stays_the_same() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    let name = format!("{}/team/digits:1", registry.host());
    let packed = pack(&place, DIGITS, &[&name]);
    assert_eq!(place.digest(&["push", &name]), packed);
    let here = three(&place, &["examples/digits"]);

    // A store that has compiled nothing yet.
    assert_eq!(place.digest(&["--store", "other", "pull", &name]), packed);
    assert_eq!(three(&place, &["--store", "other", &name]), here);
    let said = run_three(&place, &["--store", "other", &name, "-v"]);
    assert_eq!(said.stderr.matches(": from the cache in").count(), 2, "{}", said.stderr);

    // What is not there is fetched, by either name.
    let exactly = format!("{}/team/digits@{packed}", registry.host());
    for (store, name) in [("third", &name), ("fourth", &exactly)] {
        place.store(store);
        let store = ["--store", store];
        assert_eq!(three(&place, &[&store[..], &[name]].concat()), here, "{name}");
        let image = &place.json(&[&store[..], &["inspect", name]].concat())["image"];
        assert_eq!(image["digest"], packed.as_str(), "{name}");
    }
    let tested = place.samara(&["--store", "other", "test", &name]).good();
    assert!(tested.ends_with("5 passed, 0 failed\n"), "{tested}");
}

#[test]
fn skopeo_carries_an_image_and_its_answer() {
    let Some(skopeo) = samara_test::program("skopeo") else { return };
    // skopeo remembers what a registry has, so what it compresses goes to one
    // that has nothing.
    let registries = [(); 3].map(|()| DockerRegistry::start(&Setup::default()));
    let [Some(first), Some(second), Some(empty)] = registries else { return };
    let place = Place::new();
    let name = |registry: &DockerRegistry, tag: &str| format!("{}/digits:{tag}", registry.host());
    let copy = |options: &[&str], from: &str, to: &str| {
        let mut command = Command::new(&skopeo);
        command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        command.args(options).args([format!("docker://{from}"), format!("docker://{to}")]);
        ran(&mut command).good();
    };
    let start = name(&first, "1");
    let packed = pack(&place, DIGITS, &[&start]);
    place.digest(&["push", &start]);
    let here = three(&place, &[&start]);

    let (there, back) = (name(&second, "1"), name(&first, "back"));
    copy(&["--preserve-digests"], &start, &there);
    copy(&["--preserve-digests"], &there, &back);
    place.store("other");
    assert_eq!(place.digest(&["--store", "other", "pull", &back]), packed);
    assert_eq!(three(&place, &["--store", "other", &back]), here);

    let compressed = name(&empty, "compressed");
    copy(&[], &start, &compressed);
    place.store("third");
    let store = ["--store", "third"];
    assert_ne!(place.digest(&[&store[..], &["pull", &compressed]].concat()), packed);
    assert_eq!(three(&place, &[&store[..], &[&compressed]].concat()), here);
    let facts = place.json(&[&store[..], &["inspect", &compressed]].concat());
    let layers = facts["image"]["layers"].as_array().unwrap().iter();
    let gzipped = layers.filter(|layer| layer["media_type"].as_str().unwrap().ends_with("tar+gzip"));
    assert_eq!(gzipped.count(), 2);
    let tested = place.samara(&[&store[..], &["test", &compressed]].concat()).good();
    assert!(tested.ends_with("5 passed, 0 failed\n"), "{tested}");
}

#[test]
fn the_same_files_are_the_same_image_anywhere() {
    let place = Place::new();
    let packed = pack(&place, DIGITS, &["digits:1"]);
    assert_eq!(pack(&place, DIGITS, &["digits:2"]), packed);

    let files = [
        "samara.toml",
        "digits.onnx",
        "target/wasm32-wasip2/release/decode.wasm",
        "target/wasm32-wasip2/release/label.wasm",
    ];
    let tests = root().join(DIGITS).join("tests").read_dir().unwrap();
    let tests = tests.map(|entry| format!("tests/{}", entry.unwrap().file_name().to_str().unwrap()));
    for (age, file) in files.map(str::to_owned).into_iter().chain(tests).enumerate() {
        let copy =
            place.write(&format!("copy/{file}"), std::fs::read(root().join(DIGITS).join(&file)).unwrap());
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 * (1 + age as u64));
        std::fs::File::options().append(true).open(&copy).unwrap().set_modified(time).unwrap();
        std::fs::set_permissions(&copy, PermissionsExt::from_mode([0o600, 0o755][age % 2])).unwrap();
    }
    place.store("other");
    for umask in ["000", "077"] {
        let mut shell = Command::new("sh");
        place.settle(&mut shell);
        let script = format!("umask {umask} && exec \"$0\" --store other pack copy -t copy:{umask}");
        let said = ran(shell.args(["-c", &script]).arg(samara_test::samara()));
        assert_eq!(said.good().trim_end(), packed, "{umask}");
    }

    let dated = ["--created", "2026-01-02T03:04:05Z"];
    assert_ne!(place.digest(&[&["pack", "copy"], &dated[..]].concat()), packed);
}

#[test]
fn every_form_runs_after_a_pull() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.store("other");
    fn there<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        at("other", arguments)
    }

    let tar = format!("{}/digits:tar", registry.host());
    let packed = pack(&place, DIGITS, &[&tar, "--form", "tar"]);
    place.digest(&["push", &tar]);
    assert_eq!(place.digest(&there(&["pull", &tar])), packed);
    assert_eq!(three(&place, &there(&[&tar])), three(&place, &[DIGITS]));
    assert_eq!(place.json(&there(&["inspect", &tar]))["image"]["form"], "tar");

    let wasm = format!("{}/hello:wasm", registry.host());
    let packed = pack(&place, "examples/hello-tensor", &[&wasm, "--form", "wasm"]);
    place.digest(&["push", &wasm]);
    assert_eq!(place.digest(&there(&["pull", &wasm])), packed);
    assert_eq!(place.json(&there(&["inspect", &wasm]))["image"]["form"], "wasm");
    let input = root().join("examples/hello-tensor/tests/three-four-five.json");
    let input = std::fs::read_to_string(input).unwrap();
    let said = place.samara_with(&there(&["run", &wasm, "--output", "json"]), &input);
    assert_eq!(numbers(&said.response(), "length"), [5.0]);

    // It has no place for a model.
    let refused = place.samara(&["pack", root().join(DIGITS).to_str().unwrap(), "--form", "wasm"]).bad();
    assert!(refused.contains("cannot pack: "), "{refused}");
}

#[test]
fn an_archive_and_a_bundle_need_no_network() {
    let place = Place::new();
    let packed = pack(&place, DIGITS, &["registry.example/team/digits:1", "--sbom"]);
    let name = "registry.example/team/digits:1";
    place.samara(&["sign", "--new-key", "team"]).good();
    place.samara(&["sign", name, "--key", "team.key"]).good();
    place.samara(&["save", name, "-o", "digits.tar"]).good();
    let here = three(&place, &[name]);

    place.store("edge");
    fn there<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        at("edge", arguments)
    }
    assert_eq!(place.digest(&there(&["load", "digits.tar"])), packed);
    assert_eq!(three(&place, &there(&[name])), here);
    assert_eq!(place.digest(&there(&["verify", name, "--key", "team.pub"])), packed);
    let image = &place.json(&there(&["inspect", name]))["image"];
    assert_eq!((&image["signatures"], image["boms"].as_array().unwrap().len()), (&json!(1), 1));

    // Through pipes, as over a connection that is no network.
    place.store("third");
    let mut pipe = Command::new("sh");
    place.settle(&mut pipe);
    let script = format!("\"$0\" --store edge save {name} -o - | \"$0\" --store third load -");
    assert_eq!(ran(pipe.args(["-c", &script]).arg(samara_test::samara())).good().trim_end(), packed);

    for what in [root().join(DIGITS).to_str().unwrap(), name] {
        place.samara(&there(&["bundle", what, "-o", "digits.wasm"])).good();
        assert_eq!(three(&place, &["digits.wasm"]), here, "{what}");
        let tested = place.samara(&["test", "digits.wasm"]).good();
        assert!(tested.ends_with("5 passed, 0 failed\n"), "{tested}");
    }
}

#[test]
fn versions_that_differ_in_code_share_their_model() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.tiny("tiny", 500_000);
    let weights = std::fs::metadata(place.path("tiny/m.onnx")).unwrap().len();
    let names = [1, 2].map(|version| format!("{}/tiny:{version}", registry.host()));
    let first = place.json(&["pack", "tiny", "-t", &names[0]]);
    place.digest(&["push", &names[0]]);
    place.append("tiny/tiny.wasm", EMPTY_SECTION);
    let second = place.json(&["pack", "tiny", "-t", &names[1]]);
    assert_ne!(first["digest"], second["digest"]);
    assert!(first["bytes_added"].as_u64().unwrap() > weights, "{first}");
    assert!(second["bytes_added"].as_u64().unwrap() < weights / 2, "{second}");
    let pushed = place.json(&["push", &names[1]]);
    assert!(pushed["bytes_sent"].as_u64().unwrap() < weights / 2, "{pushed}");

    place.store("other");
    fn there<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        at("other", arguments)
    }
    place.digest(&there(&["pull", &names[0]]));
    let blobs = place.blobs("other").len();
    let pulled = place.json(&there(&["pull", &names[1]]));
    assert_eq!(pulled["layers_fetched"], 1);
    // The component, and the manifest of the image.
    assert_eq!(place.blobs("other").len(), blobs + 2);
    let info = place.json(&there(&["store", "info"]));
    let bytes = info["blob_bytes"].as_u64().unwrap();
    assert!((weights..weights * 3 / 2).contains(&bytes), "{info}");

    // What a process knows a model by is the same, so it loads it once.
    let [one, two] = names.clone().map(|name| place.json(&there(&["inspect", &name])));
    assert_eq!(one["models"]["m"]["digest"], two["models"]["m"]["digest"]);
    assert_eq!(model_layer(&one), model_layer(&two));
    for name in &names {
        assert_eq!(place.answer(&there(&[name])), TINY_ANSWER);
    }
}

#[test]
fn a_name_goes_back_to_its_version_before() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.store("edge");
    place.tiny("tiny", 1);
    let name = format!("{}/tiny:1", registry.host());
    fn there<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        at("edge", arguments)
    }
    let mut digests = Vec::new();
    for _ in 0..2 {
        digests.push(place.digest(&["pack", "tiny", "-t", &name]));
        place.digest(&["push", &name]);
        place.digest(&there(&["pull", &name]));
        place.append("tiny/tiny.wasm", EMPTY_SECTION);
    }
    let history = || -> Vec<(Value, Value)> {
        let lines = place.json(&there(&["images", "--history"]));
        let line = |line: &Value| (line["digest"].clone(), line["current"].clone());
        lines.as_array().unwrap().iter().map(line).collect()
    };
    let expected = |current: usize| -> Vec<(Value, Value)> {
        [1, 0].map(|version| (json!(digests[version]), json!(version == current))).to_vec()
    };
    assert_eq!(history(), expected(1));
    // Nothing is fetched for it.
    drop(registry);
    assert_eq!(place.digest(&there(&["rollback", &name])), digests[0]);
    assert_eq!(history(), expected(0));
    assert_eq!(place.answer(&there(&[&name])), TINY_ANSWER);
    assert_eq!(place.json(&there(&["inspect", &name]))["image"]["digest"], digests[0].as_str());
    let refused = place.samara(&there(&["rollback", &name])).bad();
    assert!(refused.contains("has no earlier version"), "{refused}");

    // What a name stood for is kept for it, what no name stands for goes.
    place.samara(&there(&["store", "gc"])).good();
    assert_eq!(history(), expected(0));
    place.samara(&there(&["rm", &name])).good();
    assert_eq!(place.blobs("edge"), Vec::<PathBuf>::new());
}

#[test]
fn a_model_of_an_image_stays_the_one_that_was_locked() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.store("other");
    let name = format!("{}/tiny:1", registry.host());
    place.tiny("tiny", 1);
    let first = place.digest(&["pack", "tiny", "-t", &name]);
    place.digest(&["push", &name]);

    let reader = |folder: &str| {
        place.tiny(folder, 1);
        place.model_from(folder, &format!("{name}#m"));
    };
    fn there<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        at("other", arguments)
    }
    reader("reader");
    assert_eq!(place.answer(&there(&["reader"])), TINY_ANSWER);
    let lock = std::fs::read_to_string(place.path("reader/samara.lock")).unwrap();
    assert!(lock.contains(&format!("source = \"oci://{name}\"\ndigest = \"{first}\"")), "{lock}");

    // The tag moves to another model; the lock does not.
    place.tiny("tiny", 2);
    let second = place.digest(&["pack", "tiny", "-t", &name]);
    place.digest(&["push", &name]);
    place.store("third");
    assert_eq!(place.answer(&["--store", "third", "reader"]), TINY_ANSWER);
    assert_eq!(std::fs::read_to_string(place.path("reader/samara.lock")).unwrap(), lock);
    let model = |what: &str| place.json(&there(&["inspect", what]))["models"]["m"]["digest"].clone();
    let locked = model("reader");
    reader("late");
    assert_ne!(model("late"), locked);
    assert!(std::fs::read_to_string(place.path("late/samara.lock")).unwrap().contains(&second));

    // Packed, the model is the very layer of the image that it came from.
    place.digest(&there(&["pack", "reader", "-t", "reader:1"]));
    let layer = model_layer(&place.json(&there(&["inspect", "reader:1"])));
    assert_eq!(layer, model_layer(&place.json(&["inspect", &format!("{}/tiny@{first}", registry.host())])));
    drop(registry);
    assert_eq!(place.answer(&there(&["reader:1"])), TINY_ANSWER);
}

#[test]
fn a_model_pack_artifact_is_the_source_of_a_model() {
    let Some(skopeo) = samara_test::program("skopeo") else { return };
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.tiny("reader", 1);
    let weights = std::fs::read(place.path("reader/m.onnx")).unwrap();
    let name = format!("{}/models/doubling:1", registry.host());
    model_pack(&place, "artifact", &weights);
    let mut copy = Command::new(skopeo);
    copy.args(["--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false"]);
    copy.arg(format!("oci:{}:1", place.path("artifact").display())).arg(format!("docker://{name}"));
    ran(&mut copy).good();

    place.model_from("reader", &name);
    assert_eq!(place.answer(&["reader"]), TINY_ANSWER);
    place.digest(&["pack", "reader", "-t", "reader:1"]);
    assert_eq!(place.answer(&["reader:1"]), TINY_ANSWER);
    let refused = place.samara(&["run", &name]).bad();
    assert!(refused.contains("a model alone") && refused.contains("\nhint: "), "{refused}");
}

/// Packs a folder of the repository, which is built where it is not.
fn pack(place: &Place, folder: &str, name_and_more: &[&str]) -> String {
    // The tools that build know their user by the usual variables.
    let store = place.path("store");
    let store = ["--store", store.to_str().unwrap()];
    let said = samara_in(root(), &[&store[..], &["pack", folder, "-t"], name_and_more].concat());
    said.good().trim_end().to_owned()
}

/// Runs digits on the picture of a three.
fn run_three(place: &Place, arguments: &[&str]) -> Ran {
    let input = THREE.replace("examples", root().join("examples").to_str().unwrap());
    let example = root().join(DIGITS);
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|argument| if *argument == DIGITS { example.to_str().unwrap() } else { argument })
        .collect();
    place.samara(&[&["run", "--input", &input, "--output", "json"], &arguments[..]].concat())
}

/// What digits says of the picture of a three.
fn three(place: &Place, arguments: &[&str]) -> Value {
    let response = run_three(place, arguments).response();
    assert_eq!(numbers(&response, "digit"), [3.0]);
    response["outputs"].clone()
}

/// The layer of the model `m` in what `inspect` says of an image.
fn model_layer(facts: &Value) -> Value {
    let layers = facts["image"]["layers"].as_array().unwrap();
    let layer = layers.iter().find(|layer| layer["title"] == "m.onnx").unwrap();
    layer["digest"].clone()
}

/// An OCI layout with the tag `1` that holds a ModelPack artifact
/// (<https://github.com/modelpack/model-spec/blob/v0.0.7/docs/spec.md>) of one
/// file.
fn model_pack(place: &Place, folder: &str, weights: &[u8]) {
    let blob = |media_type: &str, bytes: &[u8]| {
        let digest = samara_engine::sha256(bytes);
        place.write(&format!("{folder}/blobs/{}", digest.replace(':', "/")), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let mut layer = blob("application/vnd.cncf.model.weight.v1.raw", weights);
    layer["annotations"] = json!({"org.cncf.model.filepath": "doubling.onnx"});
    let config = json!({
        "descriptor": {"name": "doubling"},
        "config": {"format": "onnx"},
        "modelfs": {"type": "layers", "diffIds": [layer["digest"]]},
    });
    let config = blob("application/vnd.cncf.model.config.v1+json", config.to_string().as_bytes());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let mut entry = blob(media_type, manifest.to_string().as_bytes());
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    place.write(&format!("{folder}/index.json"), index.to_string());
    place.write(&format!("{folder}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    assert!(Path::new(&place.path(folder)).join("blobs/sha256").is_dir());
}
