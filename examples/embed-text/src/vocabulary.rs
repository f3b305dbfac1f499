//! Word pieces and the tokens that they are.

include!(concat!(env!("OUT_DIR"), "/words.rs"));

/// The pieces of words that a model knows. Those that do not begin a word begin with `##`.
#[derive(Clone, Copy)]
pub struct Vocabulary {
    /// Sorted by their bytes.
    words: &'static [(&'static str, u16)],
}

/// The vocabulary that this component was built with.
pub fn built_in() -> Vocabulary {
    Vocabulary { words: &WORDS }
}

impl Vocabulary {
    /// Returns the token of a piece.
    pub fn token(&self, piece: &str) -> Option<i64> {
        let found = self.words.binary_search_by_key(&piece, |&(word, _)| word).ok()?;
        Some(i64::from(self.words[found].1))
    }
}
