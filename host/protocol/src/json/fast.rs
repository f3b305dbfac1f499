//! The usual case: evenly nested arrays of plain numbers, read in one pass.

use super::element::FromJson;

/// Arrays that are nested deeper are left to the thorough parser.
const MOST_DEPTH: usize = 16;
/// Integers up to here are floats exactly.
const EXACT: u64 = 1 << 53;
/// More digits may not fit into 64 bits.
const MOST_DIGITS: usize = 18;
/// Powers of ten that are floats exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The sizes of nested arrays and their elements in one row. `None` for
/// whatever is unusual or wrong: the thorough parser then finds what it is, and
/// reads the same values where both can.
pub(super) fn numbers<T: FromJson>(json: &[u8]) -> Option<(Vec<usize>, Vec<T>)> {
    let mut reader = Reader { json, at: 0 };
    // Two bytes are the least that an element and its separator take.
    let mut values = Vec::with_capacity(json.len() / 4);
    let mut sizes = [None::<usize>; MOST_DEPTH];
    let mut counts = [0usize; MOST_DEPTH];
    let mut depth = 0;
    let mut leaf = None;
    loop {
        if reader.take(b'[') {
            if depth == MOST_DEPTH || leaf.is_some_and(|leaf| depth >= leaf) {
                return None;
            }
            counts[depth] = 0;
            depth += 1;
            continue;
        }
        if depth == 0 || *leaf.get_or_insert(depth) != depth {
            return None;
        }
        values.push(reader.number()?);
        counts[depth - 1] += 1;
        while !reader.take(b',') {
            if !reader.take(b']') {
                return None;
            }
            depth -= 1;
            if *sizes[depth].get_or_insert(counts[depth]) != counts[depth] {
                return None;
            }
            if depth == 0 {
                reader.skip_space();
                let is_all = reader.at == json.len();
                return is_all.then(|| (sizes.into_iter().flatten().collect(), values));
            }
            counts[depth - 1] += 1;
        }
    }
}

struct Reader<'j> {
    json: &'j [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.json.get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Takes a byte that stands next, behind space.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn number<T: FromJson>(&mut self) -> Option<T> {
        let start = self.at;
        let is_negative = self.peek() == b'-';
        self.at += usize::from(is_negative);
        let mut mantissa = 0;
        let whole = self.digits(&mut mantissa);
        if whole == 0 || (whole > 1 && self.json[self.at - whole] == b'0') {
            return None;
        }
        let is_plain = self.peek() != b'.';
        let mut fraction = 0;
        if !is_plain {
            self.at += 1;
            fraction = self.digits(&mut mantissa);
            if fraction == 0 {
                return None;
            }
        }
        let has_exponent = matches!(self.peek(), b'e' | b'E');
        if has_exponent {
            self.exponent()?;
        }
        let fits = whole + fraction <= MOST_DIGITS;
        if is_plain && !has_exponent {
            return match is_negative {
                _ if !fits => None,
                false => T::from_u64(mantissa).ok(),
                // A negative zero is a float.
                true if mantissa == 0 => None,
                true => T::from_i64(-i64::try_from(mantissa).ok()?).ok(),
            };
        }
        let value = if fits && !has_exponent && mantissa < EXACT {
            // One rounding of two exact floats rounds as the decimal would.
            let value = mantissa as f64 / POWERS[fraction];
            if is_negative { -value } else { value }
        } else {
            std::str::from_utf8(&self.json[start..self.at]).ok()?.parse::<f64>().ok()?
        };
        if value.is_finite() { T::from_f64(value).ok() } else { None }
    }

    /// Appends digits to a number, and counts them.
    fn digits(&mut self, number: &mut u64) -> usize {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(self.peek() - b'0'));
            self.at += 1;
        }
        self.at - start
    }

    fn exponent(&mut self) -> Option<()> {
        self.at += 1;
        if matches!(self.peek(), b'+' | b'-') {
            self.at += 1;
        }
        (self.digits(&mut 0) > 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_numbers_are_read_and_nesting_gives_the_shape() {
        assert_eq!(numbers::<i32>(b"[[1, -2,3],[4,5 , 6]]"), Some((vec![2, 3], vec![1, -2, 3, 4, 5, 6])));
        assert_eq!(numbers::<f32>(b" [0.5,1e3,-2.25,7] "), Some((vec![4], vec![0.5, 1000.0, -2.25, 7.0])));
        assert_eq!(numbers::<u8>(b"[[[255]]]"), Some((vec![1, 1, 1], vec![255])));
    }

    #[test]
    fn floats_are_what_the_standard_library_reads() {
        let mut random = samara_test::Random::new(7);
        for _ in 0..20_000 {
            let value = f64::from_bits(random.below(u64::MAX));
            let short = (random.below(u64::MAX) % 100_000_000) as f64 / 1e7;
            let texts = [format!("{value:e}"), format!("{short}"), format!("{}", value as f32)];
            for text in texts.iter().filter(|text| text.parse::<f64>().unwrap().is_finite()) {
                let Some((_, read)) = numbers::<f64>(format!("[{text}]").as_bytes()) else {
                    // Long integers are left to the thorough parser.
                    assert!(!text.contains(['.', 'e']), "{text}");
                    continue;
                };
                assert_eq!(read[0].to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_others() {
        let deep = format!("{}1{}", "[".repeat(MOST_DEPTH + 1), "]".repeat(MOST_DEPTH + 1));
        let odd = [
            "",
            "1",
            "[]",
            "[[]]",
            "[1",
            "[1,]",
            "[1]]",
            "[1] 2",
            "[[1],2]",
            "[1,[2]]",
            "[[1,2],[3]]",
            "[01]",
            "[1.]",
            "[.5]",
            "[-]",
            "[+1]",
            "[1e]",
            "[-0]",
            "[NaN]",
            "[null]",
            "[true]",
            "[\"1\"]",
            "[18446744073709551615]",
            "[1e400]",
            &deep,
        ];
        for json in odd {
            assert_eq!(numbers::<f64>(json.as_bytes()), None, "{json}");
        }
        assert_eq!(numbers::<u8>(b"[256]"), None);
        assert_eq!(numbers::<i64>(b"[1.0]"), None);
    }
}
