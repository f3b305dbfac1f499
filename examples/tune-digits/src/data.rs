//! The digits: 8x8 pixels each, with a label.

/// What `make_data.py` has written.
const TEXT: &str = include_str!("../digits.txt");

/// The lines at the begin that are for training.
const TRAINING: usize = 1437;

pub(crate) const PIXELS: usize = 64;
pub(crate) const CLASSES: usize = 10;

/// The darkest pixel, and its letter.
const MOST: u8 = b'q' - b'a';

pub(crate) struct Digit {
    /// From 0 to 1.
    pub(crate) pixels: [f32; PIXELS],
    pub(crate) label: usize,
}

/// The digits that train, and those that judge.
pub(crate) fn load() -> Result<(Vec<Digit>, Vec<Digit>), String> {
    let mut digits =
        TEXT.lines().map(digit).collect::<Option<Vec<Digit>>>().ok_or("digits.txt is damaged")?;
    let judging = digits.split_off(TRAINING.min(digits.len()));
    Ok((digits, judging))
}

fn digit(line: &str) -> Option<Digit> {
    let (label, letters) = line.split_once(' ')?;
    let letters: [u8; PIXELS] = letters.as_bytes().try_into().ok()?;
    let label = label.parse().ok().filter(|&label| label < CLASSES)?;
    let is_sound = letters.iter().all(|letter| (b'a'..=b'q').contains(letter));
    is_sound
        .then(|| Digit { pixels: letters.map(|letter| f32::from(letter - b'a') / f32::from(MOST)), label })
}
