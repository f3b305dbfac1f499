//! What a container leaves behind whose shim was killed, or became nobody's because
//! containerd was: its processes, its control group, and what the runtime remembers
//! of it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libcontainer::container::Container;

use crate::asked::Asked;

/// Processes that were killed take a moment to go, and so long their control group
/// cannot be removed.
const TRIES: u32 = 40;
const TRIES_TO_END: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// The name of this program.
const PROGRAM: &str = "containerd-shim-samara-v1";

/// Where the shim's library keeps what it knows of containers.
const STATES: &str = "/run/containerd";

/// Ends and removes the container that `asked` names.
pub(crate) fn remove(runtime: &str, asked: &Asked) {
    end_shims(asked);
    let Some(state) = state_of(runtime, asked) else { return };
    let mut outcome = Ok(());
    for _ in 0..TRIES {
        if !state.exists() {
            return;
        }
        outcome = remove_state(&state);
        if outcome.is_ok() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    if let Err(error) = outcome {
        let _ = writeln!(std::io::stderr(), "warning: `{}` is left: {error}", state.display());
    }
}

/// Ends what serves the container, and what was to start it: containerd asks for a
/// removal where it has no connection to them, nor will have one. A shim that was told
/// to end is left the time to do so.
fn end_shims(asked: &Asked) {
    for _ in 0..TRIES_TO_END {
        if shims(asked).is_empty() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    for pid in shims(asked) {
        // SAFETY: a signal; should the process have ended meanwhile, it goes nowhere.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    // containerd asks in the container's folder.
    let socket = fs::read_to_string("address").unwrap_or_default();
    if let Some(socket) = socket.trim().strip_prefix("unix://") {
        let _ = fs::remove_file(socket);
    }
}

/// The processes of the shim that is for the container which `asked` names.
fn shims(asked: &Asked) -> Vec<libc::pid_t> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_shim = |pid: &libc::pid_t| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = line.split(|&byte| byte == 0).filter(|word| !word.is_empty());
        let mut words = words.map(|word| String::from_utf8_lossy(word).into_owned());
        words.next().is_some_and(|program| program.ends_with(PROGRAM)) && is_shim_of(&words.collect(), asked)
    };
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_shim).collect()
}

/// Whether a command line is that of a shim which is for the container that `asked`
/// names, and for no other.
fn is_shim_of(line: &Asked, asked: &Asked) -> bool {
    let said =
        |asked: &Asked| Some((asked.namespace()?.to_owned(), asked.address()?, asked.id()?.to_owned()));
    line.action() != Some("delete") && said(line).is_some_and(|line| said(asked) == Some(line))
}

fn remove_state(state: &Path) -> anyhow::Result<()> {
    Container::load(state.to_owned())?.delete(true)?;
    Ok(())
}

/// The folder of what is known of a container.
fn state_of(runtime: &str, asked: &Asked) -> Option<PathBuf> {
    Some(Path::new(STATES).join(runtime).join(asked.namespace()?).join(asked.id()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asked::asked;

    #[test]
    fn only_the_container_s_own_shims_are_ended() {
        let words = |line: &str| asked(&line.split(' ').collect::<Vec<_>>());
        let removal = words("-namespace n -address /c.sock -id c -bundle /b delete");
        let of = |line: &str| is_shim_of(&words(line), &removal);
        assert!(of("-namespace n -id c -address /c.sock"));
        assert!(of("-namespace n -address /c.sock -publish-binary /p -id c start"));
        for other in [
            "-namespace n -id pod -address /c.sock",
            "-namespace n -id c -address /other.sock",
            "-namespace other -id c -address /c.sock",
            "-namespace n -address /c.sock -id c -bundle /b delete",
        ] {
            assert!(!of(other), "{other}");
        }
        assert!(!is_shim_of(&words(""), &words("delete")));
    }

    #[test]
    fn only_names_lead_to_a_folder() {
        let state = |id: &str| {
            state_of(
                "samara",
                &asked(&["-namespace", "k8s.io", "-address", "/run/c.sock", "-id", id, "delete"]),
            )
        };
        assert_eq!(state("abc"), Some("/run/containerd/samara/k8s.io/abc".into()));
        assert_eq!(state("../abc"), None);
        assert_eq!(state_of("samara", &asked(&["delete"])), None);
    }
}
