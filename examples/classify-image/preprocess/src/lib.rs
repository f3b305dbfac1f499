//! The stage in front of the model: a picture becomes the pixels it was trained for.

mod pixels;

use std::io::Cursor;

use image::{ImageDecoder, ImageReader, RgbaImage};
use pixels::SIDE;
use samara_sdk::{Bytes, Error, Tensor};

/// A larger picture is refused before any of its pixels is decoded.
const MAX_PIXELS: u64 = 4096 * 4096;

#[samara_sdk::function(outputs(pixels(datatype = FP32, shape = [1, 3, 224, 224])))]
fn preprocess(#[tensor(media_type = "image/*")] image: Bytes) -> Result<Tensor, Error> {
    let picture = read(&image.0)?;
    Tensor::from_vec([1, 3, SIDE, SIDE], pixels::pixels(&picture))
}

fn read(file: &[u8]) -> Result<RgbaImage, Error> {
    let broken = |error: image::ImageError| {
        Error::invalid_input(format!(
            "`image` is cut short or damaged ({error}): send a whole PNG or JPEG file"
        ))
    };
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(Error::invalid_input(
            "`image` is neither a PNG nor a JPEG file: convert it to one of them",
        ));
    }
    let decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Error::too_large(format!(
            "`image` is {width} x {height} pixels, more than the {MAX_PIXELS} allowed: scale it down"
        )));
    }
    Ok(image::DynamicImage::from_decoder(decoder).map_err(broken)?.into_rgba8())
}

#[cfg(test)]
mod tests {
    use samara_sdk::ErrorKind;
    use samara_sdk::testing::call;

    use super::*;

    const SCENE: &[u8] = include_bytes!("../../scene.png");

    fn preprocessed(file: &[u8]) -> Result<Tensor, Error> {
        call::<preprocess>([("image", Bytes(file.to_vec()))])?.take("pixels")
    }

    #[test]
    fn a_picture_becomes_normal_pixels() {
        let pixels = preprocessed(SCENE).unwrap();
        assert_eq!(pixels.shape(), [1, 3, SIDE, SIDE]);
        let pixels = pixels.to_vec::<f32>().unwrap();
        assert!(pixels.iter().all(|pixel| pixel.abs() < 3.0));
    }

    #[test]
    fn what_is_no_picture_is_the_callers_mistake() {
        for (file, reason) in [
            (&b""[..], "neither a PNG nor a JPEG"),
            (b"%PDF-1.7", "neither a PNG nor a JPEG"),
            (&SCENE[..20], "cut short or damaged"),
            (&SCENE[..SCENE.len() / 2], "cut short or damaged"),
        ] {
            let error = preprocessed(file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains(reason), "{error}");
        }
    }
}
