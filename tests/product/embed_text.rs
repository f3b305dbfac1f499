//! The example `embed-text`: the real encoder's answers, over REST and gRPC too.

use std::path::PathBuf;
use std::process::Command;

use samara_test::server::Server;
use serde_json::{Value, json};

use crate::support::{Ran, command, numbers, ran, root, samara};

/// What the tokeniser and the encoder have to get right between them.
const SENTENCES: [&str; 8] = [
    "A cat sits outside.",
    "",
    "Ünïcödé, CAFÉ naïveté — ¿qué? 中文 한국어 ﬁ 🤗",
    "antidisestablishmentarianism's embeddings: a+b=c; e.g. http://example.org/?q=1",
    "tabs\tand\u{a0}blanks\u{200b}and\r\nlines",
    "Two kittens play in the yard.",
    "The exchange rate of the yen fell.",
    "x",
];

#[test]
fn the_function_agrees_with_its_reference() {
    let Some((folder, python)) = ready() else { return };
    let long = "A sentence that goes on, and on. ".repeat(200);
    let sentences: Vec<&str> = SENTENCES.into_iter().chain([long.as_str()]).collect();
    let reference =
        ran(Command::new(python).current_dir(folder).arg("reference.py").args(&sentences)).response();
    let ours = embedded(&[], &sentences).response();
    assert_eq!(ours["outputs"][0]["shape"], json!([9, 384]));
    assert_eq!(ours["outputs"][1]["shape"], json!([9, 9]));
    for output in ["embedding", "similarity"] {
        assert_near(&numbers(&ours, output), &numbers(&reference, output), 1e-5);
    }
    let similarity = numbers(&ours, "similarity");
    let (of_cats, of_money) = (similarity[5], similarity[6]);
    assert!(of_cats > of_money + 0.2, "{of_cats} {of_money}");
}

#[test]
fn the_company_of_a_sentence_does_not_change_its_embedding() {
    if ready().is_none() {
        return;
    }
    let together = numbers(&embedded(&[], &SENTENCES).response(), "embedding");
    let turned: Vec<&str> = SENTENCES.into_iter().rev().collect();
    let other_way = numbers(&embedded(&[], &turned).response(), "embedding");
    let rows = together.chunks(384).zip(other_way.chunks(384).rev());
    rows.for_each(|(one, other)| assert_near(one, other, 1e-5));
    let alone = numbers(&embedded(&[], &SENTENCES[..1]).response(), "embedding");
    assert_near(&alone, &together[..384], 1e-5);
}

#[test]
fn both_engines_give_the_same_embeddings() {
    let (Some(_), Some(library)) = (ready(), samara_test::onnxruntime_library()) else { return };
    let by_tract = embedded(&["--backend", "tract"], &SENTENCES).response();
    let mut command = command(root());
    command.env("SAMARA_ONNXRUNTIME", library).args([
        "run",
        "examples/embed-text",
        "--backend",
        "onnxruntime",
    ]);
    command.args(["--output", "json", "--input", &json!(SENTENCES).to_string()]);
    let by_onnxruntime = ran(&mut command).response();
    assert_near(&numbers(&by_tract, "embedding"), &numbers(&by_onnxruntime, "embedding"), 1e-5);
}

#[test]
fn many_sentences_are_embedded_and_too_many_refused() {
    if ready().is_none() {
        return;
    }
    let many: Vec<String> = (0..1025).map(|number| format!("{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let response = embedded(&[], &many[..300]).response();
    assert_eq!(response["outputs"][1]["shape"], json!([300, 300]));
    let error = embedded(&[], &many).bad();
    assert!(error.contains("`text` has 1025 elements, more than the 1024 of a call"), "{error}");
}

#[test]
fn rows_that_are_no_list_of_texts_are_refused() {
    if ready().is_none() {
        return;
    }
    for (given, reason) in [("[[\"a\"], [\"b\", \"c\"]]", "row"), ("[\"a\", 3]", "element 1")] {
        let error = samara(&["run", "examples/embed-text", "--input", given]).bad();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn batches_of_texts_are_served_by_rest_and_grpc() {
    let Some((_, python)) = ready() else { return };
    let mut serve = command(root());
    let server = Server::start(serve.args(["serve", "examples/embed-text"]));
    let script = root().join("tests/fixtures/clients/embed_text.py");
    let said = ran(Command::new(python).arg(script).arg(server.address())).good();
    let said: Value = serde_json::from_str(&said).unwrap();
    let (rest, grpc) = (numbers(&said["rest"], "embedding"), numbers(&said["grpc"], "embedding"));
    assert_eq!(rest.len(), 3 * 384);
    assert_near(&rest, &grpc, 1e-6);
    for (what, reason) in [
        ("not_utf8_rest", "element 1: a text is not UTF-8 at byte 3"),
        ("not_utf8_grpc", "element 1: a text is not UTF-8 at byte 3"),
        ("ragged", "`text`"),
        ("wrong_count", "`text`"),
    ] {
        let refusal = said[what].as_str().unwrap_or_else(|| panic!("{what}: {said}"));
        assert!(refusal.contains(reason), "{what}: {refusal}");
    }
}

/// The example's folder and the tests' Python, when the model is made.
fn ready() -> Option<(PathBuf, PathBuf)> {
    let folder = root().join("examples/embed-text");
    samara_test::fixture(folder.join("minilm.onnx"))?;
    Some((folder, samara_test::python()?))
}

fn embedded(more: &[&str], sentences: &[&str]) -> Ran {
    let text = format!("text={}", json!(sentences));
    samara(&[&["run", "examples/embed-text", "--output", "json", "--input", &text], more].concat())
}

#[track_caller]
fn assert_near(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    let apart = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart <= tolerance, "{apart} apart");
}
