//! Between samara's tensors and tract's.

use std::sync::Arc;

use bytes::Bytes;
use samara_nn::{Datatype, Element, Tensor, TensorError};
use tract_onnx::tract_hir::internal::{
    Datum, DatumType, IntoArcTensor, TValue, Tensor as Native, TractError, TractResult, format_err,
};
use tract_onnx::tract_hir::tract_ndarray::ArrayD;

/// The datatype that tract knows under another name, or `None`.
pub(super) fn datatype(native: DatumType) -> Option<Datatype> {
    Some(match native {
        DatumType::Bool => Datatype::Bool,
        DatumType::U8 => Datatype::Uint8,
        DatumType::U16 => Datatype::Uint16,
        DatumType::U32 => Datatype::Uint32,
        DatumType::U64 => Datatype::Uint64,
        DatumType::I8 => Datatype::Int8,
        DatumType::I16 => Datatype::Int16,
        DatumType::I32 => Datatype::Int32,
        DatumType::I64 => Datatype::Int64,
        DatumType::F16 => Datatype::Fp16,
        DatumType::F32 => Datatype::Fp32,
        DatumType::F64 => Datatype::Fp64,
        DatumType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// Copies a tensor into tract's own, aligned memory.
///
/// # Errors
/// For BYTES elements that are not UTF-8, which is what tract's text is.
pub(super) fn to_native(tensor: &Tensor) -> Result<Native, TensorError> {
    let shape = tensor.shape();
    let native = match tensor.datatype() {
        Datatype::Bytes => ArrayD::from_shape_vec(shape, text(tensor)?).map(Native::from).ok(),
        // A byte other than 0 and 1 would not be a `bool`.
        Datatype::Bool => {
            let values: Vec<bool> = tensor.data().iter().map(|&byte| byte != 0).collect();
            Native::from_shape(shape, &values).ok()
        }
        Datatype::Uint8 => copy::<u8>(tensor),
        Datatype::Uint16 => copy::<u16>(tensor),
        Datatype::Uint32 => copy::<u32>(tensor),
        Datatype::Uint64 => copy::<u64>(tensor),
        Datatype::Int8 => copy::<i8>(tensor),
        Datatype::Int16 => copy::<i16>(tensor),
        Datatype::Int32 => copy::<i32>(tensor),
        Datatype::Int64 => copy::<i64>(tensor),
        Datatype::Fp16 => copy::<half::f16>(tensor),
        Datatype::Fp32 => copy::<f32>(tensor),
        Datatype::Fp64 => copy::<f64>(tensor),
        Datatype::Bf16 => None,
    };
    native.ok_or_else(|| TensorError::Overflow { shape: shape.to_vec() })
}

/// A tensor over the memory of tract's own, without a copy where it is not text.
///
/// # Errors
/// When tract keeps it in a form that has no bytes.
pub(super) fn from_native(value: TValue) -> TractResult<Tensor> {
    let native = value.into_arc_tensor();
    let shape = native.shape().to_vec();
    let datatype = datatype(native.datum_type())
        .ok_or_else(|| format_err!("it has tract's datatype {:?}", native.datum_type()))?;
    let tensor = match datatype {
        Datatype::Bytes => Tensor::from_elements(shape, native.try_as_plain_ram()?.as_slice::<String>()?),
        datatype => {
            native.try_as_plain_ram()?;
            Tensor::new(datatype, shape, Bytes::from_owner(Owner(native)))
        }
    };
    tensor.map_err(TractError::from)
}

struct Owner(Arc<Native>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn text(tensor: &Tensor) -> Result<Vec<String>, TensorError> {
    let strings = tensor.byte_strings()?.into_iter().enumerate();
    strings
        .map(|(element, bytes)| {
            String::from_utf8(bytes.to_vec()).map_err(|_| TensorError::NotUtf8 { element })
        })
        .collect()
}

fn copy<T: Datum + Element>(tensor: &Tensor) -> Option<Native> {
    // SAFETY: every bit pattern is a value of an [`Element`], and tract checks
    // the length of the bytes against the shape.
    unsafe { Native::from_raw::<T>(tensor.shape(), tensor.data()) }.ok()
}
