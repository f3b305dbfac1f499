//! Programs of Debian that tests hold samara against.

use std::path::PathBuf;
use std::process::Command;

use crate::tools::{environment, must_have_everything, present};

/// A program of Debian 13, in `$SAMARA_TRIXIE` or `~/.cache/samara/trixie`,
/// run with its own C library. `None` says that the test is to be skipped, for
/// a reason that is printed.
///
/// # Panics
/// When it is not there and [`must_have_everything`](crate::must_have_everything).
pub fn trixie(program: &str) -> Option<Command> {
    let program = trixie_path(program)?;
    let libraries = root("SAMARA_TRIXIE", "trixie")?.join("usr/lib/x86_64-linux-gnu");
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
    let advice = "`tests/fixtures/debian.sh` unpacks it, `SAMARA_TRIXIE` names another place";
    present(root("SAMARA_TRIXIE", "trixie")?.join("usr/bin").join(program), program, advice)
}

/// Where a program of containerd 2 lies: that of the Debian in the making, in
/// `$SAMARA_SID` or `~/.cache/samara/sid`, whose versions come and go. `None` as
/// for [`trixie`].
///
/// # Panics
/// As [`trixie`].
pub fn containerd_2(program: &str) -> Option<PathBuf> {
    let folder = root("SAMARA_SID", "sid")?.join("usr/bin");
    let advice = "`tests/fixtures/debian.sh` unpacks it, `SAMARA_SID` names another place";
    let containerd = present(folder.join("containerd"), "containerd 2", advice)?;
    let said = Command::new(&containerd).arg("--version").output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    if !said.split_whitespace().any(|word| word.starts_with("2.")) {
        let reason = format!("{} does not run here, or is no containerd 2: {said}", containerd.display());
        assert!(!must_have_everything(), "{reason}");
        eprintln!("skipped: {reason}");
        return None;
    }
    present(folder.join(program), program, advice)
}

/// Where the packages of a suite are unpacked.
fn root(variable: &str, suite: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from);
    set.or_else(|| Some(environment()?.with_file_name(suite)))
}
