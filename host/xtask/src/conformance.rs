//! `cargo xtask conformance`.

use anyhow::{Context, Result, bail};

use crate::fixtures;
use crate::shell::{cargo, root, run as finish, step};

/// Where the table is kept.
const PAGE: &str = "host/docs/operators.md";

/// Where each backend's list of cases is.
const LISTS: &str = "host/backends/tests/nodes";

/// Runs ONNX's own test cases on every backend, or on the one that is named, and
/// prints the table of them all. `--write` among the `arguments` keeps what is found.
///
/// # Errors
/// Where something else is found than the page and the lists of cases say.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (flags, backends): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.starts_with('-'));
    let writes = match flags[..] {
        [] => false,
        [flag] if flag == "--write" => true,
        _ => bail!("`conformance` takes the name of a backend and `--write`, not {flags:?}"),
    };
    let filter = match backends[..] {
        [] => String::new(),
        [backend] if root().join(format!("{LISTS}/{backend}.txt")).is_file() => format!("{backend}::"),
        [backend] => bail!("there is no list of cases for `{backend}` in {LISTS}"),
        _ => bail!("`conformance` takes one backend or none for all, not {backends:?}"),
    };
    fixtures::make()?;
    step("running ONNX's own test cases");
    let mut tests = cargo();
    tests.args(["test", "--quiet", "--workspace", "--test", "nodes", "--"]);
    if !filter.is_empty() {
        // And whether the page is what all lists make, and nothing in them is wrong.
        tests.args([filter.as_str(), "the_page_is", "no_case_is"]);
    }
    if writes {
        // The tests write to the same files.
        tests.arg("--test-threads=1").env("SAMARA_WRITE_LISTS", "1");
    }
    finish(&mut tests).context("what is found differs from what is kept; if that is meant, `cargo xtask conformance --write` keeps it")?;
    let page = std::fs::read_to_string(root().join(PAGE)).with_context(|| format!("{PAGE} is not there"))?;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        println!("{line}");
    }
    Ok(())
}
