//! Arguments of `samara sweep`.

use std::path::PathBuf;
use std::str::FromStr;

use super::{GrantArgs, PlaceArgs, RegistryArgs};
use crate::input::InputArg;

const SWEEP_HELP: &str = "\
A sweep file:
  function = \".\"                # folder, .wasm, model or image, from the file's folder
  objective = \"accuracy\"        # what makes a row the best, and `goal`: \"max\" or \"min\"
  goal = \"max\"
  [parameters]                  # the grid: every combination is a row
  rate = { from = 0.01, to = 1.0, count = 3, scale = \"log\" }
  kind = [\"a\", \"b\"]
  `[random]` with `count` and `seed` draws points instead, `[[point]]` adds more.

  A command gets `--rate=0.1`, or variables with `pass = \"environment\"`; the last line of its
  standard output that is a JSON object is its result, or the file that `result` names.
  A function of tensors gets its parameters as inputs of one element, and the rest from the
  file that `inputs` names; its outputs of one element are its result.

Exit codes: 0 every row has a result, 1 one has none, 2 wrong usage, 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = SWEEP_HELP)]
pub(crate) struct SweepArgs {
    /// The sweep
    #[arg(default_value = "sweep.toml")]
    pub file: PathBuf,
    /// Rows that run side by side [default: one per core]
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Write the rows into a file too, as its ending says: `.csv` or `.json`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Keep the rows of `--out`, a `.json`, that have a result, and run the others
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Run one row only, and print its line of JSON; `auto`: the row of this pod of an indexed Job
    #[arg(long, value_name = "INDEX|auto", conflicts_with_all = ["jobs", "out", "resume", "collect"])]
    pub index: Option<IndexArg>,
    /// Run nothing: read the rows out of the logs of pods, files or folders of them
    #[arg(long, value_name = "LOG", num_args = 1.., conflicts_with_all = ["jobs", "resume", "inputs"])]
    pub collect: Vec<PathBuf>,
    /// A value for an input that is no parameter, as for `samara run`
    #[arg(short, long = "input", value_name = "[NAME=]VALUE")]
    pub inputs: Vec<InputArg>,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// A value of `--index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexArg {
    Of(usize),
    /// As the pod of an indexed Job is told.
    Auto,
}

impl FromStr for IndexArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Of).map_err(|_| "write a number from 0 up, or `auto`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_number_or_the_pods() {
        assert_eq!("7".parse(), Ok(IndexArg::Of(7)));
        assert_eq!("auto".parse(), Ok(IndexArg::Auto));
        assert!("-1".parse::<IndexArg>().is_err());
    }
}
