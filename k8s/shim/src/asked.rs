//! What containerd asks of this program on its command line: `-namespace NAME
//! -address SOCKET -id CONTAINER start`.

use std::path::PathBuf;

/// The words after the program's name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked(Vec<String>);

impl Asked {
    pub(crate) fn of_this_program() -> Self {
        std::env::args().skip(1).collect()
    }

    /// What is to be done: the last word.
    pub(crate) fn action(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// containerd's namespace, if it is a name.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.value("namespace").filter(|name| is_name(name))
    }

    /// The container's name, if it is one.
    pub(crate) fn id(&self) -> Option<&str> {
        self.value("id").filter(|id| is_name(id))
    }

    /// Where containerd listens.
    pub(crate) fn address(&self) -> Option<PathBuf> {
        self.value("address").map(|address| address.trim_start_matches("unix://").into())
    }

    /// What follows a flag, as containerd writes it: `-id ID`.
    fn value(&self, flag: &str) -> Option<&str> {
        let is_flag = |word: &String| word.trim_start_matches('-') == flag && word.starts_with('-');
        let place = self.0.iter().position(is_flag)?;
        self.0.get(place + 1).map(String::as_str)
    }
}

/// Both are names in containerd, never paths.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

impl FromIterator<String> for Asked {
    fn from_iter<T: IntoIterator<Item = String>>(words: T) -> Self {
        Self(words.into_iter().collect())
    }
}

#[cfg(test)]
pub(crate) fn asked(words: &[&str]) -> Asked {
    Asked(words.iter().map(|word| (*word).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_values() {
        let asked = asked(&["-namespace", "k8s.io", "--address", "/run/c.sock", "-id", "abc", "delete"]);
        assert_eq!(asked.action(), Some("delete"));
        assert_eq!((asked.namespace(), asked.id()), (Some("k8s.io"), Some("abc")));
        assert_eq!(asked.address(), Some("/run/c.sock".into()));
    }

    #[test]
    fn names_are_no_paths() {
        for id in ["../abc", "..", ".", ""] {
            assert_eq!(asked(&["-id", id]).id(), None);
        }
        assert_eq!(asked(&["-id"]).id(), None);
    }
}
