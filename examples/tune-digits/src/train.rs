//! Softmax regression, by gradient descent over small batches.

use crate::data::{CLASSES, Digit, PIXELS};

/// Digits whose gradients are averaged before a step.
const BATCH: usize = 32;

/// What a search may turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    pub(crate) learning_rate: f32,
    /// How strongly weights are pulled to 0.
    pub(crate) l2: f32,
    /// Rounds over all digits.
    pub(crate) epochs: u32,
    /// Decides the order of the digits.
    pub(crate) seed: u64,
}

/// A row of weights for each class, its bias last.
pub(crate) struct Model([[f32; PIXELS + 1]; CLASSES]);

/// How good a model is.
pub(crate) struct Quality {
    /// The share that is right.
    pub(crate) accuracy: f64,
    /// The mean cross entropy.
    pub(crate) loss: f64,
}

/// Trains from zero. Equal settings give equal models on every machine.
pub(crate) fn train(digits: &[Digit], settings: Settings) -> Model {
    let mut model = Model([[0.0; PIXELS + 1]; CLASSES]);
    let mut order: Vec<usize> = (0..digits.len()).collect();
    let mut state = settings.seed;
    for _ in 0..settings.epochs {
        shuffle(&mut order, &mut state);
        for batch in order.chunks(BATCH) {
            model.step(batch.iter().map(|&index| &digits[index]), settings);
        }
    }
    model
}

impl Model {
    pub(crate) fn judge(&self, digits: &[Digit]) -> Quality {
        let (mut right, mut loss) = (0u32, 0.0);
        for digit in digits {
            let shares = self.shares(digit);
            right += u32::from((0..CLASSES).all(|class| shares[class] <= shares[digit.label]));
            loss -= f64::from(shares[digit.label].max(f32::MIN_POSITIVE)).ln();
        }
        let count = digits.len() as f64;
        Quality { accuracy: f64::from(right) / count, loss: loss / count }
    }

    fn step<'d>(&mut self, batch: impl ExactSizeIterator<Item = &'d Digit>, settings: Settings) {
        let count = batch.len() as f32;
        let mut gradient = [[0.0; PIXELS + 1]; CLASSES];
        for digit in batch {
            let shares = self.shares(digit);
            for (class, row) in gradient.iter_mut().enumerate() {
                let error = shares[class] - if class == digit.label { 1.0 } else { 0.0 };
                for (slope, pixel) in row.iter_mut().zip(&digit.pixels) {
                    *slope += error * pixel;
                }
                row[PIXELS] += error;
            }
        }
        for (weights, slopes) in self.0.iter_mut().zip(&gradient) {
            for (place, (weight, slope)) in weights.iter_mut().zip(slopes).enumerate() {
                let pull = if place < PIXELS { settings.l2 * *weight } else { 0.0 };
                *weight -= settings.learning_rate * (slope / count + pull);
            }
        }
    }

    /// How probable each class is.
    fn shares(&self, digit: &Digit) -> [f32; CLASSES] {
        let mut shares = self.0.map(|row| {
            row[PIXELS] + row.iter().zip(&digit.pixels).map(|(weight, pixel)| weight * pixel).sum::<f32>()
        });
        let largest = shares.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        shares = shares.map(|score| (score - largest).exp());
        let sum: f32 = shares.iter().sum();
        shares.map(|share| share / sum)
    }
}

/// Fisher and Yates, with the numbers of a xorshift generator.
fn shuffle(order: &mut [usize], state: &mut u64) {
    for last in (1..order.len()).rev() {
        // A seed of 0 would stay 0.
        let mut next = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        *state = next;
        order.swap(last, (next % (last as u64 + 1)) as usize);
    }
}
