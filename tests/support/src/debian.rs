//! Programs of Debian that tests hold samara against.

use std::path::PathBuf;
use std::process::Command;

use crate::tools::{environment, present};

/// A program of Debian 13, in `$SAMARA_TRIXIE` or `~/.cache/samara/trixie`,
/// run with its own C library. `None` says that the test is to be skipped, for
/// a reason that is printed.
///
/// # Panics
/// When it is not there and [`must_have_everything`](crate::must_have_everything).
pub fn trixie(program: &str) -> Option<Command> {
    let set = std::env::var_os("SAMARA_TRIXIE").map(PathBuf::from);
    let root = set.or_else(|| Some(environment()?.with_file_name("trixie")))?;
    let advice = "`tests/fixtures/trixie.sh` unpacks it, `SAMARA_TRIXIE` names another place";
    let program = present(root.join("usr/bin").join(program), program, advice)?;
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(libraries).arg(program);
    Some(command)
}
