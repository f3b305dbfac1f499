//! The chores of this repository.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the people who work on samara")]

mod conformance;
mod cross;
mod fixtures;
mod guests;
mod shell;
mod test;
mod try_out;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  try       build samara and run the digits example on a real picture
  test      make everything that the tests need, then run all of them
  cross     build samara and its shim for 64-bit ARM, and run the example there
  guests    build the guest programs of the tests and the examples
  fixtures  make the Python environment of the tests, and the files that it writes
  conformance [BACKEND] [--write]
            run ONNX's own test cases on every backend, or one, and print what
            passes, is refused and is wrong; --write keeps that as the page
            host/docs/operators.md, and without it differences are an error
  ten-models  run the models that a new user comes with, and print how they agree with
            their own runtimes
  bench     run the benchmarks, built for release, and print their table";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let rest: Vec<String> = std::env::args().skip(2).collect();
    let done = match command.as_str() {
        "try" => try_out::run(),
        "test" => test::run(&rest),
        "bench" => test::bench(&rest),
        "conformance" => conformance::run(&rest),
        "cross" => cross::build(&rest),
        "guests" => guests::build_all(),
        "fixtures" => fixtures::make(),
        "ten-models" => test::ten_models(),
        "" | "help" | "-h" | "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("error: no chore is called `{other}`\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
