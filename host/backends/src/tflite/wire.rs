//! FlatBuffers, read in place: every offset is checked before it is followed, and a
//! file cannot make the reader visit more parts than it has bytes.

use std::cell::Cell;
use std::fmt;

/// Bytes that are no sound FlatBuffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// An offset leads out of the file.
    Outside {
        offset: usize,
        length: usize,
    },
    /// A number lies where numbers of its size cannot.
    Unaligned {
        offset: usize,
    },
    /// The same parts are referred to over and over.
    TooManyParts,
    NotText,
    /// What the format demands is not there.
    Missing {
        what: &'static str,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Outside { offset, length } => {
                write!(f, "an offset leads to byte {offset} of {length}; the file is cut off or damaged")
            }
            Damage::Unaligned { offset } => write!(f, "byte {offset} begins a number that is not aligned"),
            Damage::TooManyParts => f.write_str("its parts are referred to more often than it has bytes"),
            Damage::NotText => f.write_str("a name in it is not UTF-8 text"),
            Damage::Missing { what } => write!(f, "it has no {what}"),
        }
    }
}

/// A file, and how many parts of it may still be visited.
pub(crate) struct Buffer<'a> {
    bytes: &'a [u8],
    left: Cell<usize>,
}

/// A table: fields by their numbers, each there or not.
#[derive(Clone, Copy)]
pub(crate) struct Table<'b, 'a> {
    buffer: &'b Buffer<'a>,
    at: usize,
    /// Where the fields' places stand, two bytes each.
    places: &'a [u8],
    /// Bytes of the table itself.
    length: usize,
}

/// A number that stands in the file in little-endian order.
pub(crate) trait Number: Sized + Copy {
    const SIZE: usize;
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Number for $number {
            const SIZE: usize = size_of::<$number>();
            fn from_bytes(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$number>()];
                array.copy_from_slice(bytes);
                <$number>::from_le_bytes(array)
            }
        })*
    };
}

numbers!(i8, u8, u16, i32, u32, i64, u64, f32);

impl<'a> Buffer<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, left: Cell::new(bytes.len()) }
    }

    pub(crate) fn root(&self) -> Result<Table<'_, 'a>, Damage> {
        self.table(self.follow(0)?)
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], Damage> {
        let outside = Damage::Outside { offset: at, length: self.bytes.len() };
        let end = at.checked_add(length).ok_or(outside)?;
        self.bytes.get(at..end).ok_or(outside)
    }

    fn number<N: Number>(&self, at: usize) -> Result<N, Damage> {
        if !at.is_multiple_of(N::SIZE) {
            return Err(Damage::Unaligned { offset: at });
        }
        Ok(N::from_bytes(self.slice(at, N::SIZE)?))
    }

    /// Where the offset at `at` leads.
    fn follow(&self, at: usize) -> Result<usize, Damage> {
        let offset = self.number::<u32>(at)? as usize;
        let to = at.checked_add(offset).filter(|&to| offset > 0 && to < self.bytes.len());
        to.ok_or(Damage::Outside { offset: at.saturating_add(offset), length: self.bytes.len() })
    }

    fn visit(&self) -> Result<(), Damage> {
        let left = self.left.get().checked_sub(1).ok_or(Damage::TooManyParts)?;
        self.left.set(left);
        Ok(())
    }

    fn table(&self, at: usize) -> Result<Table<'_, 'a>, Damage> {
        self.visit()?;
        let outside = Damage::Outside { offset: at, length: self.bytes.len() };
        let back = i64::from(self.number::<i32>(at)?);
        let places = i64::try_from(at).ok().and_then(|at| usize::try_from(at - back).ok()).ok_or(outside)?;
        let size = usize::from(self.number::<u16>(places)?);
        let length = usize::from(self.number::<u16>(places.saturating_add(2))?);
        if size < 4 || size % 2 != 0 || length < 4 {
            return Err(outside);
        }
        self.slice(at, length)?;
        Ok(Table { buffer: self, at, places: &self.slice(places, size)?[4..], length })
    }

    /// The elements of the vector at `at`, of `size` bytes each, aligned to them.
    fn vector(&self, at: usize, size: usize) -> Result<&'a [u8], Damage> {
        let count = self.number::<u32>(at)? as usize;
        let outside = Damage::Outside { offset: at, length: self.bytes.len() };
        let start = at.checked_add(4).ok_or(outside)?;
        if start % size != 0 && count > 0 {
            return Err(Damage::Unaligned { offset: start });
        }
        self.slice(start, count.checked_mul(size).ok_or(outside)?)
    }
}

impl<'b, 'a> Table<'b, 'a> {
    /// Where a field lies, `None` where the table leaves it out.
    fn place(&self, field: usize, size: usize) -> Result<Option<usize>, Damage> {
        let Some(place) = self.places.get(field * 2..field * 2 + 2) else { return Ok(None) };
        let place = usize::from(u16::from_bytes(place));
        if place == 0 {
            return Ok(None);
        }
        if place < 4 || place + size > self.length {
            return Err(Damage::Outside { offset: self.at + place, length: self.buffer.bytes.len() });
        }
        Ok(Some(self.at + place))
    }

    pub(crate) fn number<N: Number>(&self, field: usize, default: N) -> Result<N, Damage> {
        self.place(field, N::SIZE)?.map_or(Ok(default), |at| self.buffer.number(at))
    }

    fn followed(&self, field: usize) -> Result<Option<usize>, Damage> {
        self.place(field, 4)?.map(|at| self.buffer.follow(at)).transpose()
    }

    pub(crate) fn table(&self, field: usize) -> Result<Option<Table<'b, 'a>>, Damage> {
        self.followed(field)?.map(|at| self.buffer.table(at)).transpose()
    }

    /// The tables of a vector; none where it is left out.
    pub(crate) fn tables(&self, field: usize) -> Result<Vec<Table<'b, 'a>>, Damage> {
        let Some(at) = self.followed(field)? else { return Ok(Vec::new()) };
        let count = self.buffer.vector(at, 4)?.len() / 4;
        (0..count).map(|index| self.buffer.table(self.buffer.follow(at + 4 + index * 4)?)).collect()
    }

    /// The numbers of a vector; `None` where it is left out.
    pub(crate) fn numbers<N: Number>(&self, field: usize) -> Result<Option<Vec<N>>, Damage> {
        let Some(at) = self.followed(field)? else { return Ok(None) };
        let bytes = self.buffer.vector(at, N::SIZE)?;
        for _ in 0..bytes.len() / 64 {
            self.buffer.visit()?;
        }
        Ok(Some(bytes.chunks_exact(N::SIZE).map(N::from_bytes).collect()))
    }

    /// The bytes of a vector, in place.
    pub(crate) fn bytes(&self, field: usize) -> Result<Option<&'a [u8]>, Damage> {
        self.followed(field)?.map(|at| self.buffer.vector(at, 1)).transpose()
    }

    /// A text, empty where it is left out.
    pub(crate) fn text(&self, field: usize) -> Result<&'a str, Damage> {
        let bytes = self.bytes(field)?.unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| Damage::NotText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root table with one field, which holds what `field` says.
    fn one_field(field: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![12, 0, 0, 0];
        bytes.extend([6, 0, 8, 0, 4, 0, 0, 0]); // the places: field 0 is at byte 4
        bytes.extend([8, 0, 0, 0]); // back to them
        bytes.extend(field);
        bytes
    }

    #[test]
    fn fields_are_read_where_they_are_and_default_where_not() {
        let bytes = one_field(7u32.to_le_bytes());
        let buffer = Buffer::new(&bytes);
        let table = buffer.root().unwrap();
        assert_eq!(table.number::<u32>(0, 1), Ok(7));
        assert_eq!(table.number::<u32>(5, 1), Ok(1));
        assert_eq!(table.text(9), Ok(""));
    }

    #[test]
    fn what_leads_outside_is_damage() {
        for (field, reads) in [(7u32, 4), (0, 4), (u32::MAX, 4), (2, 4)] {
            let bytes = one_field(field.to_le_bytes());
            let buffer = Buffer::new(&bytes);
            assert!(buffer.root().unwrap().table(0).is_err(), "{field} {reads}");
            assert!(buffer.root().unwrap().bytes(0).is_err(), "{field}");
        }
        for cut in 0..20 {
            let bytes = one_field([0; 4]);
            let buffer = Buffer::new(&bytes[..cut]);
            assert!(buffer.root().is_err(), "{cut}");
        }
    }

    #[test]
    fn a_vector_of_one_table_over_and_over_is_refused() {
        let mut bytes = one_field(4u32.to_le_bytes());
        let count = 64u32;
        bytes.extend(count.to_le_bytes());
        for index in 0..count {
            // Each leads on to one table at the end.
            bytes.extend(((count - index) * 4 + 4).to_le_bytes());
        }
        bytes.extend([4, 0, 4, 0]);
        bytes.extend([4, 0, 0, 0]);
        let buffer = Buffer::new(&bytes);
        let root = buffer.root().unwrap();
        let visits = std::iter::repeat_with(|| root.tables(0)).take(100);
        assert!(root.tables(0).is_ok_and(|tables| tables.len() == 64));
        assert!(visits.map(|tables| tables.err()).any(|error| error == Some(Damage::TooManyParts)));
    }
}
