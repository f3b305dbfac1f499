//! Names out of model files, as messages show them.

/// A name out of a model file, fit for a message: bounded, no control characters.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", short(name))
}

pub(crate) fn short(name: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
