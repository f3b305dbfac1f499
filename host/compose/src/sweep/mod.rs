//! Sweeps: what a sweep file says, and a loaded function, become runs with a row
//! each. One point of the file is the same run for whatever program makes it.

mod command;
mod error;
mod row;
mod tensors;

use samara_engine::{CallOptions, Function, Kind};
use samara_nn::NamedTensor;
use samara_package::Sweep;
use samara_package::sweep::{Pass, Point};
use serde_json::{Map, Value};

pub use error::{Error, Result};
pub use row::{Row, best, objective_of};

use tensors::Inputs;

/// The variable in which an indexed Job tells each of its pods its index.
pub const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// The runs of a sweep over a function that is loaded.
#[derive(Debug)]
pub struct Trials {
    function: Function,
    sweep: Sweep,
    how: How,
}

/// How the function is run.
#[derive(Debug)]
enum How {
    Command,
    Tensors(Inputs),
}

impl Trials {
    /// Checks that the sweep fits the function. `given` are the inputs that are
    /// the same in every run.
    ///
    /// # Errors
    /// When a point makes no call of the function, or no result could have the
    /// objective.
    pub fn new(function: Function, sweep: Sweep, given: Vec<NamedTensor>) -> Result<Self> {
        let how = match (function.kind(), function.signature()) {
            (Kind::Command(_), _) => {
                refuse_keys(&function, &[("inputs", sweep.inputs.is_some())])?;
                How::Command
            }
            (_, Some(signature)) => {
                let keys = [
                    ("pass", sweep.pass != Pass::default()),
                    ("arguments", !sweep.arguments.is_empty()),
                    ("result", sweep.result.is_some()),
                ];
                refuse_keys(&function, &keys)?;
                How::Tensors(Inputs::new(function.name(), signature, &sweep, given)?)
            }
            (kind, None) => {
                return Err(Error::Kind { function: function.name().to_owned(), kind: kind.name() });
            }
        };
        Ok(Self { function, sweep, how })
    }

    pub fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// Runs one point. What goes wrong is its row's to tell.
    ///
    /// # Errors
    /// When there is no point of this index.
    pub async fn run(&self, index: usize) -> Result<Row> {
        let point = point(&self.sweep, index)?;
        let outcome = match &self.how {
            How::Command => command::run(&self.function, &self.sweep, point).await,
            How::Tensors(inputs) => self.call(inputs, point).await,
        };
        let outcome = outcome.and_then(|result| row::checked(result, self.sweep.objective.as_ref()));
        Ok(Row::new(index, point.clone(), outcome))
    }

    async fn call(&self, inputs: &Inputs, point: &Point) -> Result<Map<String, Value>, String> {
        let tensors = inputs.of(point)?;
        let options = CallOptions { deadline: self.sweep.timeout, ..CallOptions::default() };
        let outcome = self.function.infer(tensors, options).await.map_err(|error| error.to_string())?;
        tensors::result(&outcome.outputs)
    }
}

/// One point of a sweep.
///
/// # Errors
/// When there is none of this index.
pub fn point(sweep: &Sweep, index: usize) -> Result<&Point> {
    sweep.points.get(index).ok_or(Error::NoPoint { index, count: sweep.points.len() })
}

/// The index that a Job gives its pod, out of what the pod's variable holds.
///
/// # Errors
/// When the variable is not there, or is no number.
pub fn index_of_pod(variable: Option<&str>) -> Result<usize> {
    let text = variable.ok_or(Error::NoIndex)?;
    text.parse().map_err(|_| Error::WrongIndex { text: text.to_owned() })
}

/// Refuses what the file says for another kind of function.
fn refuse_keys(function: &Function, keys: &[(&'static str, bool)]) -> Result<()> {
    match keys.iter().find(|(_, is_there)| *is_there) {
        Some((key, _)) => {
            Err(Error::OtherKind { key, function: function.name().to_owned(), kind: function.kind().name() })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_learns_its_index() {
        assert_eq!(index_of_pod(Some("3")).unwrap(), 3);
        let none = index_of_pod(None).unwrap_err().to_string();
        assert!(none.starts_with("`JOB_COMPLETION_INDEX` is not set\nhint: "), "{none}");
        assert_eq!(
            index_of_pod(Some("-1")).unwrap_err().to_string(),
            "`JOB_COMPLETION_INDEX=-1` is no index"
        );
    }

    #[test]
    fn points_are_counted_from_0() {
        let text = "function = \".\"\n[parameters]\nx = [1, 2]\n";
        let sweep = Sweep::parse(text, std::path::Path::new("sweep.toml")).unwrap();
        assert!(point(&sweep, 1).is_ok());
        assert_eq!(
            point(&sweep, 2).unwrap_err().to_string(),
            "the sweep has no point 2; its 2 points are counted from 0"
        );
    }
}
