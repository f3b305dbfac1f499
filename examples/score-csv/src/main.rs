//! A command: reads flowers from a CSV file, asks the model `iris` for their
//! species, and writes the file again with the answers as two more columns.

mod score;

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: score-csv IN.csv [OUT.csv]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [source] => run(source, "stdout", || Ok(Box::new(io::stdout().lock()))),
        [source, target] => run(source, target, || Ok(Box::new(File::create(target)?))),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(rows) => {
            eprintln!("scored {rows} rows");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Scores `source`. The target is opened only after the source and the model
/// turned out to be there, so that a mistake does not empty it.
fn run(
    source: &str,
    target: &str,
    open: impl FnOnce() -> io::Result<Box<dyn Write>>,
) -> Result<usize, String> {
    let file = File::open(source).map_err(|error| cannot("read", source, &error))?;
    let model = samara_sdk::model("iris").map_err(|error| error.to_string())?;
    let rows = score::Rows::new(file).map_err(|error| format!("`{source}`: {error}"))?;
    let output = open().map_err(|error| cannot("write", target, &error))?;
    score::score(rows, output, &model).map_err(|error| match error {
        score::Error::Write(error) => cannot("write", target, &error),
        score::Error::Model(error) => error.to_string(),
        score::Error::Source(error) => format!("`{source}`: {error}"),
    })
}

fn cannot(act: &str, path: &str, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            ": a function sees only the directories it is granted, under the paths that \
             samara.toml gives them"
        }
        io::ErrorKind::PermissionDenied => ": grant its directory with `writable = true` to write there",
        _ => "",
    };
    format!("cannot {act} `{path}` ({error}){hint}")
}
