//! The types of values: tensors, and what is made of tensors.

use std::fmt;

use super::read::{Problem, read_tensor_type};
use super::wire::Fields;
use super::{TensorType, datatype};

/// Types within types are read this deep; ONNX has no deeper ones.
const DEEPEST: usize = 4;

/// A declared type, written as ONNX's documentation writes it.
#[derive(Default)]
pub(crate) enum Type<'a> {
    Tensor(TensorType<'a>),
    SparseTensor,
    Sequence(Box<Type<'a>>),
    Optional(Box<Type<'a>>),
    /// From keys of a datatype, by its number in the file.
    Map(i64, Box<Type<'a>>),
    /// None of those above, or not declared.
    #[default]
    Unknown,
}

impl<'a> Type<'a> {
    pub(crate) fn tensor(&self) -> Option<&TensorType<'a>> {
        match self {
            Type::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }
}

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            |number| datatype(number).map_or_else(|| format!("type {number}"), |known| known.to_string());
        match self {
            Type::Tensor(tensor) => write!(f, "tensor({})", named(tensor.datatype)),
            Type::SparseTensor => f.write_str("sparse_tensor"),
            Type::Sequence(element) => write!(f, "seq({element})"),
            Type::Optional(element) => write!(f, "optional({element})"),
            Type::Map(key, value) => write!(f, "map({}, {value})", named(*key)),
            Type::Unknown => f.write_str("of no known type"),
        }
    }
}

/// Reads a type that lies `depth` deep in another.
pub(super) fn read_type(bytes: &[u8], depth: usize) -> Result<Type<'_>, Problem> {
    if depth > DEEPEST {
        return Err(Problem::TooDeep);
    }
    let mut found = Type::Unknown;
    for field in Fields::new(bytes) {
        let (number, value) = field?;
        found = match number {
            1 => Type::Tensor(read_tensor_type(value.bytes(number)?)?),
            4 => Type::Sequence(Box::new(read_inner(value.bytes(number)?, 1, depth)?)),
            5 => {
                let bytes = value.bytes(number)?;
                Type::Map(read_key(bytes)?, Box::new(read_inner(bytes, 2, depth)?))
            }
            8 => Type::SparseTensor,
            9 => Type::Optional(Box::new(read_inner(value.bytes(number)?, 1, depth)?)),
            _ => found,
        };
    }
    Ok(found)
}

/// The type in the field `number` of another.
fn read_inner(bytes: &[u8], number: u32, depth: usize) -> Result<Type<'_>, Problem> {
    let mut inner = Type::Unknown;
    for field in Fields::new(bytes) {
        let (found, value) = field?;
        if found == number {
            inner = read_type(value.bytes(number)?, depth + 1)?;
        }
    }
    Ok(inner)
}

fn read_key(bytes: &[u8]) -> Result<i64, Problem> {
    let mut key = 0;
    for field in Fields::new(bytes) {
        if let (1, value) = field? {
            key = value.int(1)?;
        }
    }
    Ok(key)
}
