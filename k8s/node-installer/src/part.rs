//! The part of a file that is ours: what stands between two comments at its end.

use std::path::Path;

use anyhow::{Result, bail};

const BEGIN: &str = "# samara-node-installer: begin";
const WHOLE: &str = ", `samara-node-installer uninstall` removes this part";
/// The line before ours had no end, and gets none when ours is removed.
const JOINED: &str = " after an open line, `samara-node-installer uninstall` removes this part";
const END: &str = "# samara-node-installer: end";

/// The text with ours after it.
pub(crate) fn with(text: &str, ours: &str) -> String {
    let is_open = !text.is_empty() && !text.ends_with('\n');
    let (before, kind) = if is_open { ("\n", JOINED) } else { ("", WHOLE) };
    format!("{text}{before}{BEGIN}{kind}\n{ours}{END}\n")
}

/// The text without ours, byte for byte as it was.
///
/// # Errors
/// When a part begins and does not end.
pub(crate) fn without(path: &Path, text: &str) -> Result<String> {
    let Some(begin) = line_of(text, BEGIN) else { return Ok(text.to_owned()) };
    let part = &text[begin..];
    let Some(end) = line_of(part, END) else {
        let line = text[..begin].matches('\n').count() + 1;
        bail!(
            "{}: line {line} begins samara's part, and no line `{END}` ends it; write it after the part",
            path.display()
        );
    };
    let after = part[end..].split_once('\n').map_or("", |(_, after)| after);
    let mut before = &text[..begin];
    if after.is_empty() && part.starts_with(&format!("{BEGIN}{JOINED}")) {
        before = before.strip_suffix('\n').unwrap_or(before);
    }
    // A part that is there twice, for whatever reason, goes twice.
    without(path, &format!("{before}{after}"))
}

/// Where the first line is that starts so.
fn line_of(text: &str, start: &str) -> Option<usize> {
    if text.starts_with(start) {
        return Some(0);
    }
    text.find(&format!("\n{start}")).map(|place| place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_comes_and_goes_without_a_trace() {
        for text in ["", "a = 1\n", "a = 1", "a = 1\r\n", "a = 1\n\n\n", "\n", "# begin\n"] {
            let with_ours = with(text, "b = 2\n");
            assert_ne!(with_ours, text);
            assert_eq!(without(Path::new("/file"), &with_ours).unwrap(), text);
            assert_eq!(without(Path::new("/file"), text).unwrap(), text);
        }
    }

    #[test]
    fn what_others_add_after_it_stays() {
        let text = format!("{}c = 3\n", with("a = 1\n", "b = 2\n"));
        assert_eq!(without(Path::new("/file"), &text).unwrap(), "a = 1\nc = 3\n");
        let open = format!("{}c = 3\n", with("a = 1", "b = 2\n"));
        assert_eq!(without(Path::new("/file"), &open).unwrap(), "a = 1\nc = 3\n");
    }

    #[test]
    fn a_part_without_an_end_is_an_error_with_its_line() {
        let text = format!("a = 1\n{BEGIN}\nb = 2\n");
        let error = without(Path::new("/file"), &text).unwrap_err().to_string();
        assert!(error.starts_with("/file: line 2 "), "{error}");
    }
}
