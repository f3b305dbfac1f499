//! Models that are damaged or mean harm, each with what is wrong with it.

use super::{Attribute, FP32, INT64, Model, raw, ready, tensor};

/// A file that no backend may load.
pub struct Hostile {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// A word that the refusal must contain: the node, operator or tensor at
    /// fault where there is one.
    pub names: &'static str,
    /// Whether it is sound but asks for more memory than there is: a backend
    /// that cannot see that in advance may load it and fail when it runs.
    pub expands: bool,
}

/// One of every kind.
pub fn all() -> Vec<Hostile> {
    let hostile = |name, bytes, names| Hostile { name, bytes, names, expands: false };
    let expanding = |name, bytes, names| Hostile { name, bytes, names, expands: true };
    vec![
        hostile("empty", Vec::new(), "no graph"),
        hostile("truncated", truncated(), "cut off"),
        hostile("random", random(), "not"),
        hostile("text", b"#!/bin/sh\necho this is a script\n".to_vec(), "not"),
        hostile("no-outputs", base().bytes(), "no outputs"),
        hostile("cycle", cycle(), "Add_"),
        hostile("self-reference", self_reference(), "Add_0"),
        hostile("unknown-operator", unknown_operator(""), "node `Frobnicate_0`"),
        hostile("unknown-domain", unknown_operator("org.example"), "node `Frobnicate_0`"),
        hostile("known-operator-of-unknown-domain", disguised_operator(), "node `Relu_0`"),
        hostile("missing-value", missing_value(), "nowhere"),
        hostile("missing-output", base().output("ghost", FP32, &["2"]).bytes(), "ghost"),
        hostile("value-computed-twice", computed_twice(), "`y`"),
        hostile("input-twice", base().input("x", FP32, &["2"]).output("x", FP32, &["2"]).bytes(), "`x`"),
        hostile("initializer-twice", initializer_twice(), "`w`"),
        hostile("initializer-too-short", with_weights(&[1 << 40], vec![0; 16]), "`w`"),
        hostile("initializer-overflows", with_weights(&[1 << 40, 1 << 40], vec![0; 16]), "`w`"),
        hostile("initializer-negative", with_weights(&[-4], vec![0; 16]), "`w`"),
        hostile("initializer-without-data", with_weights(&[1 << 33], Vec::new()), "`w`"),
        hostile("initializer-datatype", wrong_datatype(), "`w`"),
        hostile("constant-too-short", constant_too_short(), "Constant_0"),
        expanding("huge-constant-of-shape", huge_constant_of_shape(), "ConstantOfShape_0"),
        expanding("huge-expand", huge_expand(), "Expand_0"),
        expanding("huge-broadcast", huge_broadcast(), "Add_"),
        expanding("doubling", doubling(), "Concat_"),
        hostile("huge-opset", base_with_output().opset(1_000_000).bytes(), "1000000"),
        hostile("deep-graphs", deep_graphs(200), "nested"),
        hostile("huge-learned-opset", base_with_output_in("ai.onnx.ml", 99), "99"),
        hostile("function-calls-itself", function_calls_itself(), "`again`"),
        hostile("functions-in-a-circle", functions_in_a_circle(), "`there`"),
        hostile("functions-double", functions_double(), "nodes"),
        hostile("functions-nested-deeply", functions_nested_deeply(), "others"),
        hostile("function-named-as-operator", function_named_as_operator(), "`Relu`"),
        hostile("function-uses-nothing", function_uses_nothing(), "nowhere"),
        hostile("function-reads-a-file", function_reads_a_file(), "passwd"),
        hostile("deep-formula", deep_formula(), "size"),
        hostile("unknown-datatype", unknown_datatype(), "99"),
        hostile("external-in-memory", ready::external("w.bin", 0, 16), "`w.bin`"),
    ]
}

/// Names of weight files that lead out of a model's directory.
pub const ESCAPES: [&str; 4] = ["../../etc/passwd", "/etc/passwd", "weights/../../secret", ".."];

/// Doubles a constant again and again: small in the file, endless in memory.
pub fn doubling() -> Vec<u8> {
    let mut model = base().floats("c0", &[1024], &[1.0; 1024]);
    for step in 0..40 {
        let (last, next) = (format!("c{step}"), format!("c{}", step + 1));
        model = model.node_with("Concat", &[&last, &last], &[&next], &[("axis", Attribute::Int(0))]);
    }
    model
        .node_with("ReduceSum", &["c40"], &["total"], &[("keepdims", Attribute::Int(0))])
        .node("Add", &["x", "total"], &["y"])
        .output("y", FP32, &["2"])
        .bytes()
}

fn base() -> Model {
    Model::new().input("x", FP32, &["2"])
}

fn base_with_output_in(domain: &str, version: i64) -> Vec<u8> {
    base_with_output().domain(domain, version).bytes()
}

fn base_with_output() -> Model {
    base().node("Relu", &["x"], &["y"]).output("y", FP32, &["2"])
}

fn truncated() -> Vec<u8> {
    let mut bytes = ready::matmul(16);
    bytes.truncate(bytes.len() / 2);
    bytes
}

fn random() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..4096).map(|_| next()).collect()
}

fn cycle() -> Vec<u8> {
    base()
        .node("Add", &["x", "b"], &["a"])
        .node("Add", &["x", "a"], &["b"])
        .node("Add", &["a", "b"], &["y"])
        .output("y", FP32, &["2"])
        .bytes()
}

fn self_reference() -> Vec<u8> {
    base().node("Add", &["x", "y"], &["y"]).output("y", FP32, &["2"]).bytes()
}

fn unknown_operator(domain: &str) -> Vec<u8> {
    let model = if domain.is_empty() { base() } else { base().domain(domain, 1) };
    model.node("Frobnicate", &["x"], &["y"]).in_domain(domain).output("y", FP32, &["2"]).bytes()
}

/// An operator that is called like a known one but belongs to somebody else.
fn disguised_operator() -> Vec<u8> {
    base()
        .domain("org.example", 1)
        .node("Relu", &["x"], &["y"])
        .in_domain("org.example")
        .output("y", FP32, &["2"])
        .bytes()
}

fn missing_value() -> Vec<u8> {
    base().node("Add", &["x", "nowhere"], &["y"]).output("y", FP32, &["2"]).bytes()
}

fn computed_twice() -> Vec<u8> {
    base().node("Relu", &["x"], &["y"]).node("Neg", &["x"], &["y"]).output("y", FP32, &["2"]).bytes()
}

fn initializer_twice() -> Vec<u8> {
    let weights = tensor("w", &[2], &[1.0, 2.0]);
    base()
        .initializer(weights.clone())
        .initializer(weights)
        .node("Add", &["x", "w"], &["y"])
        .output("y", FP32, &["2"])
        .bytes()
}

fn with_weights(dims: &[i64], data: Vec<u8>) -> Vec<u8> {
    base()
        .initializer(raw("w", FP32, dims, data))
        .node("Add", &["x", "w"], &["y"])
        .output("y", FP32, &["?"])
        .bytes()
}

/// Four bytes per element where the datatype takes eight.
fn wrong_datatype() -> Vec<u8> {
    base()
        .initializer(raw("w", INT64, &[2], vec![0; 8]))
        .node("Add", &["x", "w"], &["y"])
        .output("y", FP32, &["2"])
        .bytes()
}

fn constant_too_short() -> Vec<u8> {
    let value = raw("", FP32, &[1 << 40], vec![0; 4]);
    base()
        .node_with("Constant", &[], &["w"], &[("value", Attribute::Tensor(value))])
        .node("Add", &["x", "w"], &["y"])
        .output("y", FP32, &["?"])
        .bytes()
}

fn huge_constant_of_shape() -> Vec<u8> {
    base()
        .ints("shape", &[1], &[1 << 40])
        .node("ConstantOfShape", &["shape"], &["w"])
        .node_with("ReduceSum", &["w"], &["total"], &[("keepdims", Attribute::Int(0))])
        .node("Add", &["x", "total"], &["y"])
        .output("y", FP32, &["2"])
        .bytes()
}

fn huge_expand() -> Vec<u8> {
    base()
        .ints("shape", &[2], &[1 << 40, 2])
        .node("Expand", &["x", "shape"], &["y"])
        .output("y", FP32, &["?", "2"])
        .bytes()
}

/// Two constants that are small each and meet as rows and columns.
fn huge_broadcast() -> Vec<u8> {
    let ones = vec![1.0; 200_000];
    base()
        .floats("row", &[1, 200_000], &ones)
        .floats("column", &[200_000, 1], &ones)
        .node("Add", &["row", "column"], &["table"])
        .node_with("ReduceSum", &["table"], &["total"], &[("keepdims", Attribute::Int(0))])
        .node("Add", &["x", "total"], &["y"])
        .output("y", FP32, &["2"])
        .bytes()
}

fn deep_graphs(depth: usize) -> Vec<u8> {
    let mut inner =
        Model::new().node("Identity", &["x"], &["inner"]).output("inner", FP32, &["2"]).into_graph();
    for level in 0..depth {
        let out = format!("level{level}");
        inner = Model::new()
            .node_with(
                "If",
                &["condition"],
                &[&out],
                &[
                    ("then_branch", Attribute::Graph(inner.clone())),
                    ("else_branch", Attribute::Graph(leaf())),
                ],
            )
            .output(&out, FP32, &["2"])
            .into_graph();
    }
    base()
        .input("condition", super::BOOL, &[])
        .node_with(
            "If",
            &["condition"],
            &["y"],
            &[("then_branch", Attribute::Graph(inner)), ("else_branch", Attribute::Graph(leaf()))],
        )
        .output("y", FP32, &["2"])
        .bytes()
}

fn leaf() -> super::proto::GraphProto {
    Model::new().node("Neg", &["x"], &["leaf"]).output("leaf", FP32, &["2"]).into_graph()
}

/// A size whose name is a formula of thousands of brackets.
fn deep_formula() -> Vec<u8> {
    let formula = format!("{}n{}", "(".repeat(50_000), ")".repeat(50_000));
    Model::new().input("x", FP32, &[&formula]).node("Relu", &["x"], &["y"]).output("y", FP32, &["n"]).bytes()
}

fn unknown_datatype() -> Vec<u8> {
    Model::new().input("x", 99, &["2"]).node("Identity", &["x"], &["y"]).output("y", 99, &["2"]).bytes()
}

const OWN: &str = "org.example";

/// The function `name` of one node, which may call others.
fn one_node(operator: &str, domain: &str) -> Model {
    Model::new().domain(OWN, 1).node(operator, &["x"], &["y"]).in_domain(domain)
}

/// A model that calls the function `name`.
fn calling(name: &str) -> Model {
    let model = base().domain(OWN, 1).node(name, &["x"], &["y"]).in_domain(OWN);
    model.output("y", FP32, &["2"])
}

fn function_calls_itself() -> Vec<u8> {
    calling("again").function(OWN, "again", one_node("again", OWN)).bytes()
}

fn functions_in_a_circle() -> Vec<u8> {
    let there = calling("there").function(OWN, "there", one_node("back", OWN));
    there.function(OWN, "back", one_node("there", OWN)).bytes()
}

/// A chain of functions of which each calls the next twice: 2^30 nodes.
fn functions_double() -> Vec<u8> {
    let twice = |next: &str| {
        let model = Model::new().domain(OWN, 1).node(next, &["x"], &["h"]).in_domain(OWN);
        model.node(next, &["h"], &["y"]).in_domain(OWN)
    };
    let mut model = calling("f0");
    for step in 0..30 {
        model = model.function(OWN, &format!("f{step}"), twice(&format!("f{}", step + 1)));
    }
    model.function(OWN, "f30", one_node("Neg", "")).bytes()
}

fn functions_nested_deeply() -> Vec<u8> {
    let mut model = calling("f0");
    for step in 0..5000 {
        model = model.function(OWN, &format!("f{step}"), one_node(&format!("f{}", step + 1), OWN));
    }
    model.function(OWN, "f5000", one_node("Neg", "")).bytes()
}

fn function_named_as_operator() -> Vec<u8> {
    base_with_output().function("", "Relu", one_node("Neg", "")).bytes()
}

fn function_uses_nothing() -> Vec<u8> {
    let body = Model::new().node("Add", &["x", "nowhere"], &["y"]);
    calling("adds").function(OWN, "adds", body).bytes()
}

fn function_reads_a_file() -> Vec<u8> {
    let mut data = raw("", FP32, &[2], Vec::new());
    data.data_location = 1;
    let (key, value) = ("location".to_owned(), "../../../etc/passwd".to_owned());
    data.external_data.push(super::proto::StringStringEntryProto { key, value });
    let body = Model::new().node_with("Constant", &[], &["y"], &[("value", Attribute::Tensor(data))]);
    calling("reads").function(OWN, "reads", body).bytes()
}
