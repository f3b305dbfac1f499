//! Media types and compression of bodies.

use std::io::Read;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder, ZlibDecoder};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Result};

/// Smaller answers are sent faster than they are compressed.
const LEAST_TO_PACK: usize = 64 << 10;

/// Refuses what a page of another origin could send without its browser asking
/// first: forms and plain text. Programs may leave their type as it comes.
///
/// # Errors
/// [`Error::MediaType`].
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<()> {
    let (Some(value), true) = (headers.get(CONTENT_TYPE), headers.contains_key(ORIGIN)) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    let is_one = |known: &str| text.eq_ignore_ascii_case(known);
    let is_json = is_one("application/json") || is_one("application/octet-stream") || ends_in_json(text);
    if is_json || text.is_empty() && value.is_empty() {
        return Ok(());
    }
    Err(Error::MediaType {
        found: format!("`{}`", String::from_utf8_lossy(value.as_bytes())),
        expected: "`Content-Type: application/json`",
    })
}

fn ends_in_json(text: &str) -> bool {
    const SUFFIX: &[u8] = b"+json";
    let bytes = text.as_bytes();
    bytes.len() > SUFFIX.len() && bytes[bytes.len() - SUFFIX.len()..].eq_ignore_ascii_case(SUFFIX)
}

/// A compressed body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    /// In the zlib format, which is what HTTP calls deflate.
    Deflate,
}

/// A body without its compression, of at most `limit` bytes.
///
/// # Errors
/// [`Error::MediaType`] for a compression that is not known,
/// [`Error::Malformed`] for a body that is not compressed so,
/// [`Error::TooLarge`].
pub(super) async fn unpacked(headers: &HeaderMap, body: Bytes, limit: u64) -> Result<Bytes> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    let Some(packing) = packing(encoding)? else { return Ok(body) };
    on_a_thread(move || unpack(packing, &body, limit)).await?
}

fn packing(encoding: &HeaderValue) -> Result<Option<Packing>> {
    match encoding.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(None),
        b"gzip" | b"x-gzip" => Ok(Some(Packing::Gzip)),
        b"deflate" => Ok(Some(Packing::Deflate)),
        other => Err(Error::MediaType {
            found: format!("with `Content-Encoding: {}`", String::from_utf8_lossy(other)),
            expected: "it as it is, or in `gzip` or `deflate`",
        }),
    }
}

fn unpack(packing: Packing, body: &[u8], limit: u64) -> Result<Bytes> {
    // One byte more shows that there is more.
    let most = limit.saturating_add(1);
    let mut unpacked = Vec::new();
    let read = match packing {
        Packing::Gzip => GzDecoder::new(body).take(most).read_to_end(&mut unpacked),
        Packing::Deflate => ZlibDecoder::new(body).take(most).read_to_end(&mut unpacked),
    };
    read.map_err(|error| {
        Error::Malformed(format!("the body is not compressed as its header says: {error}"))
    })?;
    if unpacked.len() as u64 > limit {
        return Err(Error::TooLarge { what: "the body of the request, uncompressed,", limit });
    }
    Ok(unpacked.into())
}

/// Whether an answer of `length` bytes is worth compressing for this client.
pub(super) fn is_worth_packing(headers: &HeaderMap, length: usize) -> bool {
    length >= LEAST_TO_PACK && headers.get_all(ACCEPT_ENCODING).iter().any(accepts_gzip)
}

fn accepts_gzip(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map(str::parse::<f32>);
        is_gzip && weight.is_none_or(|weight| weight.is_ok_and(|weight| weight > 0.0))
    })
}

/// The header of what [`packed`] gives.
pub(super) const PACKED: (HeaderName, HeaderValue) = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));

/// A body compressed with gzip.
///
/// # Errors
/// None that memory does not make.
pub(super) fn packed(body: &[u8]) -> Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(body.len() / 2);
    let read = GzEncoder::new(body, Compression::fast()).read_to_end(&mut packed);
    read.map_err(|error| Error::Internal(format!("compressing an answer: {error}")))?;
    Ok(packed)
}

/// Does work that takes longer than a request should hold up others for.
///
/// # Errors
/// [`Error::Internal`] where it panicked.
pub(super) async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| Error::Internal(format!("reading or writing a body panicked: {panic}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn pages_send_media_types_of_the_protocol_and_programs_any() {
        let from_a_page = |value| {
            let mut headers = headers(CONTENT_TYPE, value);
            headers.insert(ORIGIN, HeaderValue::from_static("https://a.example"));
            check_media_type(&headers)
        };
        for fine in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON",
            "application/octet-stream",
            "application/vnd.x+json",
            "",
        ] {
            from_a_page(fine).unwrap();
        }
        check_media_type(&HeaderMap::new()).unwrap();
        for wrong in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "+json",
            "x",
        ] {
            check_media_type(&headers(CONTENT_TYPE, wrong)).unwrap();
            let error = from_a_page(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[tokio::test]
    async fn what_was_packed_is_unpacked_up_to_the_limit() {
        let text = b"samara ".repeat(1000);
        let gzip = headers(CONTENT_ENCODING, "gzip");
        let body = Bytes::from(packed(&text).unwrap());
        assert_eq!(unpacked(&gzip, body.clone(), 7000).await.unwrap(), text);
        let error = unpacked(&gzip, body.clone(), 6999).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 6999, .. }), "{error}");
        let error = unpacked(&headers(CONTENT_ENCODING, "deflate"), body.clone(), 7000).await.unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}");
        let error = unpacked(&headers(CONTENT_ENCODING, "br"), body.clone(), 7000).await.unwrap_err();
        assert!(error.to_string().contains("br"), "{error}");
        let cut = unpacked(&gzip, body.slice(..20), 7000).await.unwrap_err();
        assert!(matches!(cut, Error::Malformed(_)), "{cut}");
        let mut deflated = Vec::new();
        flate2::read::ZlibEncoder::new(&text[..], Compression::fast()).read_to_end(&mut deflated).unwrap();
        assert_eq!(
            unpacked(&headers(CONTENT_ENCODING, "deflate"), deflated.into(), 7000).await.unwrap(),
            text
        );
    }

    #[test]
    fn only_large_answers_are_packed_and_only_for_who_wants_it() {
        let is_worth = |accepted, length| is_worth_packing(&headers(ACCEPT_ENCODING, accepted), length);
        assert!(is_worth("deflate, gzip;q=0.5", LEAST_TO_PACK));
        assert!(!is_worth("gzip", LEAST_TO_PACK - 1));
        assert!(!is_worth("gzip;q=0", LEAST_TO_PACK));
        assert!(!is_worth("identity", LEAST_TO_PACK));
    }
}
