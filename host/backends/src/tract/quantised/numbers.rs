//! Narrow integers, and the rounding to them.

use tract_onnx::prelude::{Datum, DatumType};

/// An integer that has few values.
pub(super) trait Narrow: Datum + Copy {
    const LEAST: i32;
    const MOST: i32;

    fn wide(self) -> i32;

    /// The lowest bits of a number.
    fn narrow(number: i32) -> Self;
}

macro_rules! narrow {
    ($($integer:ty),*) => {$(
        impl Narrow for $integer {
            const LEAST: i32 = <$integer>::MIN as i32;
            const MOST: i32 = <$integer>::MAX as i32;

            #[inline(always)]
            fn wide(self) -> i32 {
                i32::from(self)
            }

            #[inline(always)]
            fn narrow(number: i32) -> Self {
                number as $integer
            }
        }
    )*};
}

narrow!(u8, i8, u16, i16);

/// Whether layers take this datatype.
pub(super) fn is_narrow(datatype: DatumType) -> bool {
    matches!(datatype, DatumType::U8 | DatumType::I8)
}

/// The least and the greatest number of a datatype.
pub(super) fn range(datatype: DatumType) -> Option<(i32, i32)> {
    Some(match datatype {
        DatumType::U8 => (u8::LEAST, u8::MOST),
        DatumType::I8 => (i8::LEAST, i8::MOST),
        DatumType::U16 => (u16::LEAST, u16::MOST),
        DatumType::I16 => (i16::LEAST, i16::MOST),
        _ => return None,
    })
}

/// The steps of a datatype around its zero point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    zero: i32,
    least: f32,
    most: f32,
}

impl Steps {
    pub(super) fn of<T: Narrow>(zero: i32) -> Self {
        let limit = |limit: i32| limit.wrapping_sub(zero) as f32;
        Self { zero, least: limit(T::LEAST), most: limit(T::MOST) }
    }

    /// The step that lies nearest, of two that do the even one, counted from the zero
    /// point. What is no number becomes the least one.
    #[inline(always)]
    pub(super) fn nearest<T: Narrow>(self, value: f32) -> T {
        let value = if value > self.least { value } else { self.least };
        let value = if value < self.most { value } else { self.most };
        T::narrow(rounded(value).wrapping_add(self.zero))
    }
}

/// The nearest integer, of two the even one, of a number below 2²² in magnitude.
#[inline(always)]
fn rounded(value: f32) -> i32 {
    // Floats of this size lie one apart: adding rounds, and the lowest bits of the sum
    // are those of the integer.
    const ONES: f32 = 12_582_912.0;
    (value + ONES).to_bits().wrapping_sub(ONES.to_bits()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_step() {
        for (value, step) in
            [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (65535.5, 65536), (-2.4, -2)]
        {
            assert_eq!(rounded(value), step, "{value}");
        }
    }

    #[test]
    fn what_lies_beyond_is_the_last_step() {
        let steps = Steps::of::<u8>(3);
        let found: Vec<u8> =
            [f32::NAN, f32::NEG_INFINITY, -1e30, -3.5, -2.5, 251.5, 252.5, 1e30, f32::INFINITY]
                .map(|value| steps.nearest(value))
                .to_vec();
        assert_eq!(found, [0, 0, 0, 0, 1, 255, 255, 255, 255]);
        assert_eq!(Steps::of::<i8>(-128).nearest::<i8>(255.0), 127);
    }
}
