//! The pixels of an image as a tensor of numbers.

use std::io::Cursor;

use anyhow::{Context, Result, bail};
use half::{bf16, f16};
use image::{DynamicImage, ImageFormat, ImageReader};
use samara_nn::{Datatype, Tensor, TensorSpec, format_shape};

/// Where the axes of an image stand in a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axes {
    channels: usize,
    order: Order,
    height: i64,
    width: i64,
    /// Axes of size 1 in front.
    batch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Grey, without an axis for it.
    Plane,
    ChannelsFirst,
    ChannelsLast,
}

/// The format that the first bytes show, where it is one that can be read.
pub(crate) fn format(bytes: &[u8]) -> Option<ImageFormat> {
    image::guess_format(bytes).ok().filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg))
}

/// Decodes an image into the layout that `spec` shows: grey or RGB, channels
/// first or last; UINT8 as the bytes are, floats from 0 to 1. Transparency is
/// dropped.
///
/// # Errors
/// When the image is damaged, has another size, or `spec` is no image.
pub(crate) fn read(bytes: &[u8], format: ImageFormat, spec: &TensorSpec) -> Result<Tensor> {
    let axes = axes(&spec.shape).with_context(|| {
        format!(
            "an image needs a shape like [H,W], [1,H,W], [3,H,W], [H,W,3] or one of these with a batch axis, and {} is none",
            format_shape(&spec.shape)
        )
    })?;
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader.set_format(format);
    let picture = reader.decode().context("the image is damaged")?;
    check_size(&picture, &axes)?;
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    let pixels = match axes.channels {
        1 => picture.into_luma8().into_raw(),
        _ => picture.into_rgb8().into_raw(),
    };
    let (pixels, mut shape) = match axes.order {
        Order::Plane => (pixels, vec![height, width]),
        Order::ChannelsLast => (pixels, vec![height, width, axes.channels]),
        Order::ChannelsFirst => (planes(&pixels, axes.channels), vec![axes.channels, height, width]),
    };
    if axes.batch {
        shape.insert(0, 1);
    }
    to_tensor(pixels, shape, spec.datatype)
}

fn axes(shape: &[i64]) -> Option<Axes> {
    let (batch, inner) = match *shape {
        [_, _] => (false, shape),
        [-1 | 1, ref inner @ ..] if inner.len() == 3 => (true, inner),
        [_, _, _] => (false, shape),
        _ => return None,
    };
    let axes = |channels: i64, order, height, width| {
        Some(Axes { channels: usize::try_from(channels).ok()?, order, height, width, batch })
    };
    match *inner {
        [height, width] => axes(1, Order::Plane, height, width),
        [3, _, 3] => None,
        [channels @ (1 | 3), height, width] => axes(channels, Order::ChannelsFirst, height, width),
        [height, width, channels @ (1 | 3)] => axes(channels, Order::ChannelsLast, height, width),
        // Grey with a batch axis.
        [-1, height, width] => Some(Axes { channels: 1, order: Order::Plane, height, width, batch: true }),
        _ => None,
    }
}

fn check_size(picture: &DynamicImage, axes: &Axes) -> Result<()> {
    let fits = |asked: i64, found: u32| asked < 0 || asked == i64::from(found);
    if fits(axes.height, picture.height()) && fits(axes.width, picture.width()) {
        return Ok(());
    }
    let size = |size: i64| if size < 0 { "any".to_owned() } else { size.to_string() };
    bail!(
        "the image is {}x{} pixels (width x height), and the input asks for {}x{}\nhint: scale the image first; samara gives pixels to a model as they are",
        picture.width(),
        picture.height(),
        size(axes.width),
        size(axes.height)
    )
}

/// Interleaved channels, one plane after the other.
fn planes(pixels: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|channel| pixels.iter().skip(channel).step_by(channels).copied()).collect()
}

fn to_tensor(pixels: Vec<u8>, shape: Vec<usize>, datatype: Datatype) -> Result<Tensor> {
    let scaled = || pixels.iter().map(|&value| f32::from(value) / 255.0);
    Ok(match datatype {
        Datatype::Uint8 => Tensor::from_vec(shape, pixels)?,
        Datatype::Fp32 => Tensor::from_vec(shape, scaled().collect::<Vec<f32>>())?,
        Datatype::Fp16 => Tensor::from_vec(shape, scaled().map(f16::from_f32).collect::<Vec<f16>>())?,
        Datatype::Bf16 => Tensor::from_vec(shape, scaled().map(bf16::from_f32).collect::<Vec<bf16>>())?,
        Datatype::Fp64 => Tensor::from_vec(
            shape,
            pixels.iter().map(|&value| f64::from(value) / 255.0).collect::<Vec<f64>>(),
        )?,
        other => bail!("pixels are given as UINT8 or floats, and the input asks for {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG, 4 wide and 2 high, red growing to the right.
    fn png() -> Vec<u8> {
        let picture = image::RgbImage::from_fn(4, 2, |x, y| image::Rgb([x as u8 * 80, y as u8, 255]));
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    fn pixels(datatype: Datatype, shape: &[i64]) -> Result<Tensor> {
        let bytes = png();
        read(&bytes, format(&bytes).unwrap(), &TensorSpec::new("image", datatype, shape))
    }

    #[test]
    fn channels_go_where_the_shape_shows() {
        let both = pixels(Datatype::Uint8, &[-1, 3, 2, 3]).unwrap_err().to_string();
        assert!(both.contains("is none"), "two axes of three are ambiguous: {both}");
        let first = pixels(Datatype::Uint8, &[1, 3, 2, -1]).unwrap();
        assert_eq!(first.shape(), [1, 3, 2, 4]);
        assert_eq!(&first.data()[..12], [0, 80, 160, 240, 0, 80, 160, 240, 0, 0, 0, 0]);
        let last = pixels(Datatype::Uint8, &[-1, -1, -1, 3]).unwrap();
        assert_eq!(last.shape(), [1, 2, 4, 3]);
        assert_eq!(&last.data()[..6], [0, 0, 255, 80, 0, 255]);
    }

    #[test]
    fn floats_go_from_zero_to_one() {
        let tensor = pixels(Datatype::Fp32, &[3, 2, -1]).unwrap();
        assert_eq!(tensor.elements::<f32>().unwrap()[16], 1.0);
        assert!(pixels(Datatype::Int32, &[3, 2, -1]).unwrap_err().to_string().contains("INT32"));
    }

    #[test]
    fn one_channel_is_grey() {
        let cases: [(&[i64], &[usize]); 4] = [
            (&[2, 4], &[2, 4]),
            (&[1, 2, -1], &[1, 2, 4]),
            (&[-1, 2, 4], &[1, 2, 4]),
            (&[-1, 1, 2, 4], &[1, 1, 2, 4]),
        ];
        for (declared, shape) in cases {
            assert_eq!(pixels(Datatype::Uint8, declared).unwrap().shape(), shape);
        }
    }

    #[test]
    fn another_size_is_named() {
        let message = pixels(Datatype::Fp32, &[1, 3, 224, 224]).unwrap_err().to_string();
        assert!(
            message.starts_with(
                "the image is 4x2 pixels (width x height), and the input asks for 224x224\nhint: "
            ),
            "{message}"
        );
    }

    #[test]
    fn a_cut_image_is_damaged() {
        let bytes = png();
        let spec = TensorSpec::new("image", Datatype::Uint8, [2, 4]);
        let error = read(&bytes[..40], ImageFormat::Png, &spec).unwrap_err();
        assert_eq!(error.to_string(), "the image is damaged");
    }
}
