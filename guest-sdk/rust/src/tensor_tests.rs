//! Tests of tensors: layouts, lengths, alignment, and what stays in the host.

use crate::host::{HostTensor, TensorType};
use crate::{Datatype, ErrorKind, Tensor};

#[test]
fn elements_are_read_back() {
    let tensor = Tensor::from_vec([2, 2], vec![1i16, -2, 3, -4]).unwrap();
    assert_eq!(tensor.as_slice::<i16>().unwrap(), [1, -2, 3, -4]);
    assert_eq!((tensor.len(), tensor.bytes().len()), (4, 8));
    let error = tensor.as_slice::<f32>().unwrap_err();
    assert_eq!(error.message(), "is INT16 [2, 2], but FP32 was asked for");
}

#[test]
fn misaligned_bytes_are_copied_once() {
    // One of these two starts at an odd address, whatever the allocator gives.
    let bytes: Vec<u8> = (0..9).collect();
    for start in [0, 1] {
        let buffer = std::sync::Arc::new(Offset { bytes: bytes.clone(), start });
        let tensor = Tensor::owned(Datatype::Uint32, vec![2], buffer);
        let want: Vec<u32> =
            bytes[start..start + 8].as_chunks().0.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect();
        assert_eq!(tensor.as_slice::<u32>().unwrap(), want);
        assert_eq!(tensor.as_slice::<u32>().unwrap().as_ptr(), tensor.as_slice::<u32>().unwrap().as_ptr());
    }
}

#[test]
fn lengths_must_match_shapes() {
    let wrong = [
        Tensor::new(Datatype::Fp32, [2], vec![0; 7]),
        Tensor::new(Datatype::Fp32, [usize::MAX, 2], vec![0; 8]),
        Tensor::new(Datatype::Bytes, [1], vec![5, 0, 0, 0, b'a']),
        Tensor::new(Datatype::Bytes, [1], vec![1, 0, 0, 0, b'a', 0]),
        Tensor::new(Datatype::Bytes, [usize::MAX], vec![0, 0, 0, 0]),
        Tensor::new(Datatype::Bytes, [1], vec![255, 255, 255, 255]),
        Tensor::from_vec([2], vec![1.0f32]),
    ];
    for result in wrong {
        assert!(result.is_err(), "{result:?}");
    }
    let message = Tensor::new(Datatype::Fp32, [2], vec![0; 7]).unwrap_err();
    assert_eq!(message.message(), "FP32 [2] takes 2 x 4 bytes, but there are 7");
}

#[test]
fn empty_tensors_are_fine() {
    let tensor = Tensor::from_vec::<f64>([0, 3], vec![]).unwrap();
    assert!(tensor.is_empty() && tensor.as_slice::<f64>().unwrap().is_empty());
    assert!(Tensor::from_blobs::<&str>([]).unwrap().blobs().unwrap().is_empty());
    let fetched = Tensor::from_host(HostTensor::new(&[0], TensorType::Fp64, &[]), None);
    assert!(fetched.as_slice::<f64>().unwrap().is_empty());
}

#[test]
fn a_bool_is_zero_or_one() {
    let tensor = Tensor::new(Datatype::Bool, [2], vec![0, 2]).unwrap();
    assert_eq!(tensor.as_slice::<bool>().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn blobs_keep_their_bounds() {
    let tensor = Tensor::from_blobs(["a", "", "bc"]).unwrap();
    assert_eq!(tensor.to_string(), "BYTES [3]");
    assert_eq!(tensor.blobs().unwrap(), [&b"a"[..], b"", b"bc"]);
    assert_eq!(tensor.bytes(), b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc");
}

#[test]
fn unnamed_datatypes_travel_raw_under_their_logical_shape() {
    let host = Tensor::from_vec([2, 3], vec![1i16; 6]).unwrap().into_host().unwrap();
    assert_eq!((host.ty(), host.dimensions(), host.data().len()), (TensorType::U8, vec![2, 3], 12));
    let declared = Tensor::from_host(host, Some(Datatype::Int16));
    assert_eq!(declared.as_slice::<i16>().unwrap(), [1; 6]);
}

#[test]
fn what_came_undeclared_is_read_as_asked() {
    let raw = || HostTensor::new(&[2], TensorType::U8, &[1, 0, 2, 0]);
    assert_eq!(Tensor::from_host(raw(), None).to_vec::<u16>().unwrap(), [1, 2]);
    assert!(Tensor::from_host(raw(), None).to_vec::<u8>().is_err());
    assert!(Tensor::from_host(raw(), None).to_vec::<f32>().is_err());
    assert_eq!(Tensor::from_host(raw(), None).clone().to_vec::<i16>().unwrap(), [1, 2]);
    let named = Tensor::from_host(raw(), None).reinterpret(Datatype::Uint16).unwrap();
    assert_eq!(named.to_string(), "UINT16 [2]");
    assert!(named.reinterpret(Datatype::Uint64).is_err());
}

#[test]
fn a_tensor_of_the_host_is_passed_on() {
    let tensor = Tensor::from_host(HostTensor::new(&[1], TensorType::Fp32, &[0; 4]), None);
    let host = tensor.into_host().unwrap();
    assert_eq!(host.times_read(), 0);
    let tensor = Tensor::from_host(host, Some(Datatype::Fp32));
    tensor.as_slice::<f32>().unwrap();
    assert_eq!(tensor.bytes(), [0; 4]);
    assert_eq!(tensor.into_host().unwrap().times_read(), 1);
}

#[test]
fn a_declaration_that_disagrees_with_the_host_does_not_hide_it() {
    let tensor = Tensor::from_host(HostTensor::new(&[1], TensorType::Fp32, &[0; 4]), Some(Datatype::Int64));
    assert_eq!(tensor.to_string(), "FP32 [1]");
}

#[test]
fn reshaping_keeps_the_elements() {
    let tensor = Tensor::from_vec([6], vec![1u8; 6]).unwrap();
    assert_eq!(tensor.clone().reshape([2, 3]).unwrap().shape(), [2, 3]);
    assert!(tensor.reshape([4]).is_err());
}

#[cfg(feature = "ndarray")]
#[test]
fn views_and_arrays() {
    use crate::{FromTensor, IntoTensor};
    use ndarray::{Array1, Array2, ArrayD, Axis, arr0, array, s};

    let tensor = array![[1.0f32, 2.0], [3.0, 4.0]].into_tensor().unwrap();
    assert_eq!(tensor.view::<f32>().unwrap()[[1, 0]], 3.0);
    assert_eq!(Array2::<f32>::from_tensor(tensor.clone()).unwrap().sum_axis(Axis(0)), array![4.0, 6.0]);
    assert_eq!(ArrayD::<f32>::from_tensor(tensor.clone()).unwrap().ndim(), 2);
    let error = Array1::<f32>::from_tensor(tensor).unwrap_err();
    assert_eq!(error.message(), "is FP32 [2, 2], but a tensor of 1 axes was asked for");

    let transposed = array![[1i64, 2, 3], [4, 5, 6]].reversed_axes();
    assert_eq!(transposed.into_tensor().unwrap().to_vec::<i64>().unwrap(), [1, 4, 2, 5, 3, 6]);
    let sliced = array![1u8, 2, 3, 4, 5].slice_move(s![1..3]);
    assert_eq!(sliced.into_tensor().unwrap().to_vec::<u8>().unwrap(), [2, 3]);
    let backwards = array![1u8, 2, 3].slice_move(s![..;-1]);
    assert_eq!(backwards.into_tensor().unwrap().to_vec::<u8>().unwrap(), [3, 2, 1]);
    assert_eq!(arr0(7i32).into_tensor().unwrap().to_string(), "INT32 []");
    assert_eq!(i32::from_tensor(arr0(7i32).into_tensor().unwrap()).unwrap(), 7);
    assert_eq!(Array2::<f32>::zeros([0, 3]).into_tensor().unwrap().to_string(), "FP32 [0, 3]");
}

#[cfg(feature = "half")]
#[test]
fn half_floats() {
    use crate::{FromTensor, IntoTensor};

    let tensor = vec![half::bf16::from_f32(1.5)].into_tensor().unwrap();
    assert_eq!((tensor.to_string().as_str(), tensor.bytes()), ("BF16 [1]", &[0xC0, 0x3F][..]));
    assert_eq!(half::bf16::from_tensor(tensor).unwrap().to_f32(), 1.5);
}

/// A buffer whose elements begin somewhere inside.
struct Offset {
    bytes: Vec<u8>,
    start: usize,
}

impl crate::tensor::Buffer for Offset {
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + 8]
    }
}
