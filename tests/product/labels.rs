//! What a classifier's numbers stand for, as `samara.toml` or the model says.

use samara_test::onnx::ready;
use serde_json::json;

use crate::support::Place;

#[test]
fn labels_stand_beside_bars_and_in_what_is_told() {
    let place = Place::new();
    place.write("f/m.onnx", ready::labelled());
    let input = ["--input", "[[0.25, 0.75]]"];
    let bars = |what: &str| place.samara(&[&["run", what], &input[..]].concat()).good();
    assert!(bars("f/m.onnx").contains("\n  yes   75.00%  ██"), "{}", bars("f/m.onnx"));
    let manifest = |labels: &str| {
        let text = format!("[function]\nname = \"f\"\n[model.m]\npath = \"m.onnx\"\n[labels]\n{labels}\n");
        place.write("f/samara.toml", text);
        place.digest(&["pack", "f", "-t", "f:1"]);
    };
    manifest("y = [\"cold\", \"warm\"]\nz = [\"stray\"]");
    for what in ["f", "f:1"] {
        assert!(bars(what).contains("\n  warm   75.00%  ██"), "{}", bars(what));
        let told = place.samara(&["inspect", what]).good();
        assert!(told.contains("labels: cold, warm\n") && told.contains("z: 1, of no output\n"), "{told}");
        let facts = place.json(&["inspect", what]);
        assert_eq!(facts["labels"], json!({ "y": ["cold", "warm"], "z": ["stray"] }));
        assert_eq!(facts["signature"]["outputs"][0]["labels"], json!(["cold", "warm"]));
    }
    manifest("y = []");
    assert!(bars("f").contains("\n  1   75.00%  ██"), "{}", bars("f"));
}
