//! How a container says what failed: in its log, and in the termination message,
//! which `kubectl describe pod` shows.

use std::io::Write;
use std::path::Path;

use anyhow::Error;
use samara_engine::ErrorKind;

use crate::settings::WrongSetting;

/// Where Kubernetes reads the last words of a container from.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// What Kubernetes keeps of them, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// How a pod allows what the command line allows with flags.
const ALLOW_HINT: &str = "\nhint: a pod allows hosts by the variable `SAMARA_ALLOW_HTTP=HOST,HOST`";

/// The image, or what it needs, cannot be used.
const FAILED: i32 = 1;
/// A setting makes no sense.
const WRONG_SETTING: i32 = 2;

/// Tells of the error that ends this container, and gives its exit code.
pub(crate) fn end(error: &Error) -> i32 {
    let message = message(error);
    let _ = writeln!(std::io::stderr(), "error: {message}");
    tell(Path::new(TERMINATION_LOG), &message);
    if error.is::<WrongSetting>() { WRONG_SETTING } else { FAILED }
}

/// Leaves a message for the case that the container is killed.
pub(crate) fn expect(message: &str) {
    tell(Path::new(TERMINATION_LOG), message);
}

/// Takes back what was expected: the container ends as it should.
pub(crate) fn end_well() -> i32 {
    tell(Path::new(TERMINATION_LOG), "");
    0
}

/// The error with its causes, each said once, and what to do about it.
pub(crate) fn message(error: &Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.contains(&cause) {
            continue;
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&cause);
    }
    if is_denied(error) {
        message.push_str(ALLOW_HINT);
    }
    message
}

fn is_denied(error: &Error) -> bool {
    let engine = error.chain().find_map(|cause| cause.downcast_ref::<samara_engine::Error>());
    engine.is_some_and(|error| error.kind() == ErrorKind::Denied)
}

/// Kubernetes mounts the file; elsewhere there is none, and none is made.
fn tell(file: &Path, message: &str) {
    let Ok(mut file) = std::fs::OpenOptions::new().write(true).truncate(true).open(file) else { return };
    let end = message.floor_char_boundary(LONGEST_MESSAGE);
    // The log has it too.
    let _ = file.write_all(&message.as_bytes()[..end]);
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn causes_are_said_once() {
        let error = Err::<(), _>(anyhow::anyhow!("no such file")).context("cannot read `a`: no such file");
        assert_eq!(message(&error.unwrap_err()), "cannot read `a`: no such file");
    }

    #[test]
    fn the_message_is_left_only_where_a_file_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        tell(&file, "gone");
        assert!(!file.exists());
        std::fs::write(&file, "something longer than the message").unwrap();
        tell(&file, "model missing");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "model missing");
        tell(&file, &"ü".repeat(4000));
        assert_eq!(std::fs::read(&file).unwrap().len(), LONGEST_MESSAGE);
    }
}
