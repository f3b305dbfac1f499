//! Text from elsewhere, made fit for a message.

/// Characters of a foreign text that are shown.
const LONGEST: usize = 300;

/// Foreign text as one line of bounded length, which steers no terminal and
/// is read as it is written.
pub fn tame(text: &str) -> String {
    cut(text, LONGEST)
}

/// The same of at most `longest` characters.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    let mut tamed = String::new();
    let mut characters = text.trim().chars();
    for c in characters.by_ref().take(longest) {
        if c.is_whitespace() {
            tamed.push(' ');
        } else if c.is_control() || is_invisible(c) {
            tamed.extend(c.escape_unicode());
        } else {
            tamed.push(c);
        }
    }
    if characters.next().is_some() {
        tamed.push('…');
    }
    tamed
}

/// Characters that reorder or hide the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(tame("a\u{1b}[31mb\r\nc\u{202e}d\0 "), "a\\u{1b}[31mb  c\\u{202e}d\\u{0}");
        assert_eq!(tame("Ärger, 数字: `x`"), "Ärger, 数字: `x`");
        assert_eq!(tame(&"x".repeat(10_000)).chars().count(), LONGEST + 1);
        assert_eq!((cut("äöü", 2), cut("äö", 2)), ("äö…".to_owned(), "äö".to_owned()));
    }
}
