//! Numbers that look random and come again with their seed, and inputs that are
//! changed by them.

/// The generator xorshift64*.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number, from 0 up to and without `end`.
    ///
    /// # Panics
    /// When `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    /// A number between -1 and 1.
    pub fn float(&mut self) -> f32 {
        self.below(2_000_001) as f32 / 1_000_000.0 - 1.0
    }

    /// So many numbers between -1 and 1.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
}

/// Feeds each of the seeds, which are sound inputs, to a decoder, and after it
/// `rounds` variants in all with a few things changed.
pub fn whatever_comes(rounds: usize, seeds: &[&[u8]], decode: impl Fn(&[u8])) {
    let mut random = Random::new(3);
    for seed in seeds {
        decode(seed);
        (0..rounds / seeds.len()).for_each(|_| decode(&changed(&mut random, seed)));
    }
}

/// The same for a decoder of text; what is no text any more is made one.
pub fn whatever_text_comes(rounds: usize, seeds: &[&str], decode: impl Fn(&str)) {
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| seed.as_bytes()).collect();
    whatever_comes(rounds, &seeds, |bytes| decode(&String::from_utf8_lossy(bytes)));
}

/// A sound input with a few things changed.
fn changed(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 12] = [
        b"-",
        b"[[[[",
        b"]",
        b"{",
        b"\"",
        b"1e999",
        b"18446744073709551616",
        b"NaN",
        b"%",
        b"\n",
        b"\0",
        b"\xff",
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let to = at + random.below((bytes.len() - at) as u64 + 1) as usize;
        match random.below(5) {
            0 => bytes[at..to].reverse(),
            1 => drop(bytes.drain(at..to.min(at + 8))),
            2 => drop(bytes.splice(at..at, WORDS[random.below(12) as usize].iter().copied())),
            3 => bytes.truncate(to),
            _ if at < bytes.len() => bytes[at] = random.below(256) as u8,
            _ => {}
        }
    }
    bytes
}
