//! The end of what somebody says, however much that is.

use std::collections::VecDeque;

/// The last bytes of a stream.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    most: usize,
}

impl Tail {
    /// Keeps at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: VecDeque::new(), most }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend(&bytes[bytes.len().saturating_sub(self.most)..]);
        let surplus = self.bytes.len().saturating_sub(self.most);
        self.bytes.drain(..surplus);
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What is kept, as text.
    pub(crate) fn text(&self) -> String {
        let (begin, end) = self.bytes.as_slices();
        String::from_utf8_lossy(&[begin, end].concat()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::new(4);
        tail.take(b"abc");
        tail.take(b"de");
        assert_eq!(tail.text(), "bcde");
        tail.take(b"0123456789");
        assert_eq!(tail.text(), "6789");
        tail.clear();
        assert_eq!(tail.text(), "");
    }
}
