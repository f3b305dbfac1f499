//! An HTTP function: reads the digits in pictures that are sent to it, for
//! people with a page and for programs with JSON.

mod answers;
mod upload;
mod web;

use std::io::Read;

use answers::{Lines, Rows};
use picture::{PictureError, SIDE};
use samara_sdk::{Error, ErrorKind, Tensor};
use upload::Upload;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, Method, ResponseOutparam};
use web::{Gone, Request, Response};

/// The largest file of a picture, in bytes.
const LARGEST: usize = 16 << 20;

struct ReadDigits;

impl Guest for ReadDigits {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        // Whoever has gone away is told nothing.
        let _: Result<(), Gone> = answer(&Request::new(request), Response::new(response));
    }
}

wasip2::http::proxy::export!(ReadDigits);

/// The digit that a picture shows, and how sure the model is, from 0 to 1.
struct Reading {
    digit: usize,
    probability: f32,
}

fn answer(request: &Request, response: Response) -> Result<(), Gone> {
    match (request.path.trim_matches('/'), &request.method) {
        ("", Method::Get | Method::Head) => response.whole(200, web::HTML, answers::FORM),
        ("", Method::Post) => match upload::boundary(request.header("content-type").as_deref()) {
            Some(boundary) => answer_upload(request, &boundary, response),
            None => answer_picture(request, response),
        },
        ("", _) => {
            let response = response.header("allow", "GET, HEAD, POST");
            response.whole(405, web::JSON, &answers::error("send GET or POST"))
        }
        (path, _) => {
            response.whole(404, web::JSON, &answers::error(&format!("there is nothing at `{path}`")))
        }
    }
}

/// One picture is the whole body.
fn answer_picture(request: &Request, response: Response) -> Result<(), Gone> {
    let mut file = Vec::new();
    let read = request.body()?.take(LARGEST as u64 + 1).read_to_end(&mut file);
    let reading = match read {
        Err(_) => return Err(Gone),
        Ok(length) if length > LARGEST => Err(too_large()),
        Ok(_) => recognise(&file),
    };
    match reading {
        Ok(reading) => response.whole(200, web::JSON, &answers::reading(&reading)),
        Err(error) => response.whole(status(error.kind()), web::JSON, &answers::error(error.message())),
    }
}

/// Each file of a form is a picture, read and answered while those behind it
/// are still on their way.
fn answer_upload(request: &Request, boundary: &str, response: Response) -> Result<(), Gone> {
    let mut upload = Upload::new(request.body()?, boundary, LARGEST);
    if request.header("accept").is_some_and(|accepted| accepted.contains("text/html")) {
        answers::stream(&mut upload, Rows(response.begin(200, web::HTML)?), recognise)
    } else {
        answers::stream(&mut upload, Lines(response.begin(200, web::JSON_LINES)?), recognise)
    }
}

/// Asks the model what digit a PNG or JPEG file shows.
///
/// # Errors
/// `invalid-input` and `too-large` are the caller's fault.
fn recognise(file: &[u8]) -> Result<Reading, Error> {
    let pixels = picture::pixels(file).map_err(|error| match error {
        PictureError::TooLarge { .. } => Error::too_large(error.to_string()),
        _ => Error::invalid_input(error.to_string()),
    })?;
    let pixels = Tensor::from_vec([1, 1, SIDE, SIDE], pixels.to_vec())?;
    let outputs = samara_sdk::model("digits")?.run([("pixels", pixels)])?;
    let probabilities = outputs.get("probabilities").ok_or("the model gives no `probabilities`")?;
    let best =
        probabilities.as_slice::<f32>()?.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    let (digit, probability) = best.ok_or("the model gives no probability")?;
    Ok(Reading { digit, probability })
}

fn too_large() -> Error {
    Error::too_large(format!("`image` is larger than {LARGEST} bytes"))
}

/// The status of an answer that is nothing but an error.
fn status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::InvalidInput => 400,
        ErrorKind::TooLarge => 413,
        ErrorKind::Timeout => 504,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use samara_sdk::{Tensors, testing};

    use super::*;

    #[test]
    fn the_likeliest_digit_is_the_answer() {
        let model = |_: Tensors| {
            let mut row = vec![0.05_f32; 10];
            row[3] = 0.55;
            Tensors::new().with("probabilities", Tensor::from_vec([1, 10], row)?)
        };
        testing::with_model("digits", model, || {
            let reading = recognise(include_bytes!("../../digits/three.png")).unwrap();
            assert_eq!((reading.digit, reading.probability), (3, 0.55));
        });
    }

    #[test]
    fn what_is_no_picture_never_reaches_the_model() {
        let error = recognise(b"%PDF-1.7").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
