//! The datatypes of tensors, and the Rust types that hold their elements.

use std::fmt;
use std::str::FromStr;

use bytemuck::{CheckedBitPattern, NoUninit};

use crate::Error;
use crate::host::TensorType;

/// What the elements of a tensor are: the datatypes of the Open Inference
/// Protocol, and `bf16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Datatype {
    /// One byte each, 0 or 1.
    Bool,
    /// `u8`.
    Uint8,
    /// `u16`.
    Uint16,
    /// `u32`.
    Uint32,
    /// `u64`.
    Uint64,
    /// `i8`.
    Int8,
    /// `i16`.
    Int16,
    /// `i32`.
    Int32,
    /// `i64`.
    Int64,
    /// `half::f16`: IEEE 754 in 16 bits.
    Fp16,
    /// `half::bf16`: the upper half of an `f32`.
    Bf16,
    /// `f32`.
    Fp32,
    /// `f64`.
    Fp64,
    /// Byte strings, each prefixed with its length as four little-endian bytes.
    Bytes,
}

impl Datatype {
    /// Every datatype, in the order of the contract.
    pub const ALL: [Datatype; 14] = [
        Datatype::Bool,
        Datatype::Uint8,
        Datatype::Uint16,
        Datatype::Uint32,
        Datatype::Uint64,
        Datatype::Int8,
        Datatype::Int16,
        Datatype::Int32,
        Datatype::Int64,
        Datatype::Fp16,
        Datatype::Bf16,
        Datatype::Fp32,
        Datatype::Fp64,
        Datatype::Bytes,
    ];

    /// The name in the Open Inference Protocol, e.g. `FP32`.
    pub const fn name(self) -> &'static str {
        match self {
            Datatype::Bool => "BOOL",
            Datatype::Uint8 => "UINT8",
            Datatype::Uint16 => "UINT16",
            Datatype::Uint32 => "UINT32",
            Datatype::Uint64 => "UINT64",
            Datatype::Int8 => "INT8",
            Datatype::Int16 => "INT16",
            Datatype::Int32 => "INT32",
            Datatype::Int64 => "INT64",
            Datatype::Fp16 => "FP16",
            Datatype::Bf16 => "BF16",
            Datatype::Fp32 => "FP32",
            Datatype::Fp64 => "FP64",
            Datatype::Bytes => "BYTES",
        }
    }

    /// Bytes per element, or `None` for [`Datatype::Bytes`], whose elements
    /// differ in length.
    pub const fn size(self) -> Option<usize> {
        match self {
            Datatype::Bool | Datatype::Uint8 | Datatype::Int8 => Some(1),
            Datatype::Uint16 | Datatype::Int16 | Datatype::Fp16 | Datatype::Bf16 => Some(2),
            Datatype::Uint32 | Datatype::Int32 | Datatype::Fp32 => Some(4),
            Datatype::Uint64 | Datatype::Int64 | Datatype::Fp64 => Some(8),
            Datatype::Bytes => None,
        }
    }

    /// The type under which `wasi:nn` carries this datatype: `U8` for those it
    /// has no name for.
    pub(crate) const fn wire(self) -> TensorType {
        match self {
            Datatype::Fp16 => TensorType::Fp16,
            Datatype::Bf16 => TensorType::Bf16,
            Datatype::Fp32 => TensorType::Fp32,
            Datatype::Fp64 => TensorType::Fp64,
            Datatype::Int32 => TensorType::I32,
            Datatype::Int64 => TensorType::I64,
            _ => TensorType::U8,
        }
    }

    /// The datatype of a tensor of which only the `wasi:nn` type is known.
    pub(crate) const fn of_wire(ty: TensorType) -> Datatype {
        match ty {
            TensorType::Fp16 => Datatype::Fp16,
            TensorType::Bf16 => Datatype::Bf16,
            TensorType::Fp32 => Datatype::Fp32,
            TensorType::Fp64 => Datatype::Fp64,
            TensorType::I32 => Datatype::Int32,
            TensorType::I64 => Datatype::Int64,
            TensorType::U8 => Datatype::Uint8,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Datatype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Datatype, Error> {
        Datatype::ALL.into_iter().find(|datatype| datatype.name() == name).ok_or_else(|| {
            let names = Datatype::ALL.map(Datatype::name).join(", ");
            Error::invalid_input(format!("`{name}` is not a datatype; they are {names}"))
        })
    }
}

/// A Rust type whose values are the elements of a tensor: `bool`, the integers
/// of 8 to 64 bits, `f32`, `f64`, and with the feature `half` also `half::f16`
/// and `half::bf16`.
pub trait Element: NoUninit + CheckedBitPattern + Send + Sync + sealed::Sealed {
    /// The datatype of a tensor of such elements.
    const DATATYPE: Datatype;
}

/// Keeps [`Element`] to the types whose layout the contract fixes.
mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($type:ty => $datatype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DATATYPE: Datatype = Datatype::$datatype;
        }
    )*};
}

elements! {
    bool => Bool,
    u8 => Uint8,
    u16 => Uint16,
    u32 => Uint32,
    u64 => Uint64,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    f32 => Fp32,
    f64 => Fp64,
}

#[cfg(feature = "half")]
elements! {
    half::f16 => Fp16,
    half::bf16 => Bf16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for datatype in Datatype::ALL {
            assert_eq!(datatype.to_string().parse::<Datatype>().unwrap(), datatype);
        }
        let error = "FP8".parse::<Datatype>().unwrap_err();
        assert!(error.message().contains("`FP8`") && error.message().contains("BF16"));
    }

    #[test]
    fn only_named_types_keep_their_datatype_on_the_wire() {
        let kept: Vec<_> = Datatype::ALL.into_iter().filter(|d| Datatype::of_wire(d.wire()) == *d).collect();
        use Datatype::*;
        assert_eq!(kept, [Uint8, Int32, Int64, Fp16, Bf16, Fp32, Fp64]);
    }
}
