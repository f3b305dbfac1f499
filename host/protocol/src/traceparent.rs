//! The W3C trace context of a request: the header `traceparent`, see
//! <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::fmt;

/// The caller's place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace's id; never 0.
    pub trace: u128,
    /// The id of the caller's span; never 0.
    pub span: u64,
    /// Whether the caller's own spans are kept.
    pub is_sampled: bool,
}

impl Traceparent {
    /// Reads the header; `None` for one that is to be ignored.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = u128::from_str_radix(hex(parts.next()?, 32)?, 16).ok()?;
        let span = u64::from_str_radix(hex(parts.next()?, 16)?, 16).ok()?;
        let flags = u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?;
        // Later versions may have more parts; this one may not.
        let has_more = parts.next().is_some();
        if version == "ff" || (version == "00" && has_more) || trace == 0 || span == 0 {
            return None;
        }
        Some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// The text, if it is that many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written() {
        let read = Traceparent::parse(SAMPLED).unwrap();
        assert!(read.is_sampled);
        assert_eq!(read.to_string(), SAMPLED);
        let unsampled = SAMPLED.replace("-01", "-00");
        assert_eq!(Traceparent::parse(&unsampled).unwrap().to_string(), unsampled);
        assert!(Traceparent::parse(&format!("{}-more", SAMPLED.replace("00-4b", "cc-4b"))).is_some());
    }

    #[test]
    fn what_is_no_context_is_ignored() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Traceparent::parse(wrong), None, "{wrong}");
        }
    }
}
