//! Protobuf messages, read in place: no copy of the weights, no recursion that
//! the bytes control.

use std::fmt;

/// The fields of one message, in the order in which they were written.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// One field's value as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

/// Bytes that are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A field claims more bytes than there are.
    Truncated {
        field: u32,
        claimed: u64,
        left: usize,
    },
    /// A tag or number that protobuf does not have.
    Malformed,
    /// A field holds another kind of value than the format says.
    WrongKind {
        field: u32,
    },
    NotText {
        field: u32,
    },
    /// Where data lie is said twice.
    TwoPlaces,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Truncated { field, claimed, left } => {
                write!(f, "field {field} claims {claimed} bytes where {left} are left; the file is cut off")
            }
            Damage::TwoPlaces => f.write_str("a tensor says twice where its data lie"),
            Damage::Malformed => f.write_str("the bytes are not a protobuf message"),
            Damage::WrongKind { field } => write!(f, "field {field} holds a value of the wrong kind"),
            Damage::NotText { field } => write!(f, "field {field} is not UTF-8 text"),
        }
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn varint(&mut self) -> Result<u64, Damage> {
        let mut value = 0u64;
        for index in 0..10 {
            let (&byte, rest) = self.rest.split_first().ok_or(Damage::Malformed)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage::Malformed)
    }

    fn take<const N: usize>(&mut self, field: u32) -> Result<[u8; N], Damage> {
        let left = self.rest.len();
        let (bytes, rest) =
            self.rest.split_first_chunk().ok_or(Damage::Truncated { field, claimed: N as u64, left })?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Damage> {
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).ok().filter(|&field| field != 0).ok_or(Damage::Malformed)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.take(field)?),
            5 => Value::Fixed32(self.take(field)?),
            2 => {
                let claimed = self.varint()?;
                let left = self.rest.len();
                let split =
                    usize::try_from(claimed).ok().and_then(|length| self.rest.split_at_checked(length));
                let (bytes, rest) = split.ok_or(Damage::Truncated { field, claimed, left })?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            _ => return Err(Damage::Malformed),
        };
        Ok((field, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Writer {
    written: Vec<u8>,
}

impl Writer {
    pub(crate) fn value(&mut self, field: u32, value: Value<'_>) {
        let (kind, field) = (value.kind(), u64::from(field));
        self.varint(field << 3 | kind);
        match value {
            Value::Varint(value) => self.varint(value),
            Value::Fixed32(bytes) => self.written.extend(bytes),
            Value::Fixed64(bytes) => self.written.extend(bytes),
            Value::Bytes(bytes) => {
                self.varint(bytes.len() as u64);
                self.written.extend(bytes);
            }
        }
    }

    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.value(field, Value::Bytes(bytes));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.written
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.written.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.written.push(value as u8);
    }
}

impl<'a> Value<'a> {
    /// The number by which a tag names this kind of value.
    fn kind(self) -> u64 {
        match self {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        }
    }

    pub(crate) fn bytes(self, field: u32) -> Result<&'a [u8], Damage> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Damage::WrongKind { field }),
        }
    }

    pub(crate) fn text(self, field: u32) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| Damage::NotText { field })
    }

    pub(crate) fn int(self, field: u32) -> Result<i64, Damage> {
        match self {
            // Protobuf writes an int64 as the varint of its two's complement.
            Value::Varint(value) => Ok(value.cast_signed()),
            _ => Err(Damage::WrongKind { field }),
        }
    }

    /// The integers of one occurrence of a repeated field, packed or not.
    pub(crate) fn ints(self, field: u32) -> Result<Vec<i64>, Damage> {
        match self {
            Value::Varint(value) => Ok(vec![value.cast_signed()]),
            Value::Bytes(bytes) => {
                let mut packed = Fields::new(bytes);
                let mut ints = Vec::new();
                while !packed.rest.is_empty() {
                    ints.push(packed.varint()?.cast_signed());
                }
                Ok(ints)
            }
            _ => Err(Damage::WrongKind { field }),
        }
    }

    pub(crate) fn float(self, field: u32) -> Result<f32, Damage> {
        match self {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(Damage::WrongKind { field }),
        }
    }

    /// The numbers of one occurrence of a repeated field, packed or not.
    pub(crate) fn floats(self, field: u32) -> Result<Vec<f32>, Damage> {
        match self {
            Value::Fixed32(bytes) => Ok(vec![f32::from_le_bytes(bytes)]),
            Value::Bytes(bytes) => Ok(bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()),
            _ => Err(Damage::WrongKind { field }),
        }
    }

    /// The numbers of one occurrence of a repeated field, packed or not.
    pub(crate) fn doubles(self, field: u32) -> Result<Vec<f64>, Damage> {
        match self {
            Value::Fixed64(bytes) => Ok(vec![f64::from_le_bytes(bytes)]),
            Value::Bytes(bytes) => Ok(bytes.as_chunks().0.iter().copied().map(f64::from_le_bytes).collect()),
            _ => Err(Damage::WrongKind { field }),
        }
    }

    /// How many varints one occurrence of a repeated field holds.
    pub(crate) fn count_varints(self, field: u32) -> Result<u64, Damage> {
        match self {
            Value::Varint(_) => Ok(1),
            // Every varint ends with the one byte whose top bit is clear.
            Value::Bytes(bytes) => Ok(bytes.iter().filter(|&&byte| byte < 0x80).count() as u64),
            _ => Err(Damage::WrongKind { field }),
        }
    }

    /// How many numbers of `size` bytes one occurrence of a repeated field holds.
    pub(crate) fn count_fixed(self, field: u32, size: usize) -> Result<u64, Damage> {
        match self {
            Value::Fixed32(_) if size == 4 => Ok(1),
            Value::Fixed64(_) if size == 8 => Ok(1),
            Value::Bytes(bytes) if bytes.len() % size == 0 => Ok((bytes.len() / size) as u64),
            _ => Err(Damage::WrongKind { field }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_field_is_read() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 1, 0, 0, 0, 0x21, 2, 0, 0, 0, 0, 0, 0, 0];
        let fields: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0], (1, Value::Varint(150)));
        assert_eq!(fields[1].1.text(2), Ok("hi"));
        assert_eq!(fields[2], (3, Value::Fixed32([1, 0, 0, 0])));
        assert_eq!(fields[3], (4, Value::Fixed64([2, 0, 0, 0, 0, 0, 0, 0])));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        let values = [
            (1, Value::Varint(u64::MAX)),
            (2, Value::Bytes(b"hi")),
            (300, Value::Fixed32([1, 2, 3, 4])),
            (4, Value::Fixed64([8; 8])),
        ];
        values.iter().for_each(|&(field, value)| writer.value(field, value));
        let bytes = writer.finish();
        let fields: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields, values);
    }

    #[test]
    fn damage_is_found_and_ends_the_walk() {
        let mut cut = Fields::new(&[0x12, 200, 1, 0]);
        assert_eq!(cut.next(), Some(Err(Damage::Truncated { field: 2, claimed: 200, left: 1 })));
        assert_eq!(cut.next(), None);
        for bytes in [&[0xff; 12][..], &[0x0b], &[0x00, 0x01], &[0x08]] {
            assert!(Fields::new(bytes).any(|field| field.is_err()), "{bytes:?}");
        }
    }

    #[test]
    fn repeated_integers_are_read_packed_and_loose() {
        assert_eq!(Value::Bytes(&[1, 0x96, 0x01]).ints(1), Ok(vec![1, 150]));
        assert_eq!(Value::Varint(7).ints(1), Ok(vec![7]));
        assert_eq!(Value::Bytes(&[1, 0x96, 0x01]).count_varints(1), Ok(2));
        assert_eq!(Value::Bytes(&[0; 8]).count_fixed(1, 4), Ok(2));
        assert!(Value::Bytes(&[0; 7]).count_fixed(1, 4).is_err());
    }
}
