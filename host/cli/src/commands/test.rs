//! `samara test`: the manifest's tests, a line per test.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use samara_nn::Signature;
use samara_package::manifest::TestCase;
use samara_protocol::json;
use serde_json::{Value, json};

use crate::args::TestArgs;
use crate::compare;
use crate::compose::{Loaded, Use};
use crate::error::{Outcome, explain};
use crate::grants;
use crate::images::Images;
use crate::input;
use crate::printer::{GREEN, Printer, RED};
use crate::settings::Settings;
use crate::what::What;

/// How a test ended.
struct Verdict {
    name: String,
    /// What was wrong, where something was.
    problem: Option<String>,
    took: Duration,
}

pub(crate) fn run(args: &TestArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let images = Images::new(settings, &args.registry, printer);
    let what = What::find(&args.what, &images)?;
    if what.tests().is_empty() {
        bail!(
            "`{}` has no tests\nhint: add one: `[[test]]` with `name`, `inputs` (a request) and `expect` (the response)",
            what.name()
        );
    }
    if let What::Project(project) = &what {
        project.ensure_built(printer)?;
    }
    let source = what.source(&[], &args.place, &args.grants, &images)?;
    if let Some(manifest) = what.manifest() {
        grants::tell_missing(&manifest.capabilities, what.folder(), &source.grants, &source.name, printer);
    }
    let loaded = Loaded::load(&what, source, Use::Once, settings, printer)?;
    let Some(signature) = loaded.function.signature() else {
        bail!("`{}` is {}, and tests call functions", loaded.function.name(), loaded.function.kind().name());
    };
    let mut verdicts = Vec::new();
    for test in what.tests() {
        let verdict = run_one(test, &what, &loaded, signature);
        if !printer.is_json() {
            printer.data(&verdict.as_text())?;
        }
        verdicts.push(verdict);
    }
    conclude(&verdicts, loaded.function.name(), printer)
}

fn run_one(test: &TestCase, what: &What, loaded: &Loaded, signature: &Signature) -> Verdict {
    let started = Instant::now();
    let problem = match judge(test, what, loaded, signature) {
        Ok(difference) => difference,
        Err(error) => Some(explain(&error).0.join(": ")),
    };
    Verdict { name: test.name.clone(), problem, took: started.elapsed() }
}

/// The first difference between what is expected and what comes.
fn judge(test: &TestCase, what: &What, loaded: &Loaded, signature: &Signature) -> Result<Option<String>> {
    let request = input::from_file(&what.test_file(&test.inputs)?, signature)?;
    let path = what.test_file(&test.expect)?;
    let expected = json::parse_tensors(&input::read_text(&path)?)
        .with_context(|| format!("cannot use `{}`", path.display()))?;
    let answer = loaded.infer(request.inputs)?;
    Ok(compare::difference(&expected, &answer.outputs, test.tolerance))
}

fn conclude(verdicts: &[Verdict], function: &str, printer: &Printer) -> Result<Outcome> {
    let failed = verdicts.iter().filter(|verdict| verdict.problem.is_some()).count();
    let passed = verdicts.len() - failed;
    if printer.is_json() {
        let tests: Vec<Value> = verdicts.iter().map(Verdict::as_json).collect();
        printer.json(&json!({ "function": function, "passed": passed, "failed": failed, "tests": tests }))?;
    } else {
        printer.data(&format!("{passed} passed, {failed} failed\n"))?;
    }
    Ok(if failed == 0 { Outcome::Done } else { Outcome::Failed })
}

impl Verdict {
    fn as_text(&self) -> String {
        match &self.problem {
            None => format!("{GREEN}ok{GREEN:#}    {} ({:.1?})\n", self.name, self.took),
            Some(problem) => {
                format!("{RED}FAIL{RED:#}  {}\n      {}\n", self.name, problem.replace('\n', "\n      "))
            }
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "passed": self.problem.is_none(),
            "problem": self.problem,
            "ms": (self.took.as_secs_f64() * 1e6).round() / 1e3,
        })
    }
}
