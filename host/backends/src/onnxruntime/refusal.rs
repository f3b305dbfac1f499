//! What the library refuses, in this program's words where its own do not say
//! which node is meant.

use samara_nn::{Error, ModelSource};

use super::NAME;
use crate::onnx::{Node, Outline, Outputs, is_default_domain, quote};

/// A model that the library would not load. It says which kind of refusal it
/// is in a code, but not for operators that it lacks.
pub(super) fn refused(source: &ModelSource, error: &ort::Error) -> Error {
    use ort::ErrorCode::{InvalidGraph, InvalidProtobuf};
    let message = error.message();
    if let Some(reason) = newer_opset(message).or_else(|| lacking(source, message)) {
        return Error::Unsupported { model: source.name.clone(), backend: NAME, reason };
    }
    let (model, reason) = (source.name.clone(), words(message));
    match error.code() {
        InvalidGraph | InvalidProtobuf => Error::InvalidModel { model, backend: NAME, reason },
        _ => Error::Unsupported { model, backend: NAME, reason },
    }
}

/// A run that asked for more than the memory limit leaves.
pub(super) fn out_of_memory(model: &str, message: &str) -> Option<Error> {
    let node = message.split_once("Name:'").and_then(|(_, rest)| rest.split_once('\''));
    let node = node.map_or(String::new(), |(name, _)| format!(" that node {} asks for", quote(name)));
    let (size, limit) = if message.contains("storage size overflowed") {
        (u64::MAX, isize::MAX as u64)
    } else {
        let (_, numbers) = message.split_once("Available memory of ")?;
        let mut numbers =
            numbers.split_whitespace().filter_map(|word| word.trim_end_matches('.').parse().ok());
        let limit = numbers.next()?;
        (numbers.next()?, limit)
    };
    let what = format!("the memory in bytes{node}");
    Some(Error::TooLarge { model: model.to_owned(), what, size, limit })
}

/// A message of the library on one line, bounded, without the place in its
/// source with which some begin.
pub(super) fn words(message: &str) -> String {
    const MOST: usize = 600;
    let message =
        if message.starts_with('/') { after_signature(message).unwrap_or(message) } else { message };
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What follows the first list of parameters, as in `/file.h:46 void f(int) it failed`.
fn after_signature(message: &str) -> Option<&str> {
    let mut depth = 0usize;
    for (index, letter) in message.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(message[index + 1..].trim()).filter(|rest| !rest.is_empty()),
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// A set of operators that is newer than the library.
fn newer_opset(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Opset ")?;
    let (version, _) = rest.split_once(" is under development")?;
    Some(format!(
        "it is written in operator set {version}, which is newer than this ONNX Runtime knows; export it for an older one"
    ))
}

/// The node whose operator the library lacks, altogether or for the datatypes.
fn lacking(source: &ModelSource, message: &str) -> Option<String> {
    let for_datatypes = message.contains("Could not find an implementation");
    let lacks = for_datatypes
        || ["is not a registered function/op", "No Op registered for"]
            .iter()
            .any(|words| message.contains(words));
    if !lacks {
        return None;
    }
    let outline = Outline::read_with(source, NAME, Outputs::Sequences).ok()?;
    let mut reason = None;
    outline.for_each_node(&mut |node| {
        if reason.is_none() && is_meant(node, message) {
            let name =
                if is_default_domain(node.domain) { String::new() } else { format!("{}.", node.domain) };
            let operator = quote(&(name + node.operator));
            reason = Some(match for_datatypes {
                true => format!("it has no operator {operator} for the datatypes of {node}"),
                false => format!("it lacks the operator {operator}; the first is at {node}"),
            });
        }
    });
    reason.or_else(|| Some(words(message)))
}

/// Whether a message that names an operator, and perhaps a node, is about this one.
fn is_meant(node: &Node<'_>, message: &str) -> bool {
    if let Some((_, rest)) = message.split_once("node with name '") {
        let same = rest.split_once('\'').is_some_and(|(name, _)| name == node.name);
        return same && message.contains(&format!("{}(", node.operator));
    }
    if let Some((_, rest)) = message.split_once("No Op registered for ") {
        return rest.split_whitespace().next() == Some(node.operator);
    }
    let named = if is_default_domain(node.domain) { "".to_owned() } else { format!("{}:", node.domain) };
    let named = format!("{named}{}(", node.operator);
    message.split_whitespace().any(|word| word.starts_with(&named))
}

#[cfg(test)]
mod tests {
    use samara_nn::Format;
    use samara_test::onnx::{FP32, Model};

    use super::*;

    #[test]
    fn running_out_of_memory_is_told_from_other_failures() {
        let message = "Non-zero status code returned while running Expand node. Name:'Expand_0' Status Message: \
                       /a.cc:360 void* f(size_t) Available memory of 2147483392 is smaller than requested bytes of 8796093022208";
        assert_eq!(
            out_of_memory("m", message).unwrap().to_string(),
            "model `m`: the memory in bytes that node `Expand_0` asks for is 8796093022208, above the limit of 2147483392"
        );
        assert!(out_of_memory("m", "Non-zero status code").is_none());
    }

    #[test]
    fn messages_lose_the_place_in_the_source() {
        let message =
            "/src/load.h:46 void check(const map<string, int (*)()>&,\n bool) the model is  too new";
        assert_eq!(words(message), "the model is too new");
        assert_eq!(words("no such\nfile (sorry)"), "no such file (sorry)");
        assert_eq!(words("/only/a/path"), "/only/a/path");
    }

    #[test]
    fn what_is_lacked_is_named_with_its_node() {
        let model = Model::new().input("x", FP32, &["2"]).node("PRelu", &["x", "x"], &["h"]);
        let model = model.node("Relu", &["h"], &["i"]).domain("org.example", 1);
        let model = model.node("Relu", &["i"], &["y"]).in_domain("org.example").output("y", FP32, &["2"]);
        let name = "m".to_owned();
        let bytes = model.bytes().into();
        let source = ModelSource {
            identity: name.clone(),
            name,
            format: Format::Onnx,
            bytes,
            beside: samara_nn::Beside::Nothing,
        };
        let found = |message| lacking(&source, message).unwrap();
        assert_eq!(
            found("Fatal error: org.example:Relu(-1) is not a registered function/op"),
            "it lacks the operator `org.example.Relu`; the first is at node `Relu_2` (operator `Relu`)"
        );
        assert_eq!(
            found("In Node, (..) Error No Op registered for Relu with domain_version of 17"),
            "it lacks the operator `Relu`; the first is at node `Relu_1` (operator `Relu`)"
        );
        assert_eq!(
            found(
                "NOT_IMPLEMENTED : Could not find an implementation for PRelu(16) node with name 'PRelu_0'"
            ),
            "it has no operator `PRelu` for the datatypes of node `PRelu_0` (operator `PRelu`)"
        );
        assert_eq!(
            found("Fatal error: Other(1) is not a registered function/op"),
            "Fatal error: Other(1) is not a registered function/op"
        );
        assert!(lacking(&source, "Load model failed").is_none());
        assert!(newer_opset("x Opset 99 is under development").unwrap().contains("operator set 99"));
    }
}
