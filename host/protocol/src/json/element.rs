//! One JSON value as an element of a tensor, or what is wrong with it.

use std::fmt;

use half::{bf16, f16};

/// An element that can be read from a JSON value; errors are what is wrong
/// with the value.
pub(super) trait FromJson: Sized {
    fn from_bool(value: bool) -> Result<Self, String>;
    fn from_u64(value: u64) -> Result<Self, String>;
    fn from_i64(value: i64) -> Result<Self, String>;
    fn from_f64(value: f64) -> Result<Self, String>;
    fn from_str(value: &str) -> Result<Self, String>;
}

macro_rules! integers {
    ($($rust:ty => $datatype:literal),*) => {$(
        impl FromJson for $rust {
            fn from_bool(value: bool) -> Result<Self, String> {
                Err(format!(concat!("`{}` is no number, and ", $datatype, " holds integers"), value))
            }
            fn from_u64(value: u64) -> Result<Self, String> {
                value.try_into().map_err(|_| outside(value, $datatype, <$rust>::MIN, <$rust>::MAX))
            }
            fn from_i64(value: i64) -> Result<Self, String> {
                value.try_into().map_err(|_| outside(value, $datatype, <$rust>::MIN, <$rust>::MAX))
            }
            fn from_f64(value: f64) -> Result<Self, String> {
                // The parser gives integers beyond 64 bits as floats too.
                if value.fract() == 0.0 && value.abs() > 9e15 {
                    return Err(outside(value, $datatype, <$rust>::MIN, <$rust>::MAX));
                }
                Err(format!(concat!("{:?} is a float, and ", $datatype, " holds integers"), value))
            }
            fn from_str(value: &str) -> Result<Self, String> {
                Err(format!(concat!("{:?} is a string, and ", $datatype, " holds integers"), value))
            }
        }
    )*};
}

integers! {
    u8 => "UINT8", u16 => "UINT16", u32 => "UINT32", u64 => "UINT64",
    i8 => "INT8", i16 => "INT16", i32 => "INT32", i64 => "INT64"
}

macro_rules! floats {
    ($($rust:ty => $datatype:literal, $round:expr;)*) => {$(
        impl FromJson for $rust {
            fn from_bool(value: bool) -> Result<Self, String> {
                Err(format!(concat!("`{}` is no number, and ", $datatype, " holds floats"), value))
            }
            fn from_u64(value: u64) -> Result<Self, String> {
                <Self as FromJson>::from_f64(value as f64)
            }
            fn from_i64(value: i64) -> Result<Self, String> {
                <Self as FromJson>::from_f64(value as f64)
            }
            fn from_f64(value: f64) -> Result<Self, String> {
                let rounded: $rust = $round(value);
                match rounded.is_finite() {
                    true => Ok(rounded),
                    false => Err(outside(value, $datatype, <$rust>::MIN, <$rust>::MAX)),
                }
            }
            fn from_str(value: &str) -> Result<Self, String> {
                match value {
                    "NaN" => Ok(<$rust>::NAN),
                    "Infinity" => Ok(<$rust>::INFINITY),
                    "-Infinity" => Ok(<$rust>::NEG_INFINITY),
                    _ => Err(format!(concat!("{:?} is a string, and ", $datatype, " holds floats"), value)),
                }
            }
        }
    )*};
}

floats! {
    f16 => "FP16", f16::from_f64;
    bf16 => "BF16", bf16::from_f64;
    f32 => "FP32", |value| value as f32;
    f64 => "FP64", |value| value;
}

impl FromJson for bool {
    fn from_bool(value: bool) -> Result<Self, String> {
        Ok(value)
    }
    fn from_u64(value: u64) -> Result<Self, String> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(format!("{value} is neither `true` nor `false`")),
        }
    }
    fn from_i64(value: i64) -> Result<Self, String> {
        Err(format!("{value} is neither `true` nor `false`"))
    }
    fn from_f64(value: f64) -> Result<Self, String> {
        Err(format!("{value:?} is neither `true` nor `false`"))
    }
    fn from_str(value: &str) -> Result<Self, String> {
        Err(format!("{value:?} is a string, and BOOL holds `true` and `false`"))
    }
}

impl FromJson for String {
    fn from_bool(value: bool) -> Result<Self, String> {
        Err(format!("`{value}` is no string, and BYTES holds strings"))
    }
    fn from_u64(value: u64) -> Result<Self, String> {
        Err(format!("{value} is a number, and BYTES holds strings"))
    }
    fn from_i64(value: i64) -> Result<Self, String> {
        Err(format!("{value} is a number, and BYTES holds strings"))
    }
    fn from_f64(value: f64) -> Result<Self, String> {
        Err(format!("{value:?} is a number, and BYTES holds strings"))
    }
    fn from_str(value: &str) -> Result<Self, String> {
        Ok(value.to_owned())
    }
}

fn outside<V: fmt::Display>(
    value: V,
    datatype: &str,
    least: impl fmt::Display,
    most: impl fmt::Display,
) -> String {
    format!("{value} is outside {datatype}, which goes from {least} to {most}")
}
