//! A command: trains a classifier of digits with the settings that its arguments
//! name, and prints how good it is.

mod data;
mod train;

use std::process::ExitCode;
use std::str::FromStr;

use train::{Settings, train};

const USAGE: &str = "usage: tune-digits [--learning-rate=0.1] [--l2=0] [--epochs=20] [--seed=1]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let settings = settings(arguments)?;
    let (training, judging) = data::load()?;
    let quality = train(&training, settings).judge(&judging);
    if !quality.loss.is_finite() {
        return Err(format!("training with {settings:?} ran out of all bounds"));
    }
    // The last line is the result, for whoever searches.
    println!("{{\"accuracy\":{:.4},\"loss\":{:.4}}}", quality.accuracy, quality.loss);
    Ok(())
}

fn settings(arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut settings = Settings { learning_rate: 0.1, l2: 0.0, epochs: 20, seed: 1 };
    for argument in arguments {
        match argument.split_once('=') {
            Some(("--learning-rate", value)) => settings.learning_rate = number(&argument, value)?,
            Some(("--l2", value)) => settings.l2 = number(&argument, value)?,
            Some(("--epochs", value)) => settings.epochs = number(&argument, value)?,
            Some(("--seed", value)) => settings.seed = number(&argument, value)?,
            _ => return Err(format!("unknown argument `{argument}`\n{USAGE}")),
        }
    }
    // A number that is none fails here too.
    let sound = settings.learning_rate > 0.0 && settings.l2 >= 0.0 && settings.epochs > 0;
    match sound {
        true => Ok(settings),
        false => Err("the learning rate and the epochs are above 0, and l2 is not below".to_owned()),
    }
}

fn number<T: FromStr>(argument: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{argument}` is no such number\n{USAGE}"))
}
