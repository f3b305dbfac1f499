//! The page of the documentation that says which operators run where.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use crate::case::Suite;
use crate::lists::{List, Outcome, writes};

const HEAD: &str = "\
# Which operators run where

ONNX's own test cases of single operators (PyPI `onnx` 1.22.0), run through samara by
each backend; `wgpu` with target `gpu`, so that every node runs on the GPU, which in the
tests is a driver that computes on the CPU; `standalone` by the engine inside components
of `samara compile --standalone`, to which nothing is given that it [may answer
wrongly](standalone.md). A case that an engine refuses as it stands is
tried once more as people export such models: with everything but the first input, such
as weights, axes and shapes, as constants of the model. A case that does not pass then
is *refused*: the model does not load, or the run ends, with an error that says why.
`cargo xtask conformance` runs all of them and prints this page's table; the gate does
too, and fails where the page is not what it finds.

A cell counts the cases that pass / are refused / are answered otherwise than ONNX says.
It is empty where every case of the operator passes.

";

/// Compares the page with what the lists make, or writes it.
///
/// # Panics
/// When it differs.
pub(crate) fn check(suite: &Suite, lists: &[(&str, List)], known: &[(&str, &str, &str)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
    let made = page(suite, lists, known);
    if writes() {
        std::fs::write(path, made).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "host/docs/operators.md is not what the lists make: `cargo xtask conformance --write` makes it anew"
    );
}

fn page(suite: &Suite, lists: &[(&str, List)], known: &[(&str, &str, &str)]) -> String {
    let mut operators: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in suite.cases() {
        operators.entry(&case.operator).or_default().push(&case.name);
    }
    let mut text = String::from(HEAD);
    let names: Vec<String> = lists.iter().map(|(name, _)| format!("`{name}`")).collect();
    let all: Vec<&str> = suite.cases().map(|case| case.name.as_str()).collect();
    let totals: Vec<String> = lists.iter().map(|(_, list)| total(list, &all)).collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "| operator | cases | {} |", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(lists.len()));
    let _ = writeln!(text, "| **all** | {} | {} |", all.len(), totals.join(" | "));
    for (operator, cases) in &operators {
        let cells: Vec<String> = lists.iter().map(|(_, list)| cell(list, cases)).collect();
        let _ = writeln!(text, "| {operator} | {} | {} |", cases.len(), cells.join(" | "));
    }
    let left_out: Vec<String> =
        suite.left_out().iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
    let _ = writeln!(
        text,
        "\nNot run, because they take or give what is no tensor of the protocol's datatypes: {}.",
        left_out.join(", ")
    );
    let _ = writeln!(text, "\n## Answered otherwise\n");
    let _ = writeln!(text, "| backend | case | what differs |\n|---|---|---|");
    for (backend, case, difference) in known {
        let _ = writeln!(text, "| `{backend}` | `{case}` | {difference} |");
    }
    text
}

fn total(list: &List, cases: &[&str]) -> String {
    let passed = passing(list, cases);
    format!("{} ({:.0} %)", counts(list, cases), 100.0 * passed as f64 / cases.len() as f64)
}

fn cell(list: &List, cases: &[&str]) -> String {
    match passing(list, cases) {
        passed if passed == cases.len() => String::new(),
        _ => counts(list, cases),
    }
}

/// Passed, refused, wrong; a panic counts as wrong, and a case that is not listed as
/// refused.
fn counts(list: &List, cases: &[&str]) -> String {
    let wrong = |case: &&&str| matches!(list.get(case), Some(Outcome::Wrong | Outcome::Panicked));
    let (passed, wrong) = (passing(list, cases), cases.iter().filter(wrong).count());
    format!("{passed} / {} / {wrong}", cases.len() - passed - wrong)
}

fn passing(list: &List, cases: &[&str]) -> usize {
    let passes = |outcome: Option<Outcome>| matches!(outcome, Some(Outcome::Passed | Outcome::Constant));
    cases.iter().filter(|case| passes(list.get(case))).count()
}
