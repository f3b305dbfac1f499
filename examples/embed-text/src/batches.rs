//! Texts of about one length run together: little of a batch is padding.

/// Tokens of a batch, its padding included: what the model's states of it take is
/// bounded, however many texts a call has.
const MAX_TOKENS: usize = 8192;

/// Texts that one run of the model embeds.
pub struct Batch {
    /// The places of the texts in the call.
    pub rows: Vec<usize>,
    /// Tokens of each, padding included.
    pub length: usize,
    /// By text, as long as the longest of them.
    pub tokens: Vec<i64>,
    /// 1 for a token, 0 for padding.
    pub mask: Vec<i64>,
}

impl Batch {
    /// How many tokens each text has without its padding.
    pub fn counts(&self) -> impl Iterator<Item = usize> {
        self.mask.chunks_exact(self.length).map(|mask| mask.iter().filter(|&&is_token| is_token == 1).count())
    }
}

/// Parts texts, each of one token at least, into batches, the longest first.
pub fn of(texts: &[Vec<i64>]) -> impl Iterator<Item = Batch> {
    let mut rows: Vec<usize> = (0..texts.len()).collect();
    rows.sort_by_key(|&row| std::cmp::Reverse(texts[row].len()));
    std::iter::from_fn(move || {
        let length = texts[*rows.first()?].len();
        let later = rows.split_off(rows.len().min((MAX_TOKENS / length).max(1)));
        Some(padded(texts, std::mem::replace(&mut rows, later), length))
    })
}

fn padded(texts: &[Vec<i64>], rows: Vec<usize>, length: usize) -> Batch {
    let mut tokens = Vec::with_capacity(rows.len() * length);
    let mut mask = Vec::with_capacity(rows.len() * length);
    for (end, &row) in (1..).zip(&rows) {
        tokens.extend_from_slice(&texts[row]);
        mask.resize(tokens.len(), 1);
        tokens.resize(end * length, 0);
        mask.resize(end * length, 0);
    }
    Batch { rows, length, tokens, mask }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_padded_to_its_longest_text() {
        let batches: Vec<Batch> = of(&[vec![1], vec![2, 3, 4], vec![5, 6]]).collect();
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].rows, [1, 2, 0]);
        assert_eq!(batches[0].tokens, [2, 3, 4, 5, 6, 0, 1, 0, 0]);
        assert_eq!(batches[0].mask, [1, 1, 1, 1, 1, 0, 1, 0, 0]);
        assert_eq!(batches[0].counts().collect::<Vec<_>>(), [3, 2, 1]);
    }

    #[test]
    fn batches_are_bounded_and_hold_every_text_once() {
        let texts: Vec<Vec<i64>> = (0..300).map(|row| vec![7; row % 256 + 1]).collect();
        let mut rows = Vec::new();
        for batch in of(&texts) {
            assert!(batch.tokens.len() <= MAX_TOKENS, "{}", batch.tokens.len());
            rows.extend(batch.rows);
        }
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..300));
    }
}
