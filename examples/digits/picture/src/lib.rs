//! A picture of one digit, as the pixels that the model reads.

mod file;
mod pixels;

use std::fmt;

use pixels::Flat;
pub use pixels::SIDE;

/// A larger picture is refused before any of its pixels is decoded.
pub const MAX_PIXELS: usize = 4096 * 4096;

/// Why a file is not a picture of a digit.
#[derive(Debug, PartialEq)]
pub enum PictureError {
    Empty,
    UnknownFormat { start: Vec<u8> },
    Broken { format: &'static str, reason: String },
    TooLarge { width: usize, height: usize },
    Flat,
}

/// Returns the digit in a PNG or JPEG file as 8 rows of 8 pixels: 0 is
/// background, 1 the strongest pixel.
///
/// # Errors
/// When it is no such file, or shows nothing.
pub fn pixels(file: &[u8]) -> Result<[f32; SIDE * SIDE], PictureError> {
    let shades = file::read(file)?;
    pixels::pixels(&shades).map_err(|Flat| PictureError::Flat)
}

impl fmt::Display for PictureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "`image` is empty: send the bytes of a PNG or JPEG file"),
            Self::UnknownFormat { start } => {
                write!(
                    f,
                    "`image` is neither a PNG nor a JPEG file (it starts with `{}`): ",
                    start.escape_ascii()
                )?;
                write!(f, "convert it to one of them")
            }
            Self::Broken { format, reason } => {
                write!(
                    f,
                    "`image` is a {format} file that is cut short or damaged ({reason}): send a whole one"
                )
            }
            Self::TooLarge { width, height } => {
                write!(f, "`image` is {width} x {height} pixels, more than the {MAX_PIXELS} allowed: ")?;
                write!(f, "scale it down")
            }
            Self::Flat => {
                write!(f, "`image` is one flat shade: send a picture with a digit that stands out ")?;
                write!(f, "from its background")
            }
        }
    }
}

impl std::error::Error for PictureError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_becomes_pixels() {
        let pixels = pixels(include_bytes!("../../three.png")).unwrap();
        assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)), "{pixels:?}");
        assert!(pixels.contains(&1.0));
    }

    #[test]
    fn what_is_no_picture_is_told_in_words() {
        let error = pixels(b"%PDF-1.7").unwrap_err().to_string();
        assert!(error.contains("neither a PNG nor a JPEG"), "{error}");
    }
}
