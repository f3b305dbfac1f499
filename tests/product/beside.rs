//! Models that keep weights in files beside their own: from a folder, an image, an
//! archive and a bundle, sent, signed, served and served anew.

use std::time::{Duration, Instant};

use samara_test::client::Client;
use samara_test::onnx::ready;
use samara_test::registry::{DockerRegistry, Setup};
use samara_test::server::Server;
use serde_json::{Value, json};

use crate::support::{Place, at, numbers};

const PATIENCE: Duration = Duration::from_secs(120);

/// `y = x + w` in a folder with a manifest, the weights two folders below.
fn project(place: &Place, weights: [f32; 4]) {
    place.write("f/nets/net.onnx", ready::external("data/net.onnx.data", 8, 16));
    write_weights(place, weights);
    let manifest =
        "[function]\nname = \"beside\"\nversion = \"1.0.0\"\n[model.net]\npath = \"nets/net.onnx\"\n";
    place.write("f/samara.toml", manifest);
}

fn write_weights(place: &Place, weights: [f32; 4]) {
    let bytes = [vec![0xff; 8], weights.iter().flat_map(|value| value.to_le_bytes()).collect()].concat();
    place.write("f/nets/data/net.onnx.data", bytes);
}

/// What it makes of zeros: its weights.
fn run(place: &Place, arguments: &[&str]) -> Vec<f64> {
    numbers(&place.json(&[arguments, &["--input", "[0, 0, 0, 0]"]].concat()), "y")
}

#[test]
fn they_are_the_same_wherever_the_function_goes() {
    let place = Place::new();
    project(&place, [1.0, 2.0, 3.0, 4.0]);
    let is_right =
        |arguments: &[&str]| assert_eq!(run(&place, arguments), [1.0, 2.0, 3.0, 4.0], "{arguments:?}");
    is_right(&["run", "f/nets/net.onnx"]);
    is_right(&["run", "f"]);
    let first = place.digest(&["pack", "f", "-t", "beside:1", "--sbom"]);
    for form in ["mixed", "tar"] {
        place.digest(&["pack", "f", "-t", "beside:1", "--form", form]);
        is_right(&["run", "beside:1", "--backend", "tract"]);
    }
    if let Some(library) = samara_test::onnxruntime_library() {
        let mut command = place.command(&["run", "beside:1", "--backend", "onnxruntime", "--output", "json"]);
        let ran =
            crate::support::ran(command.args(["--input", "[0, 0, 0, 0]"]).env("SAMARA_ONNXRUNTIME", library));
        assert_eq!(numbers(&ran.response(), "y"), [1.0, 2.0, 3.0, 4.0]);
    }
    place.samara(&["new", "made", "--model", "f/nets/net.onnx"]).good();
    is_right(&["run", "made"]);
    let facts = place.json(&["inspect", "beside:1"]);
    assert_eq!(facts["models"]["net"]["data"], json!([{ "file": "data/net.onnx.data", "bytes": 24 }]));
    let bom = &facts["image"]["boms"][0];
    assert_eq!((&bom["packages"], &bom["models"]), (&json!(0), &json!(1)), "{bom}");

    place.samara(&["bundle", "f", "-o", "from-folder.wasm"]).good();
    place.samara(&["bundle", "beside:1", "-o", "from-image.wasm"]).good();
    let bundles = ["from-folder.wasm", "from-image.wasm"];
    let read = |bundle: &str| std::fs::read(place.path(bundle)).unwrap();
    assert_eq!(read(bundles[0]), read(bundles[1]));
    is_right(&["run", bundles[0]]);

    place.samara(&["save", "beside:1", "-o", "beside.tar"]).good();
    place.store("other");
    place.samara(&at("other", &["load", "beside.tar"])).good();
    is_right(&at("other", &["run", "beside:1"]));

    // A function takes the model with its weights from that image.
    let manifest =
        "[function]\nname = \"taker\"\nversion = \"1.0.0\"\n[model.mine]\npath = \"oci://beside:1\"\n";
    place.write("taker/samara.toml", manifest);
    is_right(&["run", "taker"]);
    place.digest(&["pack", "taker"]);
    is_right(&["run", "taker:1.0.0"]);
    place.samara(&["bundle", "taker", "-o", "taker.wasm"]).good();
    is_right(&["run", "taker.wasm"]);

    // The next version has other weights: one layer is new.
    write_weights(&place, [5.0, 6.0, 7.0, 8.0]);
    assert_ne!(place.digest(&["pack", "f", "-t", "beside:2"]), first);
    assert_eq!(run(&place, &["run", "beside:2"]), [5.0, 6.0, 7.0, 8.0]);
    is_right(&["run", "beside:1"]);
    let layers = |name: &str| {
        let facts = place.json(&["inspect", name]);
        let layers = facts["image"]["layers"].as_array().unwrap().clone();
        layers.into_iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (one, two) = (layers("beside:1"), layers("beside:2"));
    assert_eq!(one.iter().zip(&two).map(|(one, two)| one == two).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn they_travel_signed_through_a_registry() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    project(&place, [1.0, 2.0, 3.0, 4.0]);
    let name = format!("{}/team/beside:1", registry.host());
    let packed = place.digest(&["pack", "f", "-t", &name]);
    place.samara(&["sign", "--new-key", "team"]).good();
    place.samara(&["sign", &name, "--key", "team.key"]).good();
    assert_eq!(place.digest(&["push", &name]), packed);
    place.store("other");
    assert_eq!(place.digest(&at("other", &["pull", &name])), packed);
    assert_eq!(place.digest(&at("other", &["verify", &name, "--key", "team.pub"])), packed);
    assert_eq!(run(&place, &at("other", &["run", &name])), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn what_is_missing_or_lies_elsewhere_is_not_packed() {
    let place = Place::new();
    project(&place, [1.0; 4]);
    let file = place.path("f/nets/data/net.onnx.data");
    std::fs::remove_file(&file).unwrap();
    let refused = |reason: &str| {
        for arguments in [&["pack", "f"][..], &["bundle", "f", "-o", "f.wasm"]] {
            let said = place.samara(arguments).bad();
            assert!(said.contains("`data/net.onnx.data`") && said.contains(reason), "{said}");
        }
        let said = place.samara(&["run", "f", "--input", "[0, 0, 0, 0]"]).bad();
        assert!(said.contains("`w`") && said.contains(reason), "{said}");
    };
    refused("which is not there; it belongs beside the model");
    std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
    refused("a link that leads out of the model's directory");
    for (location, reason) in [
        ("../../secret", "which is not inside the model's directory"),
        ("net.onnx", "is the model itself"),
        ("*/_ORT_MEM_ADDR_/*", "a name that engines keep for themselves"),
    ] {
        place.write("f/nets/net.onnx", ready::external(location, 0, 16));
        let said = place.samara(&["pack", "f"]).bad();
        assert!(said.contains(reason), "{location}: {said}");
    }
}

#[test]
fn a_server_loads_them_and_takes_new_ones_when_it_reloads() {
    let place = Place::new();
    project(&place, [1.0, 2.0, 3.0, 4.0]);
    place.digest(&["pack", "f", "-t", "beside:1"]);
    let functions = [("file", "f/nets/net.onnx"), ("folder", "f"), ("image", "beside:1")];
    let config =
        functions.map(|(name, what)| format!("[[function]]\nname = \"{name}\"\nwhat = \"{what}\"\n"));
    place.write("serve.toml", config.concat());
    let server =
        Server::start(&mut place.command(&["serve", "--backend", "tract", "--config", "serve.toml"]));
    let answers = || functions.map(|(name, _)| answer(&server, name));
    assert_eq!(answers(), [[1.0, 2.0, 3.0, 4.0]; 3].map(|row| row.to_vec()));
    // The models' own files stay as they are.
    write_weights(&place, [5.0, 6.0, 7.0, 8.0]);
    place.digest(&["pack", "f", "-t", "beside:1"]);
    server.signal("HUP");
    let asked = Instant::now();
    while !server.said().contains("Reloaded") {
        assert!(asked.elapsed() < PATIENCE, "{}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(answers(), [[5.0, 6.0, 7.0, 8.0]; 3].map(|row| row.to_vec()));
    let (status, said) = server.stop();
    assert_eq!(status.code(), Some(0), "{said}");
}

fn answer(server: &Server, function: &str) -> Vec<f64> {
    let body = json!({ "inputs": [{ "name": "x", "datatype": "FP32", "shape": [4], "data": [0, 0, 0, 0] }] });
    let mut client = Client::connect(server.address(), PATIENCE).unwrap();
    let answer = client.post(&format!("/v2/models/{function}/infer"), &body.to_string()).unwrap().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    numbers(&serde_json::from_str::<Value>(&answer.body).unwrap(), "y")
}
