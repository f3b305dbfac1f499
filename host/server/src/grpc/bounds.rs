//! How many parts a message may have. Each costs more memory here than on the
//! wire, up to a hundredfold for an empty one, so they are counted before the
//! message is read.

use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

/// Fields of a request, of its inputs and of its outputs, together: each tensor
/// has about four, each parameter is one.
const FIELDS: usize = 1 << 14;
/// Elements of BYTES in typed contents; raw ones are not limited in number.
const ELEMENTS: usize = 1 << 20;

/// `inputs` of `ModelInferRequest`: no other request has a field of this number.
const INPUTS: u32 = 5;
/// `outputs` of `ModelInferRequest`.
const OUTPUTS: u32 = 6;
/// `contents` of an input.
const CONTENTS: u32 = 5;
/// `bytes_contents` of `contents`.
const BYTES_CONTENTS: u32 = 8;

/// Counts the parts of a request. What is no message at all passes: the reader
/// stops where the count does.
///
/// # Errors
/// What there is too much of.
pub(super) fn check(message: &[u8]) -> Result<(), String> {
    let (mut fields, mut elements) = (0, 0);
    each_field(message, |number, field| {
        count(&mut fields, FIELDS, "fields")?;
        match number {
            INPUTS => each_field(field, |number, contents| {
                count(&mut fields, FIELDS, "fields")?;
                if number != CONTENTS {
                    return Ok(());
                }
                each_field(contents, |number, _| match number {
                    BYTES_CONTENTS => count(&mut elements, ELEMENTS, "elements in `bytes_contents`"),
                    _ => Ok(()),
                })
            }),
            OUTPUTS => each_field(field, |_, _| count(&mut fields, FIELDS, "fields")),
            _ => Ok(()),
        }
    })
}

fn count(counted: &mut usize, limit: usize, what: &str) -> Result<(), String> {
    *counted += 1;
    if *counted > limit {
        return Err(format!("the request has more than {limit} {what}"));
    }
    Ok(())
}

/// Visits every field that has a length, with its number.
fn each_field(
    mut message: &[u8],
    mut visit: impl FnMut(u32, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    while message.has_remaining() {
        let Ok((number, wire)) = decode_key(&mut message) else { return Ok(()) };
        let length = match wire {
            WireType::LengthDelimited => decode_varint(&mut message).ok(),
            WireType::Varint => decode_varint(&mut message).ok().map(|_| 0),
            WireType::SixtyFourBit => Some(8),
            WireType::ThirtyTwoBit => Some(4),
            WireType::StartGroup | WireType::EndGroup => {
                return Err("the request has groups, which this protocol does not use".to_owned());
            }
        };
        let length = length.and_then(|length| usize::try_from(length).ok());
        let Some((field, rest)) = length.and_then(|length| message.split_at_checked(length)) else {
            return Ok(());
        };
        if wire == WireType::LengthDelimited {
            visit(number, field)?;
        }
        message = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::grpc::proto::model_infer_request::InferInputTensor;
    use crate::grpc::proto::{InferTensorContents, ModelInferRequest};

    fn inputs(count: usize) -> Vec<u8> {
        let inputs = vec![InferInputTensor::default(); count];
        ModelInferRequest { inputs, ..ModelInferRequest::default() }.encode_to_vec()
    }

    #[test]
    fn fields_are_counted_wherever_they_are() {
        assert_eq!(check(&inputs(FIELDS)), Ok(()));
        assert!(check(&inputs(FIELDS + 1)).unwrap_err().contains("more than 16384 fields"));
        let elements = |count| {
            let contents = InferTensorContents {
                bytes_contents: vec![bytes::Bytes::new(); count],
                ..InferTensorContents::default()
            };
            let input = InferInputTensor { contents: Some(contents), ..InferInputTensor::default() };
            ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() }.encode_to_vec()
        };
        assert_eq!(check(&elements(ELEMENTS)), Ok(()));
        assert!(check(&elements(ELEMENTS + 1)).unwrap_err().contains("1048576 elements"));
    }

    #[test]
    fn junk_is_left_to_the_reader_and_groups_are_refused() {
        for junk in [&b"\xff"[..], b"\x2a", b"\x2a\x05abc", b"\x08", b"\x0d\x01"] {
            assert_eq!(check(junk), Ok(()), "{junk:?}");
        }
        assert!(check(b"\x0b\x0c").unwrap_err().contains("groups"));
    }
}
