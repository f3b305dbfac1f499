//! BYTES tensors for people: text as text, other bytes as what they are.

use samara_nn::Tensor;

use super::Body;

/// Elements that are shown.
const SHOWN: usize = 20;
/// Characters of one element that are shown.
const LONGEST: usize = 2000;

pub(crate) fn strings(tensor: &Tensor) -> Body {
    let elements = tensor.byte_strings().unwrap_or_default();
    match elements.as_slice() {
        [] => Body::Inline("no elements".to_owned()),
        [one] => {
            let text = element(one);
            match text.contains('\n') {
                true => Body::Lines(text.lines().map(str::to_owned).collect()),
                false => Body::Inline(text),
            }
        }
        several => {
            let mut lines: Vec<String> =
                several.iter().take(SHOWN).map(|one| element(one).replace('\n', "\\n")).collect();
            if several.len() > SHOWN {
                lines.push(format!("… and {} more", several.len() - SHOWN));
            }
            Body::Lines(lines)
        }
    }
}

/// Text with control characters written out, so that no output can steer a
/// terminal. Lines and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars()
        .flat_map(|c| {
            let escaped = (!plain(c)).then(|| c.escape_default());
            let kept = plain(c).then_some(c);
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}

fn element(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("{} bytes, not text", bytes.len());
    };
    let shown: String = text.chars().take(LONGEST).collect();
    let left = text.chars().count().saturating_sub(LONGEST);
    let rest = if left > 0 { format!("… and {left} more characters") } else { String::new() };
    format!("{}{rest}", printable(&shown))
}
