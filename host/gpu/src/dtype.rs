//! The datatypes of tensors on the device, and how shaders name them.

use samara_nn::Datatype;
use tract_core::internal::DatumType;

/// The type of a tensor's elements on the device. Narrow integers and booleans
/// lie there in 32 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Dtype {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
}

impl Dtype {
    /// The datatype that tract knows under another name; `None` for what the
    /// device cannot hold.
    pub(crate) fn of(native: DatumType) -> Option<Self> {
        Some(match native {
            DatumType::Bool => Dtype::Bool,
            DatumType::U8 => Dtype::U8,
            DatumType::I8 => Dtype::I8,
            DatumType::U16 => Dtype::U16,
            DatumType::I16 => Dtype::I16,
            DatumType::U32 => Dtype::U32,
            DatumType::I32 => Dtype::I32,
            DatumType::U64 => Dtype::U64,
            // Sizes as values; where they come from tensors, they are numbers.
            DatumType::I64 | DatumType::TDim => Dtype::I64,
            DatumType::F16 => Dtype::F16,
            DatumType::F32 => Dtype::F32,
            _ => return None,
        })
    }

    /// The datatype outside the device.
    pub(crate) fn outside(self) -> Datatype {
        match self {
            Dtype::Bool => Datatype::Bool,
            Dtype::U8 => Datatype::Uint8,
            Dtype::I8 => Datatype::Int8,
            Dtype::U16 => Datatype::Uint16,
            Dtype::I16 => Datatype::Int16,
            Dtype::U32 => Datatype::Uint32,
            Dtype::I32 => Datatype::Int32,
            Dtype::U64 => Datatype::Uint64,
            Dtype::I64 => Datatype::Int64,
            Dtype::F16 => Datatype::Fp16,
            Dtype::F32 => Datatype::Fp32,
        }
    }

    /// Bytes of one element on the device.
    pub(crate) fn size(self) -> u64 {
        match self {
            Dtype::F16 => 2,
            Dtype::U64 | Dtype::I64 => 8,
            _ => 4,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Dtype::F16 | Dtype::F32)
    }

    /// The WGSL type of an element in a buffer.
    pub(crate) fn stored(self) -> &'static str {
        match self {
            Dtype::Bool | Dtype::U8 | Dtype::U16 | Dtype::U32 => "u32",
            Dtype::I8 | Dtype::I16 | Dtype::I32 => "i32",
            Dtype::U64 => "u64",
            Dtype::I64 => "i64",
            Dtype::F16 => "f16",
            Dtype::F32 => "f32",
        }
    }

    /// The WGSL type of a value that is computed with.
    pub(crate) fn computed(self) -> &'static str {
        if self == Dtype::Bool { "bool" } else { self.stored() }
    }

    /// A stored element as a value to compute with.
    pub(crate) fn load(self, stored: &str) -> String {
        if self == Dtype::Bool { format!("({stored} != 0u)") } else { stored.to_owned() }
    }

    /// A computed value as an element to store.
    pub(crate) fn store(self, computed: &str) -> String {
        if self == Dtype::Bool { format!("select(0u, 1u, {computed})") } else { computed.to_owned() }
    }

    /// A stored element out of two words that hold its bits.
    pub(crate) fn words_as_element(self, low: &str, high: &str) -> String {
        match self {
            Dtype::F16 => format!("f16(unpack2x16float({low}).x)"),
            Dtype::I64 => format!("bitcast<i64>(u64({low}) | (u64({high}) << 32u))"),
            Dtype::U64 => format!("(u64({low}) | (u64({high}) << 32u))"),
            _ => format!("bitcast<{}>({low})", self.stored()),
        }
    }

    /// A result of arithmetic in 32 bits, cut to the bits that the type has.
    pub(crate) fn wrap(self, computed: String) -> String {
        match self {
            Dtype::U8 => format!("(({computed}) & 0xffu)"),
            Dtype::U16 => format!("(({computed}) & 0xffffu)"),
            Dtype::I8 => format!("((({computed}) << 24u) >> 24u)"),
            Dtype::I16 => format!("((({computed}) << 16u) >> 16u)"),
            _ => computed,
        }
    }

    /// The bits that a device needs for it beyond those that all have.
    pub(crate) fn need(self) -> Option<Need> {
        match self {
            Dtype::F16 => Some(Need::F16),
            Dtype::U64 | Dtype::I64 => Some(Need::Int64),
            _ => None,
        }
    }
}

/// An ability that not every device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    F16,
    Int64,
}
