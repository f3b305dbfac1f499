//! Tensors on their way to the device and back: narrow integers are widened to
//! 32 bits and cut again.

use std::borrow::Cow;

use bytes::Bytes;

use crate::dtype::Dtype;

/// Row-major, little-endian elements as they lie on the device, padded to whole
/// words.
pub(crate) fn to_device(dtype: Dtype, bytes: &[u8]) -> Cow<'_, [u8]> {
    match dtype {
        Dtype::Bool | Dtype::U8 => widen(bytes, |[byte]: [u8; 1]| u32::from(byte)),
        Dtype::I8 => widen(bytes, |byte: [u8; 1]| i32::from(i8::from_le_bytes(byte)) as u32),
        Dtype::U16 => widen(bytes, |two: [u8; 2]| u32::from(u16::from_le_bytes(two))),
        Dtype::I16 => widen(bytes, |two: [u8; 2]| i32::from(i16::from_le_bytes(two)) as u32),
        _ if bytes.len().is_multiple_of(4) => Cow::Borrowed(bytes),
        _ => {
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len().next_multiple_of(4), 0);
            Cow::Owned(padded)
        }
    }
}

/// `elements` elements from the device as they lie elsewhere.
pub(crate) fn from_device(dtype: Dtype, bytes: &[u8], elements: usize) -> Bytes {
    let words = bytes.chunks_exact(4).take(elements);
    match dtype {
        Dtype::Bool => words.map(|word| u8::from(word != [0; 4])).collect(),
        Dtype::U8 | Dtype::I8 => words.map(|word| word[0]).collect(),
        Dtype::U16 | Dtype::I16 => words.flat_map(|word| [word[0], word[1]]).collect(),
        _ => {
            let length = (elements * dtype.size() as usize).min(bytes.len());
            Bytes::copy_from_slice(&bytes[..length])
        }
    }
}

fn widen<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> u32) -> Cow<'static, [u8]> {
    let (elements, _) = bytes.as_chunks::<N>();
    Cow::Owned(elements.iter().flat_map(|&element| value(element).to_le_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_integers_come_back() {
        for (dtype, bytes) in [
            (Dtype::Bool, vec![0u8, 1, 1]),
            (Dtype::U8, vec![0, 1, 255]),
            (Dtype::I8, vec![0x80, 0xff, 0x7f]),
            (Dtype::U16, vec![0xff, 0xff, 1, 0, 0, 0x80]),
            (Dtype::I16, vec![0xff, 0xff, 0, 0x80, 1, 0]),
            (Dtype::F16, vec![1, 2, 3, 4, 5, 6]),
            (Dtype::I64, vec![7; 24]),
        ] {
            let device = to_device(dtype, &bytes);
            assert!(device.len().is_multiple_of(4));
            assert_eq!(from_device(dtype, &device, 3), bytes, "{dtype:?}");
        }
    }
}
