//! Scaling, cropping and normalising, in `f64` so that `pixels.py`, which does
//! the same, comes to the same `f32` pixels.

use image::{Rgba, RgbaImage};

/// Width and height of what the model reads.
pub const SIDE: usize = 224;

/// How much of the picture's shorter side is used, in the middle.
const SHOWN: f64 = 224.0 / 256.0;

const CHANNELS: usize = 3;

/// Of ImageNet's red, green and blue, from 0 to 1.
const MEAN: [f64; CHANNELS] = [0.485, 0.456, 0.406];
const DEVIATION: [f64; CHANNELS] = [0.229, 0.224, 0.225];

/// Returns the middle of the picture as [`CHANNELS`] planes of [`SIDE`] rows of [`SIDE`] pixels.
pub fn pixels(picture: &RgbaImage) -> Vec<f32> {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let side = width.min(height) * SHOWN;
    let columns = taps((width - side) / 2.0, side, picture.width() as usize);
    let rows = taps((height - side) / 2.0, side, picture.height() as usize);

    let first = rows[0].first;
    let needed = rows.iter().map(Taps::end).max().unwrap_or(first) - first;
    let narrow: Vec<_> =
        picture.rows().skip(first).take(needed).map(|row| across(row.collect(), &columns)).collect();

    let mut pixels = vec![0.0; CHANNELS * SIDE * SIDE];
    for (y, row) in rows.iter().enumerate() {
        for x in 0..SIDE {
            let mut sums = [0.0; CHANNELS];
            for (source, weight) in row.weights() {
                let colours = &narrow[source - first][x];
                for (sum, colour) in sums.iter_mut().zip(colours) {
                    *sum += weight * colour;
                }
            }
            for (channel, sum) in sums.iter().enumerate() {
                let normal = (sum / 255.0 - MEAN[channel]) / DEVIATION[channel];
                pixels[(channel * SIDE + y) * SIDE + x] = normal as f32;
            }
        }
    }
    pixels
}

/// Scales one row of the picture.
fn across(row: Vec<&Rgba<u8>>, columns: &[Taps]) -> Vec<[f64; CHANNELS]> {
    let row: Vec<[f64; CHANNELS]> = row.into_iter().map(over_white).collect();
    let scaled = columns.iter().map(|column| {
        let mut sums = [0.0; CHANNELS];
        for (x, weight) in column.weights() {
            for (sum, colour) in sums.iter_mut().zip(&row[x]) {
                *sum += weight * colour;
            }
        }
        sums
    });
    scaled.collect()
}

/// Returns red, green and blue from 0 to 255.
fn over_white(&Rgba([red, green, blue, alpha]): &Rgba<u8>) -> [f64; CHANNELS] {
    let (alpha, clear) = (u32::from(alpha), u32::from(255 - alpha));
    [red, green, blue].map(|colour| f64::from(u32::from(colour) * alpha + 255 * clear) / 255.0)
}

/// What goes into one pixel of the result along one axis.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

impl Taps {
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }

    fn weights(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        (self.first..).zip(self.weights.iter().copied())
    }
}

/// Cuts a window of `side` pixels from `start` on into [`SIDE`] parts.
///
/// The weight of a pixel falls linearly with its distance, to zero at one pixel
/// of whichever grid is coarser: linear interpolation, without aliasing.
fn taps(start: f64, side: f64, length: usize) -> Vec<Taps> {
    let step = side / SIDE as f64;
    let reach = step.max(1.0);
    let part = |index| {
        let centre = start + (index as f64 + 0.5) * step;
        let first = (centre - reach).floor().max(0.0) as usize;
        let end = ((centre + reach).ceil() as usize).min(length);
        let near = |pixel| (1.0 - (pixel as f64 + 0.5 - centre).abs() / reach).max(0.0);
        let mut weights: Vec<f64> = (first..end).map(near).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Taps { first, weights }
    };
    (0..SIDE).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(colour: f64, channel: usize) -> f32 {
        ((colour / 255.0 - MEAN[channel]) / DEVIATION[channel]) as f32
    }

    #[test]
    fn one_colour_stays_one_colour_at_any_size() {
        for (width, height) in [(1, 1), (3, 500), (224, 224), (256, 256), (1000, 37)] {
            let picture = RgbaImage::from_pixel(width, height, Rgba([10, 100, 200, 255]));
            let found = pixels(&picture);
            assert_eq!(found.len(), CHANNELS * SIDE * SIDE);
            for (channel, colour) in [10.0, 100.0, 200.0].into_iter().enumerate() {
                let plane = &found[channel * SIDE * SIDE..][..SIDE * SIDE];
                assert!(plane.iter().all(|pixel| (pixel - normal(colour, channel)).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn a_picture_of_256_is_cropped_without_scaling() {
        let picture = RgbaImage::from_fn(256, 256, |x, y| Rgba([x as u8, y as u8, 0, 255]));
        let found = pixels(&picture);
        let at = |channel: usize, x: usize, y: usize| found[(channel * SIDE + y) * SIDE + x];
        for (x, y) in [(0, 0), (5, 200), (223, 223)] {
            assert!((at(0, x, y) - normal(x as f64 + 16.0, 0)).abs() < 1e-6);
            assert!((at(1, x, y) - normal(y as f64 + 16.0, 1)).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_transparent_is_white() {
        let picture = RgbaImage::from_pixel(9, 9, Rgba([0, 0, 0, 0]));
        assert!((pixels(&picture)[0] - normal(255.0, 0)).abs() < 1e-6);
    }
}
