//! Tensors by name: the inputs of a function or a model, or the outputs.

use crate::{Error, FromTensor, IntoTensor, Result, Tensor};

/// Tensors, each with the name of the input or output that it is for.
///
/// ```
/// # use samara_sdk::Tensors;
/// let mut tensors = Tensors::new().with("count", 3i64)?.with("text", "seven".to_owned())?;
/// assert_eq!(tensors.take::<i64>("count")?, 3);
/// assert_eq!(tensors.len(), 1);
/// # Ok::<(), samara_sdk::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tensors {
    pub(crate) entries: Vec<(String, Tensor)>,
}

impl Tensors {
    /// No tensors yet.
    pub fn new() -> Tensors {
        Tensors::default()
    }

    /// Adds a value, in place of an earlier one of the same name.
    ///
    /// # Errors
    ///
    /// As [`IntoTensor::into_tensor`].
    pub fn insert(&mut self, name: impl Into<String>, value: impl IntoTensor) -> Result<()> {
        self.put(name.into(), value.into_tensor())
    }

    /// As [`Tensors::insert`], for a chain of calls.
    ///
    /// # Errors
    ///
    /// As [`IntoTensor::into_tensor`].
    pub fn with(mut self, name: impl Into<String>, value: impl IntoTensor) -> Result<Tensors> {
        self.insert(name, value)?;
        Ok(self)
    }

    /// Takes a tensor out, as a Rust value.
    ///
    /// # Errors
    ///
    /// `not-found` if there is none of this name, `invalid-input` if it is not
    /// what was asked for; both name the tensor.
    pub fn take<T: FromTensor>(&mut self, name: &str) -> Result<T> {
        let tensor = self.remove(name)?;
        let tensor = match T::DATATYPE {
            Some(datatype) if tensor.is(datatype) => tensor.reinterpret(datatype),
            _ => Ok(tensor),
        };
        tensor.and_then(T::from_tensor).map_err(|error| named(error, name))
    }

    /// Takes a tensor out as it is.
    ///
    /// # Errors
    ///
    /// `not-found` if there is none of this name.
    pub fn remove(&mut self, name: &str) -> Result<Tensor> {
        match self.entries.iter().position(|(known, _)| known == name) {
            Some(index) => Ok(self.entries.swap_remove(index).1),
            None => Err(self.missing(name)),
        }
    }

    /// Looks at a tensor.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.iter().find(|(known, _)| *known == name).map(|(_, tensor)| tensor)
    }

    /// Names and tensors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a tensor, in place of an earlier one of the same name.
    pub(crate) fn put(&mut self, name: String, tensor: Result<Tensor>) -> Result<()> {
        let tensor = tensor.map_err(|error| named(error, &name))?;
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, earlier)) => *earlier = tensor,
            None => self.entries.push((name, tensor)),
        }
        Ok(())
    }

    fn missing(&self, name: &str) -> Error {
        let mut message = format!("there is no tensor `{name}`; there are:");
        for (known, tensor) in self.iter() {
            message.push_str(&format!(" `{known}` {tensor}"));
        }
        if self.is_empty() {
            message.push_str(" none");
        }
        Error::not_found(message)
    }
}

/// What can be handed over as named tensors: [`Tensors`], or an array or `Vec`
/// of names and values such as `[("pixels", pixels)]`.
pub trait IntoTensors {
    /// Names and converts each value.
    ///
    /// # Errors
    ///
    /// As [`IntoTensor::into_tensor`].
    fn into_tensors(self) -> Result<Tensors>;
}

impl IntoTensors for Tensors {
    fn into_tensors(self) -> Result<Tensors> {
        Ok(self)
    }
}

impl<N: Into<String>, T: IntoTensor, const COUNT: usize> IntoTensors for [(N, T); COUNT] {
    fn into_tensors(self) -> Result<Tensors> {
        collect(self)
    }
}

impl<N: Into<String>, T: IntoTensor> IntoTensors for Vec<(N, T)> {
    fn into_tensors(self) -> Result<Tensors> {
        collect(self)
    }
}

/// Puts the name of the tensor before the message.
pub(crate) fn named(error: Error, name: &str) -> Error {
    error.context(format_args!("tensor `{name}`"))
}

fn collect<N: Into<String>, T: IntoTensor>(values: impl IntoIterator<Item = (N, T)>) -> Result<Tensors> {
    values.into_iter().try_fold(Tensors::new(), |tensors, (name, value)| tensors.with(name, value))
}
