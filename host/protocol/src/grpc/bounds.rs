//! How many parts a message may have, and what its lists of numbers become. Each
//! part costs more memory here than on the wire, up to a hundredfold for an empty
//! one, and a number up to eightfold, so they are counted before the message is
//! read.

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

/// Counts the parts of a request, and gives how many bytes the lists of its
/// typed contents become. What is no message at all passes: the reader stops
/// where the count does.
///
/// # Errors
/// What there is too much of.
pub fn check(message: &[u8]) -> Result<u64, String> {
    let (mut fields, mut elements, mut lists) = (0, 0, 0);
    each_field(message, |number, field| {
        let Field::Bytes(field) = field else { return Ok(()) };
        count(&mut fields, FIELDS, "fields")?;
        match number {
            INPUTS => each_field(field, |number, contents| {
                let Field::Bytes(contents) = contents else { return Ok(()) };
                count(&mut fields, FIELDS, "fields")?;
                if number != CONTENTS {
                    return Ok(());
                }
                each_field(contents, |number, list| {
                    if number == BYTES_CONTENTS {
                        count(&mut elements, ELEMENTS, "elements in `bytes_contents`")?;
                    }
                    lists += memory(number, list);
                    Ok(())
                })
            }),
            OUTPUTS => each_field(field, |_, field| match field {
                Field::Bytes(_) => count(&mut fields, FIELDS, "fields"),
                Field::Number => Ok(()),
            }),
            _ => Ok(()),
        }
    })?;
    Ok(lists)
}

/// A field of a message.
#[derive(Clone, Copy)]
enum Field<'m> {
    /// One that has a length: a message, a text, or a list of numbers.
    Bytes(&'m [u8]),
    Number,
}

/// Bytes that a part of a list becomes, by its number in `contents`.
fn memory(number: u32, part: Field<'_>) -> u64 {
    /// One byte less than 128 ends each number of a list.
    fn varints(list: &[u8]) -> usize {
        list.iter().filter(|&&byte| byte < 0x80).count()
    }
    let (size, count): (usize, fn(&[u8]) -> usize) = match number {
        1 => (size_of::<bool>(), varints),
        2 | 4 => (size_of::<u32>(), varints),
        3 | 5 => (size_of::<u64>(), varints),
        6 => (size_of::<f32>(), |list| list.len() / size_of::<f32>()),
        7 => (size_of::<f64>(), |list| list.len() / size_of::<f64>()),
        BYTES_CONTENTS => (size_of::<bytes::Bytes>(), |_| 1),
        _ => return 0,
    };
    let count = match part {
        Field::Bytes(list) => count(list),
        Field::Number => 1,
    };
    (size * count) as u64
}

fn count(counted: &mut usize, limit: usize, what: &str) -> Result<(), String> {
    *counted += 1;
    if *counted > limit {
        return Err(format!("the request has more than {limit} {what}"));
    }
    Ok(())
}

/// Visits every field, with its number.
fn each_field(
    mut message: &[u8],
    mut visit: impl FnMut(u32, Field<'_>) -> Result<(), String>,
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
        let is_bytes = wire == WireType::LengthDelimited;
        visit(number, if is_bytes { Field::Bytes(field) } else { Field::Number })?;
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
        assert_eq!(check(&inputs(FIELDS)), Ok(0));
        assert!(check(&inputs(FIELDS + 1)).unwrap_err().contains("more than 16384 fields"));
        let elements = |count| {
            let contents = InferTensorContents {
                bytes_contents: vec![bytes::Bytes::new(); count],
                ..InferTensorContents::default()
            };
            let input = InferInputTensor { contents: Some(contents), ..InferInputTensor::default() };
            ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() }.encode_to_vec()
        };
        let size = size_of::<bytes::Bytes>() * ELEMENTS;
        assert_eq!(check(&elements(ELEMENTS)), Ok(size as u64));
        assert!(check(&elements(ELEMENTS + 1)).unwrap_err().contains("1048576 elements"));
    }

    #[test]
    fn lists_count_as_what_they_become() {
        let request = |contents: InferTensorContents| {
            let input = InferInputTensor { contents: Some(contents), ..InferInputTensor::default() };
            ModelInferRequest { inputs: vec![input.clone(), input], ..ModelInferRequest::default() }
        };
        let contents = InferTensorContents {
            bool_contents: vec![true; 3],
            int_contents: vec![-1, 0, i32::MAX],
            int64_contents: vec![1; 5],
            uint_contents: vec![u32::MAX; 7],
            uint64_contents: vec![u64::MAX, 0],
            fp32_contents: vec![0.5; 9],
            fp64_contents: vec![0.5; 11],
            bytes_contents: vec![bytes::Bytes::from_static(b"text"); 2],
        };
        let one = 3 + 3 * 4 + 5 * 8 + 7 * 4 + 2 * 8 + 9 * 4 + 11 * 8 + 2 * size_of::<bytes::Bytes>();
        assert_eq!(check(&request(contents).encode_to_vec()), Ok(2 * one as u64));
        // Numbers one by one, as old writers have them: field 3, twice, and 6.
        let single = [0x2a, 11, 0x2a, 9, 0x18, 1, 0x18, 2, 0x35, 0, 0, 0, 0];
        assert_eq!(check(&single), Ok(8 + 8 + 4));
    }

    #[test]
    fn junk_is_left_to_the_reader_and_groups_are_refused() {
        for junk in [&b"\xff"[..], b"\x2a", b"\x2a\x05abc", b"\x08", b"\x0d\x01"] {
            assert_eq!(check(junk), Ok(0), "{junk:?}");
        }
        assert!(check(b"\x0b\x0c").unwrap_err().contains("groups"));
    }
}
