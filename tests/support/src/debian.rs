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
    let program = trixie_path(program)?;
    let libraries = root()?.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(libraries).arg(program);
    Some(command)
}

/// Where a program of Debian 13 lies, for those that an older C library will do
/// for. `None` as for [`trixie`].
///
/// # Panics
/// As [`trixie`].
pub fn trixie_path(program: &str) -> Option<PathBuf> {
    let advice = "`tests/fixtures/trixie.sh` unpacks it, `SAMARA_TRIXIE` names another place";
    present(root()?.join("usr/bin").join(program), program, advice)
}

fn root() -> Option<PathBuf> {
    let set = std::env::var_os("SAMARA_TRIXIE").map(PathBuf::from);
    set.or_else(|| Some(environment()?.with_file_name("trixie")))
}
