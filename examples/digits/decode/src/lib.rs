//! The stage in front of the model: a picture of one digit becomes its pixels.

use picture::{PictureError, SIDE};
use samara_sdk::{Bytes, Error, Tensor};

#[samara_sdk::function(outputs(pixels(datatype = FP32, shape = [1, 1, 8, 8])))]
fn decode(#[tensor(media_type = "image/*")] image: Bytes) -> Result<Tensor, Error> {
    let pixels = picture::pixels(&image.0).map_err(refused)?;
    Tensor::from_vec([1, 1, SIDE, SIDE], pixels.to_vec())
}

fn refused(error: PictureError) -> Error {
    match error {
        PictureError::TooLarge { .. } => Error::too_large(error.to_string()),
        _ => Error::invalid_input(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use samara_sdk::ErrorKind;
    use samara_sdk::testing::call;

    use super::*;

    fn decoded(file: &[u8]) -> Result<Tensor, Error> {
        call::<decode>([("image", Bytes(file.to_vec()))])?.take("pixels")
    }

    #[test]
    fn a_picture_becomes_a_tensor() {
        let pixels = decoded(include_bytes!("../../three.png")).unwrap();
        assert_eq!(pixels.shape(), [1, 1, 8, 8]);
    }

    #[test]
    fn what_is_no_picture_is_the_callers_mistake() {
        let error = decoded(b"%PDF-1.7").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("neither a PNG nor a JPEG"), "{error}");
    }
}
