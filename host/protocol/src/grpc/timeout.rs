//! The header `grpc-timeout`: up to eight digits and a unit, as the gRPC
//! protocol over HTTP/2 defines it.

use std::time::Duration;

use http::HeaderMap;

use crate::error::{Error, Result};

const HEADER: &str = "grpc-timeout";
const MOST_DIGITS: usize = 8;

/// How long the client waits, if it says so.
///
/// # Errors
/// [`Error::Malformed`] quoting a value of another form.
pub fn read(headers: &HeaderMap) -> Result<Option<Duration>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    parse(value.as_bytes()).map(Some).ok_or_else(|| {
        let value = String::from_utf8_lossy(value.as_bytes());
        Error::Malformed(format!(
            "the header `{HEADER}` is {value:?}, not up to 8 digits and one of H M S m u n"
        ))
    })
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let is_number = (1..=MOST_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_nothing_else() {
        assert_eq!(parse(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse(b"2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse(b"0S"), Some(Duration::ZERO));
        assert_eq!(parse(b"250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse(b"7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse(b"7n"), Some(Duration::from_nanos(7)));
        for wrong in [&b""[..], b"S", b"1", b"1s", b"-1S", b"+1S", b" 1S", b"123456789S", b"1.5S", b"\xff1S"]
        {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_quoted() {
        let headers =
            HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), "soon".parse().unwrap())]);
        assert!(read(&headers).unwrap_err().to_string().contains("\"soon\""));
        assert_eq!(read(&HeaderMap::new()).unwrap(), None);
    }
}
