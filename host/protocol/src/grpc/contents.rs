//! Tensors as typed protobuf lists: one list for each family of datatypes.

use bytes::Bytes;
use samara_nn::{Datatype, Element, Tensor, TensorError, format_shape};

use super::proto::InferTensorContents;

/// Typed contents that are not what datatype and shape say.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0} has no typed contents; send its bytes in `raw_input_contents`")]
    OnlyRaw(Datatype),
    #[error("it has neither `contents` nor an entry in `raw_input_contents`")]
    Nothing,
    #[error("{datatype} travels in `{expected}`, but `{found}` has elements")]
    Field { datatype: Datatype, expected: &'static str, found: &'static str },
    #[error("shape {} holds {expected} elements, but `{field}` has {found}", format_shape(shape))]
    Count { shape: Vec<usize>, field: &'static str, expected: usize, found: usize },
    #[error("element {index}: {value} is outside {datatype}")]
    Range { datatype: Datatype, index: usize, value: i64 },
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Whether any list has elements.
pub(super) fn has_elements(contents: &InferTensorContents) -> bool {
    lists(contents).into_iter().any(|(_, length)| length > 0)
}

/// The tensor that lists hold.
pub(super) fn read(
    datatype: Datatype,
    shape: Vec<usize>,
    contents: Option<InferTensorContents>,
) -> Result<Tensor, Problem> {
    let expected = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let Some(expected) = expected else { return Err(TensorError::Overflow { shape }.into()) };
    let Some(field) = field(datatype) else {
        return match expected {
            0 => read_raw(datatype, shape, Bytes::new()),
            _ => Err(Problem::OnlyRaw(datatype)),
        };
    };
    if contents.is_none() && expected > 0 {
        return Err(Problem::Nothing);
    }
    let contents = contents.unwrap_or_default();
    for (found, length) in lists(&contents) {
        if found != field && length > 0 {
            return Err(Problem::Field { datatype, expected: field, found });
        }
        if found == field && length != expected {
            return Err(Problem::Count { shape, field, expected, found: length });
        }
    }
    Ok(match datatype {
        Datatype::Bool => Tensor::from_bools(shape, &contents.bool_contents)?,
        Datatype::Int8 => narrowed::<_, i8>(shape, contents.int_contents)?,
        Datatype::Int16 => narrowed::<_, i16>(shape, contents.int_contents)?,
        Datatype::Int32 => Tensor::from_vec(shape, contents.int_contents)?,
        Datatype::Int64 => Tensor::from_vec(shape, contents.int64_contents)?,
        Datatype::Uint8 => narrowed::<_, u8>(shape, contents.uint_contents)?,
        Datatype::Uint16 => narrowed::<_, u16>(shape, contents.uint_contents)?,
        Datatype::Uint32 => Tensor::from_vec(shape, contents.uint_contents)?,
        Datatype::Uint64 => Tensor::from_vec(shape, contents.uint64_contents)?,
        Datatype::Fp32 => Tensor::from_vec(shape, contents.fp32_contents)?,
        Datatype::Fp64 => Tensor::from_vec(shape, contents.fp64_contents)?,
        Datatype::Bytes => Tensor::from_elements(shape, contents.bytes_contents)?,
        Datatype::Fp16 | Datatype::Bf16 => return Err(Problem::OnlyRaw(datatype)),
    })
}

/// The lists that hold a tensor; `None` for datatypes that only travel raw.
pub(super) fn write(tensor: &Tensor) -> Result<Option<InferTensorContents>, TensorError> {
    let mut contents = InferTensorContents::default();
    match tensor.datatype() {
        Datatype::Bool => contents.bool_contents = tensor.data().iter().map(|&byte| byte != 0).collect(),
        Datatype::Int8 => contents.int_contents = widened::<i8, _>(tensor)?,
        Datatype::Int16 => contents.int_contents = widened::<i16, _>(tensor)?,
        Datatype::Int32 => contents.int_contents = tensor.elements()?.into_owned(),
        Datatype::Int64 => contents.int64_contents = tensor.elements()?.into_owned(),
        Datatype::Uint8 => contents.uint_contents = widened::<u8, _>(tensor)?,
        Datatype::Uint16 => contents.uint_contents = widened::<u16, _>(tensor)?,
        Datatype::Uint32 => contents.uint_contents = tensor.elements()?.into_owned(),
        Datatype::Uint64 => contents.uint64_contents = tensor.elements()?.into_owned(),
        Datatype::Fp32 => contents.fp32_contents = tensor.elements()?.into_owned(),
        Datatype::Fp64 => contents.fp64_contents = tensor.elements()?.into_owned(),
        Datatype::Bytes => {
            let shared = |element: &[u8]| tensor.data().slice_ref(element);
            contents.bytes_contents = tensor.byte_strings()?.into_iter().map(shared).collect();
        }
        Datatype::Fp16 | Datatype::Bf16 => return Ok(None),
    }
    Ok(Some(contents))
}

/// The list of a datatype, by the protocol's name.
pub(super) const fn field(datatype: Datatype) -> Option<&'static str> {
    Some(match datatype {
        Datatype::Bool => "bool_contents",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => "int_contents",
        Datatype::Int64 => "int64_contents",
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => "uint_contents",
        Datatype::Uint64 => "uint64_contents",
        Datatype::Fp32 => "fp32_contents",
        Datatype::Fp64 => "fp64_contents",
        Datatype::Bytes => "bytes_contents",
        Datatype::Fp16 | Datatype::Bf16 => return None,
    })
}

/// Every list with its length.
fn lists(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ]
}

fn narrowed<W, N>(shape: Vec<usize>, values: Vec<W>) -> Result<Tensor, Problem>
where
    W: Copy + Into<i64>,
    N: Element + TryFrom<W>,
{
    let narrow = |(index, value): (usize, W)| {
        N::try_from(value).map_err(|_| Problem::Range { datatype: N::DATATYPE, index, value: value.into() })
    };
    let values = values.into_iter().enumerate().map(narrow).collect::<Result<Vec<N>, _>>()?;
    Ok(Tensor::from_vec(shape, values)?)
}

fn widened<N: Element, W: From<N>>(tensor: &Tensor) -> Result<Vec<W>, TensorError> {
    Ok(tensor.elements::<N>()?.iter().map(|&value| W::from(value)).collect())
}

/// A tensor over bytes that came raw, without a copy.
pub(super) fn read_raw(datatype: Datatype, shape: Vec<usize>, bytes: Bytes) -> Result<Tensor, Problem> {
    Ok(Tensor::new(datatype, shape, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<Tensor> {
        vec![
            Tensor::from_bools([2], &[true, false]).unwrap(),
            Tensor::from_vec([2], vec![i8::MIN, i8::MAX]).unwrap(),
            Tensor::from_vec([2], vec![i16::MIN, i16::MAX]).unwrap(),
            Tensor::from_vec([2], vec![i32::MIN, i32::MAX]).unwrap(),
            Tensor::from_vec([2], vec![i64::MIN, i64::MAX]).unwrap(),
            Tensor::from_vec([2], vec![0, u8::MAX]).unwrap(),
            Tensor::from_vec([2], vec![0, u16::MAX]).unwrap(),
            Tensor::from_vec([2], vec![0, u32::MAX]).unwrap(),
            Tensor::from_vec([2], vec![0, u64::MAX]).unwrap(),
            Tensor::from_vec([2], vec![f32::MIN, f32::INFINITY]).unwrap(),
            Tensor::from_vec([2], vec![f64::MIN, f64::INFINITY]).unwrap(),
            Tensor::from_elements([2], ["", "samara"]).unwrap(),
        ]
    }

    #[test]
    fn every_datatype_comes_back_but_those_that_have_no_list() {
        for tensor in one_of_each() {
            let contents = write(&tensor).unwrap().unwrap();
            let back = read(tensor.datatype(), tensor.shape().to_vec(), Some(contents)).unwrap();
            assert_eq!(back, tensor);
        }
        for datatype in [Datatype::Fp16, Datatype::Bf16] {
            assert!(write(&Tensor::new(datatype, [1], vec![0, 0]).unwrap()).unwrap().is_none());
            assert!(matches!(read(datatype, vec![1], None), Err(Problem::OnlyRaw(_))));
        }
    }

    #[test]
    fn every_difference_is_told() {
        let told = |datatype, shape: &[usize], contents| {
            read(datatype, shape.to_vec(), contents).map(drop).unwrap_err().to_string()
        };
        let ints = |values: &[i32]| {
            Some(InferTensorContents { int_contents: values.to_vec(), ..InferTensorContents::default() })
        };
        assert_eq!(told(Datatype::Int8, &[2], ints(&[1, 300])), "element 1: 300 is outside INT8");
        assert_eq!(
            told(Datatype::Int32, &[3], ints(&[1])),
            "shape [3] holds 3 elements, but `int_contents` has 1"
        );
        assert_eq!(
            told(Datatype::Fp32, &[1], ints(&[1])),
            "FP32 travels in `fp32_contents`, but `int_contents` has elements"
        );
        assert!(told(Datatype::Fp32, &[1], None).starts_with("it has neither `contents` nor"));
        assert!(told(Datatype::Fp32, &[usize::MAX, 2], None).contains("more elements than memory"));
    }

    #[test]
    fn nothing_holds_no_elements() {
        assert!(read(Datatype::Fp32, vec![0, 4], None).unwrap().is_empty());
        assert!(read(Datatype::Bytes, vec![0], None).unwrap().is_empty());
        assert!(read(Datatype::Bf16, vec![0], None).unwrap().is_empty());
    }
}
