//! A function as a type, and the path of a call through it.

use crate::host::HostTensor;
use crate::signature::Names;
use crate::tensors::named;
use crate::{Error, ErrorKind, FromTensor, IntoTensor, Result, Signature, Tensor, TensorSpec, Tensors};

/// A function: what [`macro@crate::function`] makes of a plain `fn`.
///
/// Implement it by hand, and [`export!`](crate::export) the type, where names
/// or types are known at run time only.
///
/// ```
/// use samara_sdk::{Datatype, Function, Result, Signature, TensorSpec, Tensors};
///
/// struct Negate;
///
/// impl Function for Negate {
///     fn describe() -> Signature {
///         let spec = |name| TensorSpec::new(name, Datatype::Fp32, &[-1]);
///         Signature::new(vec![spec("x")], vec![spec("y")])
///     }
///
///     fn infer(mut inputs: Tensors) -> Result<Tensors> {
///         let x: Vec<f32> = inputs.take("x")?;
///         Tensors::new().with("y", x.iter().map(|x| -x).collect::<Vec<f32>>())
///     }
/// }
///
/// samara_sdk::export!(Negate);
/// # fn main() -> Result<()> {
/// let mut outputs = samara_sdk::testing::call::<Negate>([("x", vec![1.0f32])])?;
/// assert_eq!(outputs.take::<Vec<f32>>("y")?, [-1.0]);
/// # Ok(()) }
/// ```
pub trait Function: 'static {
    /// What the function takes and gives. The same answer at every call.
    fn describe() -> Signature;

    /// Runs the function once.
    ///
    /// # Errors
    ///
    /// Whatever the caller should see; its kind decides the status.
    fn infer(inputs: Tensors) -> Result<Tensors>;
}

/// Exports a type that implements [`Function`](trait@crate::Function) from a
/// component. Does nothing outside of one. A component exports one function.
#[macro_export]
macro_rules! export {
    ($function:ty) => {
        // Counts as a use, so that nothing here looks dead outside of a component.
        const _: fn() -> $crate::Signature = <$function as $crate::Function>::describe;
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $crate::__private::Component<$function>;
    $crate::__private::bindings::export!(Component with_types_in $crate::__private::bindings);
        };
    };
}

/// Runs a function on tensors of the host.
pub(crate) fn infer<F: Function>(inputs: Vec<(String, HostTensor)>) -> Result<Vec<(String, HostTensor)>> {
    F::infer(from_host(inputs, &F::describe().inputs)).and_then(into_host)
}

/// Wraps tensors of the host, reading each as declared.
pub(crate) fn from_host(tensors: Vec<(String, HostTensor)>, declared: &[TensorSpec]) -> Tensors {
    let wrap = |(name, tensor): (String, HostTensor)| {
        let spec = declared.iter().find(|spec| spec.name == name);
        let tensor = Tensor::from_host(tensor, spec.map(|spec| spec.datatype));
        (name, tensor)
    };
    Tensors { entries: tensors.into_iter().map(wrap).collect() }
}

/// Hands tensors to the host.
pub(crate) fn into_host(tensors: Tensors) -> Result<Vec<(String, HostTensor)>> {
    let hand = |(name, tensor): (String, Tensor)| match tensor.into_host() {
        Ok(tensor) => Ok((name, tensor)),
        Err(error) => Err(named(error, &name)),
    };
    tensors.entries.into_iter().map(hand).collect()
}

/// The declaration of one input or output: what the type says, unless the
/// attribute says it. Evaluated by the compiler, where a panic is an error at
/// the type.
#[track_caller]
pub const fn declare<T: crate::TensorType>(
    name: &'static str,
    datatype: Option<crate::Datatype>,
    shape: Option<&'static [i64]>,
    media_type: Option<&'static str>,
) -> TensorSpec {
    use std::borrow::Cow::Borrowed;
    let datatype = match (datatype, T::DATATYPE) {
        (Some(declared), Some(own)) => {
            assert!(declared as u8 == own as u8, "the declared datatype is not that of the type");
            own
        }
        (Some(datatype), None) | (None, Some(datatype)) => datatype,
        (None, None) => panic!("the type does not say its datatype: declare `datatype = FP32` or another"),
    };
    let shape = match (shape, T::SHAPE) {
        (Some(declared), Some(own)) => {
            assert!(declared.len() == own.len(), "the declared shape has not as many axes as the type");
            declared
        }
        (Some(shape), None) | (None, Some(shape)) => shape,
        (None, None) => panic!("the type does not say its shape: declare `shape = [-1, 3]` or another"),
    };
    let media_type = match (media_type, T::MEDIA_TYPE) {
        (Some(media_type), _) | (None, Some(media_type)) => Some(Borrowed(media_type)),
        (None, None) => None,
    };
    TensorSpec { name: Borrowed(name), datatype, shape: Borrowed(shape), media_type }
}

/// Checks that every input is one that is declared.
pub fn check_names(inputs: &Tensors, declared: &[TensorSpec]) -> Result<()> {
    let unknown = inputs.iter().find(|(name, _)| !declared.iter().any(|spec| spec.name == *name));
    let Some((name, _)) = unknown else { return Ok(()) };
    Err(Error::invalid_input(format!("there is no input `{name}`; the inputs are {}", Names(declared))))
}

/// Takes one argument out of the inputs.
pub fn argument<T: FromTensor>(inputs: &mut Tensors, spec: &TensorSpec) -> Result<T> {
    let tensor = checked_argument(inputs, spec)?;
    T::from_tensor(tensor).map_err(|error| at_input(error, spec))
}

/// Puts one result among the outputs.
pub fn output<T: IntoTensor>(outputs: &mut Tensors, spec: &TensorSpec, value: T) -> Result<()> {
    put_output(outputs, spec, value.into_tensor())
}

fn checked_argument(inputs: &mut Tensors, spec: &TensorSpec) -> Result<Tensor> {
    let Ok(tensor) = inputs.remove(&spec.name) else {
        return Err(Error::invalid_input(format!("the input {spec} is missing")));
    };
    spec.check(&tensor).map_err(|error| at_input(error, spec))?;
    Ok(tensor)
}

fn put_output(outputs: &mut Tensors, spec: &TensorSpec, tensor: Result<Tensor>) -> Result<()> {
    let name = &spec.name;
    let tensor = tensor.map_err(|error| error.context(format_args!("output `{name}`")))?;
    // A result that is not as declared is the function's fault, not the caller's.
    let check = spec.check(&tensor).map_err(|error| error.with_kind(ErrorKind::Internal));
    check.map_err(|error| error.context(format_args!("output `{name}`")))?;
    outputs.put(name.clone().into_owned(), Ok(tensor))
}

fn at_input(error: Error, spec: &TensorSpec) -> Error {
    error.context(format_args!("input `{}`", spec.name))
}
