//! How a command ends: the one table from outcomes to exit codes, and how an
//! error looks.

use std::process::ExitCode;

use crate::printer::{Printer, StdoutClosed};

/// How a command came to its end without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// What was checked is not as it should be; all has been said.
    Failed,
    /// A command function's own code.
    Exit(i32),
}

/// The flags do not go together or with what they are used on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub String);

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const USAGE: u8 = 2;

/// Prints the error, if it is one, and gives the exit code.
pub(crate) fn finish(result: anyhow::Result<Outcome>, printer: &Printer) -> ExitCode {
    let code = exit_code(&result);
    if let Err(error) = &result
        && code != SUCCESS
    {
        printer.error(error);
    }
    ExitCode::from(code)
}

fn exit_code(result: &anyhow::Result<Outcome>) -> u8 {
    match result {
        Ok(Outcome::Done) => SUCCESS,
        Ok(Outcome::Failed) => FAILURE,
        // Codes beyond a byte keep their meaning of failure.
        Ok(Outcome::Exit(code)) => u8::try_from(*code).unwrap_or(FAILURE),
        // Whoever read the output has seen enough.
        Err(error) if error.is::<StdoutClosed>() => SUCCESS,
        Err(error) if error.is::<Usage>() => USAGE,
        Err(_) => FAILURE,
    }
}

/// The lines of an error: the message with its causes, and the hints among
/// them, which stand at the end.
pub(crate) fn explain(error: &anyhow::Error) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut hints) = (Vec::<String>::new(), Vec::new());
    for cause in error.chain() {
        let text = cause.to_string();
        let (hint, message): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("hint: "));
        hints.extend(hint.iter().filter_map(|line| line.strip_prefix("hint: ")).map(str::to_owned));
        let message = message.join("\n");
        // A cause that its parent has already quoted adds nothing.
        let repeated = lines.last().is_some_and(|parent| parent.contains(&message));
        if !repeated {
            lines.push(message);
        }
    }
    hints.dedup();
    (lines, hints)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn every_end_has_its_code() {
        assert_eq!(exit_code(&Ok(Outcome::Done)), 0);
        assert_eq!(exit_code(&Ok(Outcome::Failed)), 1);
        assert_eq!(exit_code(&Ok(Outcome::Exit(7))), 7);
        assert_eq!(exit_code(&Ok(Outcome::Exit(-1))), 1);
        assert_eq!(exit_code(&Ok(Outcome::Exit(256))), 1);
        assert_eq!(exit_code(&Err(anyhow!("no"))), 1);
        assert_eq!(exit_code(&Err(Usage("no".to_owned()).into())), 2);
        assert_eq!(exit_code(&Err(StdoutClosed.into())), 0);
    }

    #[test]
    fn hints_come_last_and_causes_are_said_once() {
        let error = anyhow!("disk full\nhint: make room");
        let error = Err::<(), _>(error).context("cannot write: disk full").context("no model").unwrap_err();
        let (lines, hints) = explain(&error);
        assert_eq!(lines, ["no model", "cannot write: disk full"]);
        assert_eq!(hints, ["make room"]);
    }
}
