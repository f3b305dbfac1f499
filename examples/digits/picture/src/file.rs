//! Reads PNG and JPEG files as shades.

use std::io::Cursor;

use png::Transformations;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::pixels::Shades;
use crate::{MAX_PIXELS, PictureError};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// Returns the shades of a PNG or JPEG file.
///
/// Of 16-bit channels the high byte counts. Transparent pixels show a backing
/// that contrasts with what is drawn: white behind a dark drawing, black
/// behind a light one.
pub(crate) fn read(file: &[u8]) -> Result<Shades, PictureError> {
    if file.is_empty() {
        return Err(PictureError::Empty);
    }
    let samples = if file.starts_with(PNG) {
        read_png(file)?
    } else if file.starts_with(JPEG) {
        read_jpeg(file)?
    } else {
        return Err(PictureError::UnknownFormat { start: file[..file.len().min(8)].to_vec() });
    };
    Ok(samples.shades())
}

/// A decoded picture: `channels` bytes per pixel, which are grey, grey and
/// alpha, RGB, or RGB and alpha.
struct Samples {
    width: usize,
    height: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl Samples {
    fn shades(&self) -> Shades {
        let pixels = || self.bytes.chunks_exact(self.channels);
        let opaque = 255_u32;
        let values = match self.channels {
            1 => self.bytes.iter().map(|&grey| luma(grey, grey, grey) * opaque).collect(),
            3 => pixels().map(|p| luma(p[0], p[1], p[2]) * opaque).collect(),
            2 => over_backing(pixels().map(|p| (luma(p[0], p[0], p[0]), p[1]))),
            _ => over_backing(pixels().map(|p| (luma(p[0], p[1], p[2]), p[3]))),
        };
        Shades { width: self.width, height: self.height, values }
    }
}

/// Returns how bright a colour looks, from 0 to 255,000.
fn luma(red: u8, green: u8, blue: u8) -> u32 {
    299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)
}

fn over_backing(pixels: impl Iterator<Item = (u32, u8)> + Clone) -> Vec<u32> {
    let (light, alphas) = pixels.clone().fold((0, 0), |(light, alphas), (luma, alpha)| {
        (light + u64::from(luma) * u64::from(alpha), alphas + u64::from(alpha))
    });
    let drawn_is_dark = 2 * light < 255_000 * alphas;
    let backing = if drawn_is_dark { 255_000 } else { 0 };
    pixels.map(|(luma, alpha)| luma * u32::from(alpha) + backing * u32::from(255 - alpha)).collect()
}

fn read_png(file: &[u8]) -> Result<Samples, PictureError> {
    let broken =
        |error: png::DecodingError| PictureError::Broken { format: "PNG", reason: error.to_string() };
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(broken)?.size();
    let (width, height) = checked_size(width as usize, height as usize)?;

    let mut reader = decoder.read_info().map_err(broken)?;
    let channels = reader.output_color_type().0.samples();
    let mut bytes = vec![0; width * height * channels];
    reader.next_frame(&mut bytes).map_err(broken)?;
    Ok(Samples { width, height, channels, bytes })
}

fn read_jpeg(file: &[u8]) -> Result<Samples, PictureError> {
    let broken = |error: DecodeErrors| PictureError::Broken { format: "JPEG", reason: error.to_string() };
    let options = DecoderOptions::default()
        .set_max_width(MAX_PIXELS)
        .set_max_height(MAX_PIXELS)
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = checked_size(width, height)?;
    let bytes = decoder.decode().map_err(broken)?;
    Ok(Samples { width, height, channels: 3, bytes })
}

fn checked_size(width: usize, height: usize) -> Result<(usize, usize), PictureError> {
    match width.checked_mul(height) {
        Some(pixels) if pixels <= MAX_PIXELS => Ok((width, height)),
        _ => Err(PictureError::TooLarge { width, height }),
    }
}

#[cfg(test)]
mod tests {
    use png::{BitDepth, ColorType};

    use super::*;
    use crate::pixels::WHITE;

    fn png(size: (u32, u32), colours: ColorType, depth: BitDepth, bytes: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, size.0, size.1);
        encoder.set_color(colours);
        encoder.set_depth(depth);
        if colours == ColorType::Indexed {
            encoder.set_palette(vec![0, 0, 0, 255, 0, 0, 255, 255, 255]);
        }
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        file
    }

    fn values(file: &[u8]) -> Vec<u32> {
        read(file).unwrap().values
    }

    #[test]
    fn every_kind_of_png_is_read() {
        let grey = |value: u32| value * 255_000;
        let red = 299 * 255 * 255;
        let eight = BitDepth::Eight;
        let cases = [
            (png((2, 1), ColorType::Grayscale, eight, &[3, 255]), vec![grey(3), WHITE]),
            (png((2, 1), ColorType::Grayscale, BitDepth::One, &[0b0100_0000]), vec![0, WHITE]),
            (png((2, 1), ColorType::Grayscale, BitDepth::Sixteen, &[7, 200, 255, 0]), vec![grey(7), WHITE]),
            (png((2, 1), ColorType::Rgb, eight, &[255, 0, 0, 9, 9, 9]), vec![red, grey(9)]),
            (png((2, 1), ColorType::Indexed, BitDepth::Two, &[0b0110_0000]), vec![red, WHITE]),
        ];
        for (file, expected) in cases {
            assert_eq!(values(&file), expected);
        }
    }

    #[test]
    fn transparent_pixels_contrast_with_the_drawing() {
        let dark = png((2, 1), ColorType::Rgba, BitDepth::Eight, &[0, 0, 0, 255, 0, 0, 0, 0]);
        assert_eq!(values(&dark), [0, WHITE]);
        let light = png((2, 1), ColorType::GrayscaleAlpha, BitDepth::Eight, &[255, 255, 255, 0]);
        assert_eq!(values(&light), [WHITE, 0]);
    }

    #[test]
    fn a_jpeg_is_read() {
        let shades = read(include_bytes!("../../five.jpg")).unwrap();
        assert_eq!((shades.width, shades.height), (160, 120));
        assert_eq!(shades.values.len(), 160 * 120);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert_eq!(read(b"").err(), Some(PictureError::Empty));
        let error = read(b"GIF89a\x01\x00\x01\x00").err().unwrap().to_string();
        assert!(
            error.contains("neither a PNG nor a JPEG file (it starts with `GIF89a\\x01\\x00`)"),
            "{error}"
        );
    }

    #[test]
    fn a_part_of_a_file_is_refused() {
        let png: &[u8] = include_bytes!("../../three.png");
        let jpeg: &[u8] = include_bytes!("../../five.jpg");
        for (format, file) in [("PNG", png), ("JPEG", jpeg)] {
            for length in [10, 30, file.len() / 2, file.len() * 9 / 10] {
                match read(&file[..length]) {
                    Err(PictureError::Broken { format: named, .. }) => assert_eq!(named, format),
                    Err(error) => panic!("{format} of {length} bytes: {error}"),
                    Ok(_) => panic!("{format} of {length} bytes was read"),
                }
            }
        }
    }

    #[test]
    fn a_huge_picture_is_refused_by_its_header() {
        let mut file = png((1, 1), ColorType::Grayscale, BitDepth::Eight, &[0]);
        let header = 16..24;
        file[header].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let checksum = crc32(&file[12..29]);
        file[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(read(&file).err(), Some(PictureError::TooLarge { width: 65536, height: 65536 }));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
        })
    }
}
