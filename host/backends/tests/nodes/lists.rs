//! What became of each case, as lists that are kept beside the tests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// Refused as it is, but passed once all inputs but the first are constants
    /// of the model.
    Constant,
    /// An error that said why, at the load or at the run.
    Refused,
    /// A panic of the engine, which the host turned into an error.
    Panicked,
    /// Another answer.
    Wrong,
}

/// Outcomes by the names of the cases.
#[derive(Default)]
pub(crate) struct List {
    outcomes: BTreeMap<String, Outcome>,
}

impl Outcome {
    const ALL: [Outcome; 5] =
        [Outcome::Passed, Outcome::Constant, Outcome::Refused, Outcome::Panicked, Outcome::Wrong];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Constant => "constant",
            Outcome::Refused => "refused",
            Outcome::Panicked => "panicked",
            Outcome::Wrong => "wrong",
        }
    }
}

impl List {
    /// The list of a backend; empty where there is none yet.
    pub(crate) fn read(backend: &str) -> Self {
        let text = std::fs::read_to_string(path(backend)).unwrap_or_default();
        let line = |line: &str| {
            let (name, outcome) = line.split_once(' ').unwrap();
            let outcome = Outcome::ALL.into_iter().find(|known| known.name() == outcome).unwrap();
            (name.to_owned(), outcome)
        };
        Self { outcomes: text.lines().map(line).collect() }
    }

    pub(crate) fn insert(&mut self, case: String, outcome: Outcome) {
        self.outcomes.insert(case, outcome);
    }

    pub(crate) fn get(&self, case: &str) -> Option<Outcome> {
        self.outcomes.get(case).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// How many pass, as they are or with constants.
    pub(crate) fn passing(&self) -> usize {
        self.with(Outcome::Passed).count() + self.with(Outcome::Constant).count()
    }

    /// The cases with this outcome, in the order of their names.
    pub(crate) fn with(&self, outcome: Outcome) -> impl Iterator<Item = String> {
        self.outcomes.iter().filter(move |(_, of)| **of == outcome).map(|(name, _)| name.clone())
    }

    /// Compares what was found with the backend's list, or puts it there where
    /// lists are to be written.
    ///
    /// # Panics
    /// With all differences.
    pub(crate) fn compare(self, backend: &str) {
        let mut kept = Self::read(backend);
        if writes() {
            kept.outcomes.extend(self.outcomes);
            std::fs::write(path(backend), kept.text()).unwrap();
            return;
        }
        let differences: Vec<String> = self
            .outcomes
            .iter()
            .filter(|(case, outcome)| kept.get(case) != Some(**outcome))
            .map(|(case, outcome)| {
                let listed = kept.get(case).map_or("not listed", Outcome::name);
                format!("{case} {}, was {listed}", outcome.name())
            })
            .collect();
        assert!(
            differences.is_empty(),
            "{backend} does otherwise than {} says: {differences:#?}",
            path(backend).display()
        );
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (case, outcome) in &self.outcomes {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{case} {}", outcome.name());
        }
        text
    }
}

/// Whether lists and page are to be written, not compared.
pub(crate) fn writes() -> bool {
    std::env::var_os("SAMARA_WRITE_LISTS").is_some()
}

fn path(backend: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/nodes").join(format!("{backend}.txt"))
}
