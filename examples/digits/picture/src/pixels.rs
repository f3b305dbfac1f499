//! From the shades of a picture of one digit to the 8x8 pixels that the model reads.
//!
//! `pixels.py` does the same for training and testing. Shades are integers and
//! all that follows is `f64`, so that both answer with the same `f32` pixels.

/// Width and height of what the model reads.
pub const SIDE: usize = 8;

/// The brightest shade: a luma in thousandths times an alpha.
pub(crate) const WHITE: u32 = 1000 * 255 * 255;

/// With less contrast, a picture holds nothing but its background.
const MIN_CONTRAST: u32 = WHITE / 20;

/// A pixel with at least this much ink belongs to the digit.
const INK: f64 = 0.3;

/// A digit that covers this much of its frame is not cropped.
const FILLS: f64 = 0.75;

/// How bright each pixel of a picture is, row by row, from 0 to [`WHITE`].
/// There is at least one.
pub(crate) struct Shades {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<u32>,
}

/// The picture has one shade only.
#[derive(Debug, PartialEq)]
pub(crate) struct Flat;

/// Returns the digit as 8 rows of 8 pixels: 0 is background, 1 the strongest pixel.
///
/// Thin strokes, which are pale after scaling, so count as much as thick ones.
pub(crate) fn pixels(shades: &Shades) -> Result<[f32; SIDE * SIDE], Flat> {
    let ink = Ink::find(shades)?;
    let frame = Frame::around_digit(shades, &ink);
    let columns = cells(frame.left, frame.side, shades.width);
    let rows = cells(frame.top, frame.side, shades.height);

    let mut scaled = [0.0; SIDE * SIDE];
    for (row, sums) in rows.iter().zip(scaled.chunks_exact_mut(SIDE)) {
        for (y, share) in row.shares() {
            let line = &shades.values[y * shades.width..][..shades.width];
            for (sum, column) in sums.iter_mut().zip(&columns) {
                let across: f64 = column.shares().map(|(x, share)| share * ink.of(line[x])).sum();
                *sum += share * across;
            }
        }
    }
    let strongest = scaled.iter().copied().fold(0.0, f64::max);
    Ok(scaled.map(|pixel| (pixel / strongest) as f32))
}

/// Tells ink from background.
struct Ink {
    background: u32,
    contrast: u32,
    light_on_dark: bool,
}

impl Ink {
    /// The background is the median shade of the outermost pixels. The digit
    /// may be lighter or darker: whichever side reaches further from it.
    fn find(shades: &Shades) -> Result<Self, Flat> {
        let background = median(outermost(shades));
        let (lowest, highest) =
            shades.values.iter().fold((WHITE, 0), |(low, high), &shade| (low.min(shade), high.max(shade)));
        let (above, below) = (highest - background, background - lowest);
        let contrast = above.max(below);
        if contrast < MIN_CONTRAST {
            return Err(Flat);
        }
        Ok(Self { background, contrast, light_on_dark: above >= below })
    }

    /// Returns 0 at the background and 1 at the strongest shade.
    fn of(&self, shade: u32) -> f64 {
        let distance = if self.light_on_dark {
            shade.saturating_sub(self.background)
        } else {
            self.background.saturating_sub(shade)
        };
        f64::from(distance) / f64::from(self.contrast)
    }
}

fn outermost(shades: &Shades) -> Vec<u32> {
    let (width, height) = (shades.width, shades.height);
    let mut found = Vec::with_capacity(2 * (width + height));
    for (y, line) in shades.values.chunks_exact(width).enumerate() {
        if y == 0 || y == height - 1 {
            found.extend_from_slice(line);
        } else {
            found.push(line[0]);
            if width > 1 {
                found.push(line[width - 1]);
            }
        }
    }
    found
}

/// Returns the lower of the two middle values where there are two.
fn median(mut values: Vec<u32>) -> u32 {
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable(middle).1
}

/// The square of the picture that is scaled to 8x8. It may reach beyond the
/// picture, where there is only background.
struct Frame {
    left: f64,
    top: f64,
    side: f64,
}

impl Frame {
    /// The whole picture, centred in a square, unless the digit is small in
    /// it: then the square around the digit alone.
    fn around_digit(shades: &Shades, ink: &Ink) -> Self {
        let (mut left, mut right, mut top, mut bottom) = (shades.width, 0, shades.height, 0);
        for (y, line) in shades.values.chunks_exact(shades.width).enumerate() {
            let mut inked = line.iter().enumerate().filter(|&(_, &shade)| ink.of(shade) >= INK);
            if let Some((first, _)) = inked.next() {
                let last = inked.next_back().map_or(first, |(x, _)| x);
                (left, right) = (left.min(first), right.max(last + 1));
                (top, bottom) = (top.min(y), y + 1);
            }
        }
        let whole = shades.width.max(shades.height);
        let mut side = (right - left).max(bottom - top);
        if side as f64 >= FILLS * whole as f64 {
            (left, right, top, bottom, side) = (0, shades.width, 0, shades.height, whole);
        }
        let side = side as f64;
        Self { left: ((left + right) as f64 - side) / 2.0, top: ((top + bottom) as f64 - side) / 2.0, side }
    }
}

/// What one of the 8 cells of a frame takes from each pixel along an axis.
struct Cell {
    first: usize,
    shares: Vec<f64>,
}

impl Cell {
    fn shares(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.shares.iter().enumerate().map(|(i, &share)| (self.first + i, share))
    }
}

/// Cuts a frame along one axis of `length` pixels.
///
/// A cell is the average of the pixels it covers. A cell smaller than a pixel
/// is widened to one around its centre, which is linear interpolation.
fn cells(start: f64, side: f64, length: usize) -> Vec<Cell> {
    let step = side / SIDE as f64;
    let reach = step.max(1.0);
    (0..SIDE)
        .map(|cell| {
            let centre = start + (cell as f64 + 0.5) * step;
            let (low, high) = (centre - reach / 2.0, centre + reach / 2.0);
            let first = low.floor().clamp(0.0, length as f64);
            let last = high.ceil().clamp(first, length as f64);
            let shares = (first as usize..last as usize)
                .map(|pixel| {
                    let covered = high.min(pixel as f64 + 1.0) - low.max(pixel as f64);
                    covered.max(0.0) / reach
                })
                .collect();
            Cell { first: first as usize, shares }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A three, light on dark, ink from 0 to 4 as it is written here.
    const THREE: [&str; 8] =
        [".1443...", ".4.14...", "...24...", "..243...", "...44...", "....42..", ".3..43..", ".1443..."];

    fn shades(lines: &[&str]) -> Shades {
        let values = lines.concat().chars().map(|c| c.to_digit(10).unwrap_or(0) * WHITE / 4).collect();
        Shades { width: lines[0].len(), height: lines.len(), values }
    }

    fn plain() -> Vec<f32> {
        THREE.concat().chars().map(|c| c.to_digit(10).unwrap_or(0) as f32 / 4.0).collect()
    }

    /// Repeats every pixel `times` by `times`.
    fn enlarged(small: &Shades, times: usize) -> Shades {
        let (width, height) = (small.width * times, small.height * times);
        let values = (0..width * height)
            .map(|i| small.values[i / width / times * small.width + i % width / times])
            .collect();
        Shades { width, height, values }
    }

    fn with_margins(inner: &Shades, [left, top, right, bottom]: [usize; 4]) -> Shades {
        let (width, height) = (left + inner.width + right, top + inner.height + bottom);
        let mut values = vec![0; width * height];
        for (y, line) in inner.values.chunks_exact(inner.width).enumerate() {
            values[(top + y) * width + left..][..inner.width].copy_from_slice(line);
        }
        Shades { width, height, values }
    }

    fn inverted(picture: &Shades) -> Shades {
        let values = picture.values.iter().map(|shade| WHITE - shade).collect();
        Shades { values, ..*picture }
    }

    fn assert_near(found: &[f32], expected: &[f32]) {
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 1e-6, "pixel {i}: {found}, not {expected}");
        }
    }

    #[test]
    fn an_8x8_picture_is_taken_as_it_is() {
        assert_eq!(pixels(&shades(&THREE)).unwrap().as_slice(), plain());
    }

    #[test]
    fn size_and_polarity_do_not_matter() {
        for times in [2, 3, 16, 61] {
            let large = enlarged(&shades(&THREE), times);
            assert_near(&pixels(&large).unwrap(), &plain());
            assert_near(&pixels(&inverted(&large)).unwrap(), &plain());
        }
    }

    #[test]
    fn low_contrast_is_stretched() {
        let mut faint = inverted(&enlarged(&shades(&THREE), 4));
        for shade in &mut faint.values {
            *shade = WHITE / 2 + *shade / 8;
        }
        assert_near(&pixels(&faint).unwrap(), &plain());
    }

    #[test]
    fn narrow_margins_are_filled_up_to_a_square() {
        let digit = enlarged(&shades(&THREE), 5);
        let made = |margins| pixels(&with_margins(&digit, margins)).unwrap();
        assert_eq!(made([0, 3, 0, 7]), made([5, 3, 5, 7]));
        assert_eq!(made([3, 0, 7, 0]), made([3, 5, 7, 5]));
    }

    #[test]
    fn a_small_digit_is_cropped_to_a_square_around_it() {
        let small = enlarged(&shades(&THREE), 6);
        let once = pixels(&with_margins(&small, [60, 50, 70, 10])).unwrap();
        let elsewhere = pixels(&with_margins(&small, [5, 90, 200, 0])).unwrap();
        assert_eq!(once, elsewhere);
        // The ink is in the 5 columns from 1: centred, it moves right by half a column.
        let plain = plain();
        let moved = (0..plain.len()).map(|i| (plain[i.saturating_sub(1)] + plain[i]) / 2.0);
        assert_near(&once, &moved.collect::<Vec<_>>());
    }

    #[test]
    fn fewer_than_8_pixels_are_interpolated() {
        let found = pixels(&shades(&["0400"; 4])).unwrap();
        assert_near(&found[3 * SIDE..4 * SIDE], &[0.0, 1.0 / 3.0, 1.0, 1.0, 1.0 / 3.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn odd_shapes_are_not_out_of_bounds() {
        for (width, height) in [(1, 1), (1, 2), (2, 1), (1, 50), (50, 1), (3, 2), (7, 9)] {
            let mut values = vec![0; width * height];
            assert_eq!(pixels(&Shades { width, height, values: values.clone() }), Err(Flat));
            values[width * height / 2] = WHITE;
            let result = pixels(&Shades { width, height, values });
            assert_eq!(result.is_ok(), width * height > 1, "{width} x {height}");
        }
    }

    #[test]
    fn a_flat_picture_has_no_digit() {
        let shades = Shades { width: 9, height: 7, values: vec![WHITE / 3; 63] };
        assert_eq!(pixels(&shades), Err(Flat));
    }
}
