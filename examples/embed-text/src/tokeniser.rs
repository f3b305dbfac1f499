//! Text becomes tokens the way BERT's uncased models were trained: cleaned, without
//! accents, in lower case, parted at blanks and punctuation, and each word into the
//! longest pieces that the vocabulary has.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::vocabulary::Vocabulary;

/// Tokens of a text at most, its two marks included: what the model was trained with.
pub const LONGEST: usize = 256;
/// A longer word is an unknown one, in characters.
const LONGEST_WORD: usize = 100;
const BEGIN: i64 = 101;
const END: i64 = 102;
const UNKNOWN: i64 = 100;

/// Turns texts into tokens of a vocabulary.
pub struct Tokeniser {
    vocabulary: Vocabulary,
}

impl Tokeniser {
    /// A tokeniser of the vocabulary.
    pub fn new(vocabulary: Vocabulary) -> Tokeniser {
        Tokeniser { vocabulary }
    }

    /// Returns the tokens of a text between the two marks; what exceeds [`LONGEST`] is cut off.
    ///
    /// Marks that are spelled out in the text, such as `[SEP]`, are words like others.
    pub fn tokens(&self, text: &str) -> Vec<i64> {
        let mut tokens = vec![BEGIN];
        for word in Words::of(normal(text)) {
            self.append_word(&word, &mut tokens);
            if tokens.len() >= LONGEST - 1 {
                break;
            }
        }
        tokens.truncate(LONGEST - 1);
        tokens.push(END);
        tokens
    }

    /// Appends the pieces of a word, or that it is unknown as a whole.
    fn append_word(&self, word: &str, tokens: &mut Vec<i64>) {
        let is_short = word.chars().count() <= LONGEST_WORD;
        match is_short.then(|| self.pieces(word)).flatten() {
            Some(pieces) => tokens.extend(pieces),
            None => tokens.push(UNKNOWN),
        }
    }

    /// Cuts off the longest piece that the vocabulary has, and again from what is left.
    fn pieces(&self, word: &str) -> Option<Vec<i64>> {
        let mut pieces = Vec::new();
        let mut begin = 0;
        while begin < word.len() {
            let mark = if begin == 0 { "" } else { "##" };
            let rest = format!("{mark}{}", &word[begin..]);
            let (token, end) = self.longest_piece(&rest, mark.len())?;
            pieces.push(token);
            begin += end - mark.len();
        }
        Some(pieces)
    }

    /// The token of the longest piece that the text begins with, and where the piece ends.
    fn longest_piece(&self, text: &str, mark: usize) -> Option<(i64, usize)> {
        let ends = text[mark..].char_indices().map(|(at, char)| mark + at + char.len_utf8());
        ends.rev().find_map(|end| Some((self.vocabulary.token(&text[..end])?, end)))
    }
}

/// Words and punctuation, each character of the latter by itself.
struct Words<I: Iterator<Item = char>> {
    characters: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = char>> Words<I> {
    fn of(characters: I) -> Words<I> {
        Words { characters: characters.peekable() }
    }
}

impl<I: Iterator<Item = char>> Iterator for Words<I> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while self.characters.next_if(|char| char.is_whitespace()).is_some() {}
        let first = self.characters.next()?;
        let mut word = String::from(first);
        if !is_punctuation(first) {
            let continues = |char: &char| !char.is_whitespace() && !is_punctuation(*char);
            while let Some(char) = self.characters.next_if(continues) {
                word.push(char);
            }
        }
        Some(word)
    }
}

/// The text cleaned, without accents and in lower case, with blanks around each ideograph.
fn normal(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter_map(clean)
        .flat_map(parted)
        .nfd()
        .filter(|&char| char.is_ascii() || char.general_category() != GeneralCategory::NonspacingMark)
        .flat_map(char::to_lowercase)
}

/// A blank for every kind of blank, nothing for what nobody sees.
fn clean(char: char) -> Option<char> {
    match char {
        ' '..='~' => Some(char),
        '\t' | '\n' | '\r' => Some(' '),
        char::REPLACEMENT_CHARACTER => None,
        _ if is_control(char) => None,
        _ if char.is_whitespace() => Some(' '),
        _ => Some(char),
    }
}

/// Other blanks of ASCII are controls too, and characters that Unicode has not named are none.
fn is_control(char: char) -> bool {
    char.general_category_group() == GeneralCategoryGroup::Other
        && char.general_category() != GeneralCategory::Unassigned
}

fn parted(char: char) -> impl Iterator<Item = char> {
    let around = is_ideograph(char).then_some(' ');
    around.into_iter().chain([char]).chain(around)
}

/// Chinese characters, which are written without blanks: each is a word.
fn is_ideograph(char: char) -> bool {
    matches!(char,
        '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2CEAF}'
        | '\u{2F800}'..='\u{2FA1F}')
}

/// All that ASCII has beside letters, digits and blanks, and what Unicode calls punctuation.
fn is_punctuation(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_punctuation();
    }
    char.general_category_group() == GeneralCategoryGroup::Punctuation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::built_in;

    /// The tokens between the marks, by the words that they stand for.
    fn tokens(text: &str) -> Vec<i64> {
        let tokens = Tokeniser::new(built_in()).tokens(text);
        assert_eq!((tokens[0], tokens[tokens.len() - 1]), (BEGIN, END));
        tokens[1..tokens.len() - 1].to_vec()
    }

    fn pieces(words: &[&str]) -> Vec<i64> {
        words.iter().map(|word| built_in().token(word).unwrap()).collect()
    }

    #[test]
    fn words_part_at_blanks_and_punctuation() {
        let expected = pieces(&["hello", ",", "world", "!", "!"]);
        assert_eq!(tokens("Hello,\tworld!!"), expected);
        assert_eq!(tokens("  hello\u{3000},world ! !\r\n"), expected);
        assert_eq!(tokens("what¿that"), pieces(&["what", "¿", "that"]));
        assert_eq!(tokens("a+b"), pieces(&["a", "+", "b"]));
    }

    #[test]
    fn a_word_becomes_its_longest_pieces() {
        assert_eq!(tokens("embeddings"), pieces(&["em", "##bed", "##ding", "##s"]));
        assert_eq!(tokens("unaffable"), pieces(&["una", "##ffa", "##ble"]));
    }

    #[test]
    fn accents_and_case_make_no_difference() {
        assert_eq!(tokens("NAÏVE Café"), tokens("naive cafe"));
        assert_eq!(tokens("cafe\u{301}"), tokens("café"));
    }

    #[test]
    fn ideographs_are_words_of_their_own() {
        assert_eq!(tokens("a中文b"), pieces(&["a", "中", "文", "b"]));
    }

    #[test]
    fn what_nobody_sees_is_not_there() {
        assert_eq!(tokens("he\u{0}l\u{200B}l\u{AD}o\u{FFFD}"), pieces(&["hello"]));
        assert!(tokens("").is_empty());
        assert!(tokens(" \u{0}\u{200D} ").is_empty());
    }

    #[test]
    fn what_the_vocabulary_lacks_is_one_unknown_word() {
        assert_eq!(tokens("🤗 a🤗"), [UNKNOWN, UNKNOWN]);
        assert_eq!(tokens(&"a".repeat(LONGEST_WORD + 1)), [UNKNOWN]);
        assert_ne!(tokens(&"a".repeat(LONGEST_WORD)), [UNKNOWN]);
    }

    #[test]
    fn marks_in_a_text_are_words() {
        assert_eq!(tokens("[SEP]"), pieces(&["[", "sep", "]"]));
        assert_eq!(tokens("##s"), pieces(&["#", "#", "s"]));
    }

    #[test]
    fn a_long_text_is_cut_off() {
        for text in ["word ".repeat(1_000_000), "embeddings ".repeat(100)] {
            let tokens = Tokeniser::new(built_in()).tokens(&text);
            assert_eq!(tokens.len(), LONGEST);
            assert_eq!(tokens[LONGEST - 1], END);
        }
    }
}
