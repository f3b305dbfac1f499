//! What a container leaves behind whose shim was killed: its processes, its
//! control group, and what the runtime remembers of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libcontainer::container::Container;

use crate::asked::Asked;

/// Processes that were killed take a moment to go, and so long their control group
/// cannot be removed.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Where the shim's library keeps what it knows of containers.
const STATES: &str = "/run/containerd";

/// Ends and removes the container that `asked` names.
pub(crate) fn remove(runtime: &str, asked: &Asked) {
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
