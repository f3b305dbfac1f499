//! ONNX's own test cases of single operators, on every backend and in the engine inside
//! standalone components: which pass, which are refused, and that none is answered
//! wrongly. What is found is compared with the lists in `nodes/`, and the page
//! `host/docs/operators.md` with the lists.
//!
//! `cargo xtask conformance` runs them all and prints the page's table; with `--write`,
//! lists and page are written instead.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "what fails here is a failed test")]

#[path = "nodes/case.rs"]
mod case;
#[path = "nodes/lists.rs"]
mod lists;
#[path = "nodes/own.rs"]
mod own;
#[path = "nodes/page.rs"]
mod page;
#[path = "nodes/runner.rs"]
mod runner;
mod stored;

use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    BackendRegistry, Choice, Error, Format, LoadOptions, Model, ModelSource, NamedTensor, Probe, RunContext,
    Target, Tensor,
};

use case::{Case, Suite};
use lists::{List, Outcome};
use runner::Runner;

/// A backend gets the cases in so many shares, each a test of its own.
const SHARES: usize = 4;

/// What models that are compiled into components are called on the page.
const STANDALONE: &str = "standalone";

/// The backends in the order of the page, each with where its models run.
const BACKENDS: [(&str, Target); 3] =
    [("tract", Target::Cpu), ("onnxruntime", Target::Cpu), ("wgpu", Target::Gpu(None))];

macro_rules! shares {
    ($($backend:ident),*) => {
        $(mod $backend {
            #[test]
            fn first_share_is_as_listed() {
                super::compare(stringify!($backend), 0);
            }

            #[test]
            fn second_share_is_as_listed() {
                super::compare(stringify!($backend), 1);
            }

            #[test]
            fn third_share_is_as_listed() {
                super::compare(stringify!($backend), 2);
            }

            #[test]
            fn fourth_share_is_as_listed() {
                super::compare(stringify!($backend), 3);
            }
        })*
    };
}

shares!(tract, onnxruntime, wgpu, standalone);

/// What is known of upstream: cases that a backend answers otherwise than ONNX
/// does, each with the reason.
const KNOWN_WRONG: [(&str, &str, &str); 7] = [
    ("onnxruntime", "test_maxunpool_export_with_output_shape", "places are counted in the smaller image"),
    (
        "onnxruntime",
        "test_resize_downsample_scales_cubic_align_corners",
        "corners are those of the larger image",
    ),
    (
        "onnxruntime",
        "test_resize_downsample_scales_linear_align_corners",
        "corners are those of the larger image",
    ),
    ("onnxruntime", "test_training_dropout", "drops what its own generator says"),
    ("onnxruntime", "test_training_dropout_default", "drops what its own generator says"),
    ("onnxruntime", "test_training_dropout_default_mask", "drops what its own generator says"),
    ("onnxruntime", "test_training_dropout_mask", "drops what its own generator says"),
];

#[test]
fn no_case_is_answered_wrongly() {
    for backend in columns() {
        let wrong: Vec<String> = List::read(backend).with(Outcome::Wrong).collect();
        let known: Vec<&str> =
            KNOWN_WRONG.iter().filter(|(of, ..)| *of == backend).map(|(_, case, _)| *case).collect();
        assert_eq!(wrong, known, "by {backend}");
        let panicked: Vec<String> = List::read(backend).with(Outcome::Panicked).collect();
        assert_eq!(panicked, [""; 0], "by {backend}");
    }
}

#[test]
fn most_cases_run_wholly_on_a_gpu() {
    let list = List::read("wgpu");
    let (passed, all) = (list.passing(), list.len());
    assert!(passed * 100 >= all * 70, "{passed} of {all} are fewer than 70 %");
}

#[test]
fn the_page_is_what_the_lists_say() {
    let Some(suite) = Suite::read() else { return };
    let lists: Vec<_> = columns().map(|name| (name, List::read(name))).collect();
    page::check(&suite, &lists, &KNOWN_WRONG);
}

/// The lists in the order of the page.
fn columns() -> impl Iterator<Item = &'static str> {
    BACKENDS.into_iter().map(|(name, _)| name).chain([STANDALONE])
}

fn compare(name: &str, share: usize) {
    let Some(suite) = Suite::read() else { return };
    if name == STANDALONE {
        return compare_cases(name, share, &suite, &Runner::new());
    }
    let Some(backends) = backends(name) else { return };
    let (backend, target) = BACKENDS.into_iter().find(|(known, _)| *known == name).unwrap();
    compare_cases(name, share, &suite, &Subject { backends: &backends, backend, target });
}

fn compare_cases(name: &str, share: usize, suite: &Suite, subject: &dyn Runs) {
    let mut found = List::default();
    for case in suite.cases().skip(share).step_by(SHARES) {
        let (outcome, why) = outcome(subject, suite, case);
        if outcome != Outcome::Passed {
            eprintln!("{} {}: {why}", outcome.name(), case.name);
        }
        found.insert(case.name.clone(), outcome);
    }
    found.compare(name);
    if lists::writes() {
        the_page_is_what_the_lists_say();
    }
}

/// A registry where the backend can be used; `None` where the machine lacks it.
fn backends(backend: &str) -> Option<BackendRegistry> {
    let mut options = RegistryOptions { allow_software_gpu: true, ..RegistryOptions::default() };
    if backend == "onnxruntime" {
        options.onnxruntime_libraries = vec![samara_test::onnxruntime_library()?];
    }
    let backends = registry(&options);
    if backend == "wgpu" {
        let probe = backends.named(backend).unwrap().probe();
        let missing = if let Probe::Unavailable { reason } = &probe { Some(reason.as_str()) } else { None };
        if !samara_test::has_gpu(missing) {
            return None;
        }
    }
    Some(backends)
}

/// What runs cases.
trait Runs {
    fn run(&self, suite: &Suite, case: &Case, model: &[u8], inputs: Vec<NamedTensor>) -> (Outcome, String);
}

fn outcome(subject: &dyn Runs, suite: &Suite, case: &Case) -> (Outcome, String) {
    let first = subject.run(suite, case, suite.model(case), suite.inputs(case));
    if first.0 == Outcome::Refused
        && let Some(model) = suite.with_constants(case)
    {
        let inputs = suite.inputs(case).into_iter().take(1).collect();
        let second = subject.run(suite, case, model, inputs);
        return match second.0 {
            Outcome::Passed => (Outcome::Constant, first.1),
            Outcome::Refused => (Outcome::Refused, format!("{}; with constants: {}", first.1, second.1)),
            _ => second,
        };
    }
    first
}

/// The file of a case.
fn source(case: &Case, model: &[u8]) -> ModelSource {
    ModelSource {
        name: case.name.clone(),
        identity: case.name.clone(),
        format: Format::Onnx,
        bytes: model.to_vec().into(),
        beside: samara_nn::Beside::Nothing,
    }
}

/// A backend, and where its models run.
struct Subject<'a> {
    backends: &'a BackendRegistry,
    backend: &'static str,
    target: Target,
}

impl Subject<'_> {
    /// The answers of one run, or of two side by side where sessions may share what
    /// the engine keeps.
    fn answers(&self, model: &dyn Model, inputs: &[Tensor]) -> Result<Vec<Vec<Tensor>>, Error> {
        let run = || model.session()?.run(inputs, &RunContext::default());
        if self.backend != "onnxruntime" {
            return Ok(vec![run()?]);
        }
        std::thread::scope(|scope| {
            let beside = scope.spawn(run);
            Ok(vec![run()?, beside.join().unwrap()?])
        })
    }
}

impl Runs for Subject<'_> {
    fn run(&self, suite: &Suite, case: &Case, model: &[u8], inputs: Vec<NamedTensor>) -> (Outcome, String) {
        let source = source(case, model);
        let options = LoadOptions { target: self.target, ..LoadOptions::default() };
        let loaded = self.backends.load(&source, &Choice::from(self.backend), &options);
        let ran = loaded.and_then(|(_, model)| {
            let inputs = model.signature().conform_inputs(inputs)?;
            let answers = self.answers(&*model, &inputs)?.into_iter();
            Ok(answers.map(|outputs| model.signature().name_outputs(outputs)).collect::<Vec<_>>())
        });
        match ran {
            Err(error @ Error::Panicked { .. }) => (Outcome::Panicked, error.to_string()),
            Err(error) => (Outcome::Refused, error.to_string()),
            Ok(answers) => match answers.iter().find_map(|outputs| suite.difference(case, outputs)) {
                Some(difference) => (Outcome::Wrong, difference),
                None => (Outcome::Passed, String::new()),
            },
        }
    }
}
