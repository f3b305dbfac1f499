//! Encoded images as inputs.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use crate::convert::only;
use crate::{Bytes, Datatype, Error, FromTensor, Result, Tensor, TensorType};

/// A picture of 8-bit red, green and blue, read from a PNG or JPEG file.
/// Transparency is dropped, and 16-bit channels keep their upper byte.
///
/// As an input it is a BYTES tensor of shape `[1]` that holds the file, with
/// the media type `image/*`. To return a picture, return the [`Bytes`] of
/// [`Image::to_png`].
///
/// ```
/// # #[cfg(feature = "ndarray")] {
/// use samara_sdk::ndarray::Array4;
/// use samara_sdk::{Image, Result};
///
/// /// What an image classifier wants: one picture of 3 x 224 x 224, from 0 to 1.
/// #[samara_sdk::function(output = "pixels")]
/// fn prepare(picture: Image) -> Result<Array4<f32>> {
///     let pixels = picture.resize(224, 224)?.to_chw().mapv(|value| f32::from(value) / 255.0);
///     Ok(pixels.insert_axis(samara_sdk::ndarray::Axis(0)))
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    /// Row by row, three bytes each.
    pixels: Vec<u8>,
}

impl Image {
    /// A picture from its pixels: row by row, red, green and blue of each.
    ///
    /// # Errors
    ///
    /// `invalid-input` if there are not `3 * width * height` bytes, or none.
    pub fn from_rgb(width: usize, height: usize, pixels: Vec<u8>) -> Result<Image> {
        let bytes = width.checked_mul(height).and_then(|count| count.checked_mul(3));
        if pixels.is_empty() || bytes != Some(pixels.len()) {
            let have = pixels.len();
            return Err(Error::invalid_input(format!(
                "a picture of {width} x {height} takes 3 bytes for each pixel, but there are {have} in all"
            )));
        }
        Ok(Image { width, height, pixels })
    }

    /// Reads a PNG or JPEG file.
    ///
    /// # Errors
    ///
    /// `invalid-input` if it is neither or damaged, `too-large` if a side
    /// exceeds 16,384 pixels or decoding takes more than 256 MiB.
    pub fn decode(file: &[u8]) -> Result<Image> {
        let mut reader = ImageReader::new(Cursor::new(file));
        let format = image::guess_format(file).ok();
        let Some(format) = format.filter(|format| [ImageFormat::Png, ImageFormat::Jpeg].contains(format))
        else {
            return Err(Error::invalid_input("the picture is neither a PNG nor a JPEG file"));
        };
        reader.set_format(format);
        reader.limits(limits());
        let pixels = reader.decode().map_err(decode_error)?.into_rgb8();
        Image::from_rgb(pixels.width() as usize, pixels.height() as usize, pixels.into_raw())
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    ///
    /// `too-large` if a side reaches 2^32 pixels.
    pub fn to_png(&self) -> Result<Bytes> {
        let side =
            |size: usize| u32::try_from(size).map_err(|_| Error::too_large("a side of 2^32 pixels or more"));
        let buffer = image::RgbImage::from_raw(side(self.width)?, side(self.height)?, self.pixels.clone());
        let buffer = buffer.ok_or_else(|| Error::internal("the picture does not fill its size"))?;
        let mut file = Cursor::new(Vec::new());
        DynamicImage::from(buffer).write_to(&mut file, ImageFormat::Png)?;
        Ok(Bytes(file.into_inner()))
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels row by row, three bytes each: red, green, blue.
    pub fn as_rgb(&self) -> &[u8] {
        &self.pixels
    }

    /// The brightness of each pixel from 0 to 255, row by row, weighted as in
    /// ITU-R BT.601: 0.299 red, 0.587 green, 0.114 blue.
    pub fn to_luma(&self) -> Vec<u8> {
        let luma = |[r, g, b]: &[u8; 3]| {
            let weighted = 299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b);
            // The weights add up to 1000, so this is at most 255.
            ((weighted + 500) / 1000) as u8
        };
        self.pixels.as_chunks().0.iter().map(luma).collect()
    }

    /// Another size, each new pixel being the average of the area that it
    /// covers: right for shrinking; growing repeats and blends pixels.
    ///
    /// # Errors
    ///
    /// `invalid-input` if a side is 0, `too-large` if the pixels do not fit in memory.
    pub fn resize(&self, width: usize, height: usize) -> Result<Image> {
        if width == 0 || height == 0 {
            return Err(Error::invalid_input(format!("no picture has {width} x {height} pixels")));
        }
        if width.checked_mul(height).and_then(|count| count.checked_mul(12)).is_none() {
            return Err(Error::too_large(format!("{width} x {height} pixels do not fit in memory")));
        }
        let rows = shrink_rows(&self.pixels, self.width, &spans(self.width, width));
        let pixels = shrink_columns(&rows, 3 * width, &spans(self.height, height));
        Image::from_rgb(width, height, pixels)
    }

    /// The pixels as `[height, width, 3]`.
    #[cfg(feature = "ndarray")]
    pub fn to_hwc(&self) -> ndarray::Array3<u8> {
        self.view().to_owned()
    }

    /// The pixels as `[3, height, width]`, in standard layout.
    #[cfg(feature = "ndarray")]
    pub fn to_chw(&self) -> ndarray::Array3<u8> {
        self.view().permuted_axes([2, 0, 1]).as_standard_layout().into_owned()
    }

    #[cfg(feature = "ndarray")]
    fn view(&self) -> ndarray::ArrayView3<'_, u8> {
        use ndarray::ShapeBuilder;
        let shape = (self.height, self.width, 3).strides((3 * self.width, 3, 1));
        // Every constructor checks that the pixels fill the size.
        ndarray::ArrayView::from_shape(shape, &self.pixels).expect("the pixels fill the size")
    }
}

impl TensorType for Image {
    const DATATYPE: Option<Datatype> = Some(Datatype::Bytes);
    const SHAPE: Option<&'static [i64]> = Some(&[1]);
    const MEDIA_TYPE: Option<&'static str> = Some("image/*");
}

impl FromTensor for Image {
    fn from_tensor(tensor: Tensor) -> Result<Image> {
        Image::decode(only(&tensor, &tensor.blobs()?)?)
    }
}

const MAX_SIDE: u32 = 16_384;
const MAX_BYTES: u64 = 256 << 20;

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

fn decode_error(error: image::ImageError) -> Error {
    match error {
        image::ImageError::Limits(_) => {
            let (side, bytes) = (MAX_SIDE, MAX_BYTES >> 20);
            Error::too_large(format!("the picture exceeds {side} pixels a side or {bytes} MiB when decoded"))
        }
        error => {
            Error::from(error).with_kind(crate::ErrorKind::InvalidInput).context("the picture cannot be read")
        }
    }
}

/// What one new pixel covers along an axis: old pixels and their weights,
/// which add up to 1.
struct Span {
    start: usize,
    weights: Vec<f32>,
}

fn spans(old: usize, new: usize) -> Vec<Span> {
    let scale = old as f64 / new as f64;
    let span = |index: usize| {
        let (from, to) = (index as f64 * scale, (index + 1) as f64 * scale);
        let start = (from as usize).min(old - 1);
        let end = (to.ceil() as usize).clamp(start + 1, old);
        let overlap = |pixel: usize| (to.min((pixel + 1) as f64) - from.max(pixel as f64)).max(0.0);
        let total: f64 = (start..end).map(overlap).sum();
        Span { start, weights: (start..end).map(|pixel| (overlap(pixel) / total) as f32).collect() }
    };
    (0..new).map(span).collect()
}

/// Resizes along each row of pixels.
fn shrink_rows(pixels: &[u8], width: usize, spans: &[Span]) -> Vec<f32> {
    let mut result = Vec::with_capacity(pixels.len() / width * spans.len());
    for row in pixels.chunks_exact(3 * width) {
        for Span { start, weights } in spans {
            let mut sum = [0.0; 3];
            for (pixel, weight) in row[3 * start..].as_chunks::<3>().0.iter().zip(weights) {
                for channel in 0..3 {
                    sum[channel] += f32::from(pixel[channel]) * weight;
                }
            }
            result.extend(sum);
        }
    }
    result
}

/// Resizes across rows of `stride` values, and rounds.
fn shrink_columns(rows: &[f32], stride: usize, spans: &[Span]) -> Vec<u8> {
    let mut result = Vec::with_capacity(stride * spans.len());
    let mut sum = vec![0.0; stride];
    for Span { start, weights } in spans {
        sum.fill(0.0);
        for (row, weight) in rows[stride * start..].chunks_exact(stride).zip(weights) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += value * weight;
            }
        }
        // Averages of bytes are from 0 to 255.
        result.extend(sum.iter().map(|value| value.round() as u8));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, IntoTensor};

    fn checkers() -> Image {
        let pixels = (0..16).flat_map(|i| if (i + i / 4) % 2 == 0 { [255, 0, 0] } else { [0, 0, 255] });
        Image::from_rgb(4, 4, pixels.collect()).unwrap()
    }

    #[test]
    fn a_png_is_read_back_as_an_input() {
        let tensor = checkers().to_png().unwrap().into_tensor().unwrap();
        assert_eq!(Image::from_tensor(tensor).unwrap(), checkers());
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert_eq!(Image::decode(b"GIF89a").unwrap_err().kind(), ErrorKind::InvalidInput);
        let mut cut = checkers().to_png().unwrap().0;
        cut.truncate(40);
        let error = Image::decode(&cut).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().starts_with("the picture cannot be read: "), "{error}");
        assert!(Image::from_rgb(0, 0, vec![]).is_err() && Image::from_rgb(usize::MAX, 2, vec![0]).is_err());
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded() {
        let mut file = checkers().to_png().unwrap().0;
        // The width is at byte 16 of a PNG, and its checksum ends the header.
        file[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        let checksum = crc32(&file[12..29]);
        file[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(Image::decode(&file).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn shrinking_averages_areas() {
        let half = checkers().resize(2, 2).unwrap();
        assert!(half.as_rgb().as_chunks::<3>().0.iter().all(|pixel| *pixel == [128, 0, 128]), "{half:?}");
        let ramp = Image::from_rgb(3, 1, [0, 90, 240].iter().flat_map(|&v| [v; 3]).collect()).unwrap();
        // Each of two covers one pixel and a half: (0 + 90 / 2) / 1.5 and (90 / 2 + 240) / 1.5.
        assert_eq!(ramp.resize(2, 1).unwrap().to_luma(), [30, 190]);
    }

    #[test]
    fn growing_and_keeping_the_size() {
        assert_eq!(checkers().resize(4, 4).unwrap(), checkers());
        let double = checkers().resize(8, 8).unwrap();
        assert_eq!(double.as_rgb()[..12], [255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255]);
        assert!(checkers().resize(0, 1).is_err() && checkers().resize(usize::MAX, 1).is_err());
    }

    #[test]
    fn grey_stays_grey() {
        let grey: Vec<u8> = (0..=255).flat_map(|value| [value; 3]).collect();
        let luma = Image::from_rgb(256, 1, grey).unwrap().to_luma();
        assert!(luma.iter().enumerate().all(|(index, &value)| index == usize::from(value)));
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn layouts() {
        let image = Image::from_rgb(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(image.to_hwc()[[0, 1, 2]], 6);
        let chw = image.to_chw();
        assert_eq!((chw.dim(), chw[[2, 0, 1]], chw.is_standard_layout()), ((3, 1, 2), 6, true));
    }

    /// The checksum of PNG chunks, bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
        })
    }
}
