//! What a container leaves behind whose shim was killed, or became nobody's because
//! containerd was: its processes, its control group, and what the runtime remembers
//! of it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libcontainer::container::Container;

/// Processes that were killed take a moment to go, and so long their control group
/// cannot be removed.
const TRIES: u32 = 40;
const TRIES_TO_END: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// The name of this program.
const PROGRAM: &str = "containerd-shim-samara-v1";

/// Where the shim's library keeps what it knows of containers.
const STATES: &str = "/run/containerd";

/// Ends and removes the container that `asked`, the arguments of the program,
/// names.
pub(crate) fn remove(runtime: &str, asked: &[String]) {
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
fn end_shims(asked: &[String]) {
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
fn shims(asked: &[String]) -> Vec<libc::pid_t> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_shim = |pid: &libc::pid_t| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = line.split(|&byte| byte == 0).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        is_shim_of(&words, asked)
    };
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_shim).collect()
}

/// Whether a command line is that of a shim which is for the container that `asked`
/// names, and for no other.
fn is_shim_of(line: &[String], asked: &[String]) -> bool {
    let is_shim = line.first().is_some_and(|program| program.ends_with(PROGRAM));
    let is_removal = line.last().is_some_and(|word| word == "delete");
    let same = |flag: &str| value(asked, flag).is_some_and(|asked| value(line, flag) == Some(asked));
    is_shim && !is_removal && ["namespace", "address", "id"].into_iter().all(same)
}

fn remove_state(state: &Path) -> anyhow::Result<()> {
    Container::load(state.to_owned())?.delete(true)?;
    Ok(())
}

/// The folder of what is known of a container.
fn state_of(runtime: &str, asked: &[String]) -> Option<PathBuf> {
    let (namespace, id) = (value(asked, "namespace")?, value(asked, "id")?);
    // Both are names in containerd, never paths.
    let is_name = |name: &str| !name.is_empty() && !name.contains('/') && name != "..";
    (is_name(namespace) && is_name(id)).then(|| Path::new(STATES).join(runtime).join(namespace).join(id))
}

/// What follows a flag, as containerd writes it: `-id ID`.
fn value<'a>(asked: &'a [String], flag: &str) -> Option<&'a str> {
    let is_flag = |word: &String| word.trim_start_matches('-') == flag && word.starts_with('-');
    let place = asked.iter().position(is_flag)?;
    asked.get(place + 1).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn only_the_container_s_own_shims_are_ended() {
        let asked =
            words("/bin/containerd-shim-samara-v1 -namespace n -address /c.sock -id c -bundle /b delete");
        let of = |line: &str| is_shim_of(&words(line), &asked);
        assert!(of("/bin/containerd-shim-samara-v1 -namespace n -id c -address /c.sock"));
        assert!(of(
            "/bin/containerd-shim-samara-v1 -namespace n -address /c.sock -publish-binary /p -id c start"
        ));
        for other in [
            "/bin/containerd-shim-samara-v1 -namespace n -id pod -address /c.sock",
            "/bin/containerd-shim-samara-v1 -namespace n -id c -address /other.sock",
            "/bin/containerd-shim-samara-v1 -namespace other -id c -address /c.sock",
            "/bin/containerd-shim-runc-v2 -namespace n -id c -address /c.sock",
            "/bin/containerd-shim-samara-v1 -namespace n -address /c.sock -id c -bundle /b delete",
        ] {
            assert!(!of(other), "{other}");
        }
        assert!(!is_shim_of(&words("/bin/containerd-shim-samara-v1"), &words("delete")));
    }

    #[test]
    fn only_names_lead_to_a_folder() {
        let state = |id: &str| {
            let asked = ["-namespace", "k8s.io", "-address", "/run/c.sock", "-id", id, "delete"];
            state_of("samara", &asked.map(str::to_owned))
        };
        assert_eq!(state("abc"), Some("/run/containerd/samara/k8s.io/abc".into()));
        assert_eq!(state("../abc"), None);
        assert_eq!(state(".."), None);
        assert_eq!(state_of("samara", &["delete".to_owned()]), None);
    }
}
