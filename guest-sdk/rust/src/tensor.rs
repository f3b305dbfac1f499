//! A tensor whose datatype and shape are known at run time.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use bytemuck::checked;

use crate::host::{HostTensor, TensorType};
use crate::signature::Shape;
use crate::{Datatype, Element, Error, Result};

/// A tensor: datatype, shape, and row-major little-endian elements.
///
/// One that came from the host stays there until its elements are asked for,
/// so an input that is handed to a model, or returned, is never copied into
/// the function's memory.
pub struct Tensor {
    datatype: Datatype,
    /// True if it came as `U8` from the host without a declaration, so that the
    /// elements may be of any datatype that `wasi:nn` has no name for.
    undeclared: bool,
    shape: Vec<usize>,
    data: Data,
    /// A copy for elements that lie misaligned in `data`.
    aligned: OnceCell<Arc<dyn Buffer>>,
}

impl Tensor {
    /// A tensor from its raw bytes: row-major and little-endian; for BYTES each
    /// element prefixed with its length as four little-endian bytes.
    ///
    /// # Errors
    ///
    /// `invalid-input` if the bytes do not make up as many elements as the
    /// shape says.
    pub fn new(
        datatype: Datatype,
        shape: impl Into<Vec<usize>>,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<Tensor> {
        let tensor = Tensor::owned(datatype, shape.into(), Arc::new(bytes.into()));
        tensor.check_length()?;
        Ok(tensor)
    }

    /// A tensor from its elements in row-major order.
    ///
    /// # Errors
    ///
    /// `invalid-input` if there are not as many elements as the shape says.
    ///
    /// ```
    /// # use samara_sdk::{Datatype, Tensor};
    /// let tensor = Tensor::from_vec([2, 2], vec![1.0f32, 2.0, 3.0, 4.0])?;
    /// assert_eq!(tensor.to_string(), "FP32 [2, 2]");
    /// # Ok::<(), samara_sdk::Error>(())
    /// ```
    pub fn from_vec<T: Element>(shape: impl Into<Vec<usize>>, elements: Vec<T>) -> Result<Tensor> {
        let tensor = Tensor::owned(T::DATATYPE, shape.into(), Arc::new(elements));
        tensor.check_length()?;
        Ok(tensor)
    }

    /// A BYTES tensor of rank 1 from its byte strings.
    ///
    /// # Errors
    ///
    /// `too-large` if one of them is 4 GiB or longer.
    pub fn from_blobs<B: AsRef<[u8]>>(blobs: impl IntoIterator<Item = B>) -> Result<Tensor> {
        let mut bytes = Vec::new();
        let mut count = 0;
        for blob in blobs {
            push_blob(&mut bytes, blob.as_ref())?;
            count += 1;
        }
        Ok(Tensor::owned(Datatype::Bytes, vec![count], Arc::new(bytes)))
    }

    /// What the elements are. A model's output of a datatype that `wasi:nn` has
    /// no name for says UINT8 until it is taken as what it is, see
    /// [`Tensor::reinterpret`].
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Sizes along each axis, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |count, &size| count.saturating_mul(size))
    }

    /// True if there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The raw bytes, fetched from the host at the first call.
    pub fn bytes(&self) -> &[u8] {
        self.data.buffer().bytes()
    }

    /// The elements in row-major order, without a copy unless they lie
    /// misaligned in memory.
    ///
    /// # Errors
    ///
    /// `invalid-input` if `T` is not what the tensor holds, or the bytes are
    /// not that many valid elements.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        if !self.is(T::DATATYPE) {
            return Err(self.not_a(T::DATATYPE));
        }
        check_length(T::DATATYPE, &self.shape, self.bytes())?;
        let bytes = self.bytes();
        if bytes.as_ptr().cast::<T>().is_aligned() {
            return checked::try_cast_slice(bytes).map_err(|_| invalid_elements(T::DATATYPE));
        }
        if self.aligned.get().is_none() {
            let copy: Arc<dyn Buffer> = Arc::new(read_elements::<T>(bytes)?);
            // A cell that was filled meanwhile holds the same elements.
            let _ = self.aligned.set(copy);
        }
        let copy = self.aligned.get().map_or(&[][..], |copy| copy.bytes());
        checked::try_cast_slice(copy).map_err(|_| invalid_elements(T::DATATYPE))
    }

    /// The elements as a view of an array, without a copy unless they lie
    /// misaligned in memory.
    ///
    /// # Errors
    ///
    /// As [`Tensor::as_slice`].
    #[cfg(feature = "ndarray")]
    pub fn view<T: Element>(&self) -> Result<ndarray::ArrayViewD<'_, T>> {
        Ok(ndarray::ArrayView::from_shape(self.shape.as_slice(), self.as_slice::<T>()?)?)
    }

    /// The elements in row-major order, copied out.
    ///
    /// # Errors
    ///
    /// As [`Tensor::as_slice`].
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        Ok(self.as_slice::<T>()?.to_vec())
    }

    /// The byte strings of a BYTES tensor, in row-major order.
    ///
    /// # Errors
    ///
    /// `invalid-input` if it is not BYTES or its length prefixes are wrong.
    pub fn blobs(&self) -> Result<Vec<&[u8]>> {
        if !self.is(Datatype::Bytes) {
            return Err(self.not_a(Datatype::Bytes));
        }
        read_blobs(self.bytes(), self.len())
    }

    /// The same bytes as elements of another datatype and the same shape. This
    /// is how to read a model's output of a datatype that `wasi:nn` has no name
    /// for; the typed conversions do it by themselves.
    ///
    /// # Errors
    ///
    /// `invalid-input` if the bytes do not make up that many such elements.
    pub fn reinterpret(self, datatype: Datatype) -> Result<Tensor> {
        let wire = self.datatype.wire() == datatype.wire();
        let tensor = match self.data {
            Data::Host { .. } if wire => Tensor { datatype, undeclared: false, ..self },
            data => Tensor::owned(datatype, self.shape, data.into_buffer()),
        };
        tensor.check_length()?;
        Ok(tensor)
    }

    /// The same elements, in the same order, under another shape.
    ///
    /// # Errors
    ///
    /// `invalid-input` if the count of elements differs.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Result<Tensor> {
        let shape = shape.into();
        let count = element_count(&shape)?;
        if count != self.len() {
            let shape = Shape(&shape);
            return Err(Error::invalid_input(format!("{self} has not as many elements as {shape}")));
        }
        let (datatype, undeclared) = (self.datatype, self.undeclared);
        Ok(Tensor { undeclared, ..Tensor::owned(datatype, shape, self.data.into_buffer()) })
    }

    /// True if the elements are, or may be read as, of this datatype.
    pub(crate) fn is(&self, datatype: Datatype) -> bool {
        self.datatype == datatype || (self.undeclared && datatype.wire() == TensorType::U8)
    }

    /// Wraps a tensor of the host. `declared` is the datatype to read it as, if
    /// that is known and the host's type agrees.
    pub(crate) fn from_host(tensor: HostTensor, declared: Option<Datatype>) -> Tensor {
        let ty = tensor.ty();
        let declared = declared.filter(|datatype| datatype.wire() == ty);
        Tensor {
            datatype: declared.unwrap_or(Datatype::of_wire(ty)),
            undeclared: declared.is_none() && ty == TensorType::U8,
            shape: tensor.dimensions().into_iter().map(|size| size as usize).collect(),
            data: Data::Host { tensor, fetched: OnceCell::new() },
            aligned: OnceCell::new(),
        }
    }

    /// Hands the tensor to the host; one that lives there already is passed on.
    pub(crate) fn into_host(self) -> Result<HostTensor> {
        let buffer = match self.data {
            Data::Owned(buffer) => buffer,
            Data::Host { tensor, .. } => return Ok(tensor),
        };
        let sizes = self.shape.iter().map(|&size| u32::try_from(size));
        let Ok(dimensions) = sizes.collect::<Result<Vec<u32>, _>>() else {
            return Err(Error::too_large(format!("no axis of {} may reach 2^32", Shape(&self.shape))));
        };
        Ok(HostTensor::new(&dimensions, self.datatype.wire(), buffer.bytes()))
    }

    /// A tensor over a buffer that is known to fit.
    pub(crate) fn owned(datatype: Datatype, shape: Vec<usize>, buffer: Arc<dyn Buffer>) -> Tensor {
        Tensor { datatype, undeclared: false, shape, data: Data::Owned(buffer), aligned: OnceCell::new() }
    }

    fn check_length(&self) -> Result<()> {
        check_length(self.datatype, &self.shape, self.bytes())
    }

    fn not_a(&self, datatype: Datatype) -> Error {
        Error::invalid_input(format!("is {self}, but {datatype} was asked for"))
    }
}

/// Cheap for a tensor in the function's memory; one of the host is fetched first.
impl Clone for Tensor {
    fn clone(&self) -> Tensor {
        let buffer = Arc::clone(self.data.buffer());
        Tensor { undeclared: self.undeclared, ..Tensor::owned(self.datatype, self.shape.clone(), buffer) }
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        self.datatype == other.datatype && self.shape == other.shape && self.bytes() == other.bytes()
    }
}

/// Datatype and shape, e.g. `FP32 [2, 3]`.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.datatype, Shape(&self.shape))
    }
}

/// As `Display`: elements may be many, and may not be here.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({self})")
    }
}

/// Memory that holds elements.
pub(crate) trait Buffer: Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl<T: Element> Buffer for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

/// Where the elements are.
enum Data {
    Owned(Arc<dyn Buffer>),
    Host { tensor: HostTensor, fetched: OnceCell<Arc<dyn Buffer>> },
}

impl Data {
    fn buffer(&self) -> &Arc<dyn Buffer> {
        match self {
            Data::Owned(buffer) => buffer,
            Data::Host { tensor, fetched } => fetched.get_or_init(|| Arc::new(tensor.data())),
        }
    }

    fn into_buffer(self) -> Arc<dyn Buffer> {
        Arc::clone(self.buffer())
    }
}

fn element_count(shape: &[usize]) -> Result<usize> {
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    count.ok_or_else(|| Error::too_large(format!("{} has more elements than memory can hold", Shape(shape))))
}

fn check_length(datatype: Datatype, shape: &[usize], bytes: &[u8]) -> Result<()> {
    let count = element_count(shape)?;
    let Some(size) = datatype.size() else { return read_blobs(bytes, count).map(drop) };
    if count.checked_mul(size) == Some(bytes.len()) {
        return Ok(());
    }
    let (shape, have) = (Shape(shape), bytes.len());
    Err(Error::invalid_input(format!(
        "{datatype} {shape} takes {count} x {size} bytes, but there are {have}"
    )))
}

fn invalid_elements(datatype: Datatype) -> Error {
    Error::invalid_input(format!("the bytes are not valid {datatype} elements; a BOOL is a byte of 0 or 1"))
}

/// Elements from bytes of any alignment.
fn read_elements<T: Element>(bytes: &[u8]) -> Result<Vec<T>> {
    let element = |bytes| checked::try_pod_read_unaligned(bytes).map_err(|_| invalid_elements(T::DATATYPE));
    bytes.chunks_exact(size_of::<T>()).map(element).collect()
}

fn push_blob(bytes: &mut Vec<u8>, blob: &[u8]) -> Result<()> {
    let Ok(length) = u32::try_from(blob.len()) else {
        return Err(Error::too_large(format!(
            "a BYTES element of {} bytes; less than 4 GiB is allowed",
            blob.len()
        )));
    };
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(blob);
    Ok(())
}

/// Splits BYTES elements at their length prefixes.
fn read_blobs(mut bytes: &[u8], count: usize) -> Result<Vec<&[u8]>> {
    // A prefix takes four bytes, so no shape makes this reserve more than came.
    let mut blobs = Vec::with_capacity(count.min(bytes.len() / 4));
    while let Some((prefix, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*prefix) as usize;
        let Some((blob, rest)) = rest.split_at_checked(length) else { break };
        blobs.push(blob);
        bytes = rest;
    }
    if blobs.len() == count && bytes.is_empty() {
        return Ok(blobs);
    }
    let (found, left) = (blobs.len(), bytes.len());
    Err(Error::invalid_input(format!(
        "BYTES of {count} elements, but the length prefixes give {found} and leave {left} bytes over"
    )))
}

#[cfg(test)]
#[path = "tensor_tests.rs"]
mod tests;
