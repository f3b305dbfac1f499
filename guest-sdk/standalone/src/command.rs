//! The component as a command: requests on standard input, answers on standard output.

use std::io::{self, BufReader, Write};

use crate::contract::Error;
use crate::json::{self, Request};
use crate::{embedded, loaded, tensor};

/// Runs the command.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn run() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => answer_all(),
        ["--describe"] => {
            let embedded = embedded()?;
            print(&json::metadata(&embedded.name, &embedded.signature))
        }
        ["--help" | "-h"] => print(&help()?),
        _ => Err(format!("arguments are `--describe` or `--help`, not `{}`", arguments.join(" "))),
    }
}

fn help() -> Result<String, String> {
    let embedded = embedded()?;
    let specs = |specs: &[_]| specs.iter().map(tensor::describe).collect::<Vec<_>>().join("\n  ");
    Ok(format!(
        "The model `{}`. Takes requests of the Open Inference Protocol on standard input,\n\
         one JSON text after another, and prints one line of JSON for each:\n\n  \
         {{\"inputs\": [{{\"name\": ..., \"shape\": [...], \"datatype\": ..., \"data\": [...]}}]}}\n\n\
         Inputs:\n  {}\nOutputs:\n  {}\n\n\
         --describe  prints these as JSON",
        embedded.name,
        specs(&embedded.signature.inputs),
        specs(&embedded.signature.outputs)
    ))
}

fn answer_all() -> Result<(), String> {
    let name = &embedded()?.name;
    let input = BufReader::new(io::stdin().lock());
    let mut answered = 0u64;
    for request in serde_json::Deserializer::from_reader(input).into_iter::<Request>() {
        let place = |reason: String| format!("request {}: {reason}", answered + 1);
        let mut request = request.map_err(|error| place(format!("no request of the protocol: {error}")))?;
        let inputs = request.take_inputs().map_err(place)?;
        let failed = |error: Error| place(error.message);
        let outputs = loaded().and_then(|model| model.infer(inputs)).map_err(failed)?;
        print(&request.answer(name, &outputs).map_err(place)?)?;
        answered += 1;
    }
    if answered == 0 {
        return Err("no request came on standard input; `--help` shows what one looks like".to_owned());
    }
    Ok(())
}

fn print(line: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    let printed = writeln!(output, "{line}").and_then(|()| output.flush());
    printed.map_err(|error| format!("the answer cannot be written: {error}"))
}
