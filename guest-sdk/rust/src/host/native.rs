//! A stand-in for the host, with the items of `wasi:nn` that the SDK uses:
//! tensors live in this process, and the models are those that
//! [`crate::testing::with_model`] registered on this thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::function::{from_host, into_host};
use crate::{Error, ErrorKind, Tensors};

/// The types that `wasi:nn` has names for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are wasi:nn's")]
pub enum TensorType {
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    U8,
    I32,
    I64,
}

/// A tensor as the host holds it.
pub struct HostTensor {
    dimensions: Vec<u32>,
    ty: TensorType,
    data: Vec<u8>,
    reads: Cell<usize>,
}

impl HostTensor {
    /// Copies the bytes into the host.
    pub fn new(dimensions: &[u32], ty: TensorType, data: &[u8]) -> HostTensor {
        HostTensor { dimensions: dimensions.to_vec(), ty, data: data.to_vec(), reads: Cell::new(0) }
    }

    /// Sizes along each axis.
    pub fn dimensions(&self) -> Vec<u32> {
        self.dimensions.clone()
    }

    /// The element type.
    pub fn ty(&self) -> TensorType {
        self.ty
    }

    /// Copies the bytes out of the host.
    pub fn data(&self) -> Vec<u8> {
        self.reads.set(self.reads.get() + 1);
        self.data.clone()
    }

    /// How often the bytes were copied out, for tests of what stays in the host.
    #[cfg(test)]
    pub fn times_read(&self) -> usize {
        self.reads.get()
    }
}

/// The codes of `wasi:nn` errors.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, dead_code, reason = "the names are wasi:nn's, whether or not a stand-in gives them")]
pub enum ErrorCode {
    InvalidArgument,
    InvalidEncoding,
    Timeout,
    RuntimeError,
    UnsupportedOperation,
    TooLarge,
    NotFound,
    Security,
    Unknown,
}

/// An error of `wasi:nn`.
pub struct NnError {
    code: ErrorCode,
    data: String,
}

impl NnError {
    /// What kind of failure it was.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What went wrong, in words.
    pub fn data(&self) -> String {
        self.data.clone()
    }
}

/// File formats of models.
#[allow(missing_docs, reason = "the names are wasi:nn's")]
pub enum GraphEncoding {
    Openvino,
    Onnx,
    Tensorflow,
    Pytorch,
    Tensorflowlite,
    Ggml,
    Autodetect,
}

/// Where a model is to run.
#[allow(missing_docs, reason = "the names are wasi:nn's")]
pub enum ExecutionTarget {
    Cpu,
    Gpu,
    Tpu,
}

/// A function that stands in for a model.
pub type StandIn = Rc<dyn Fn(Tensors) -> Result<Tensors, Error>>;

/// A loaded model.
pub struct Graph(StandIn);

impl Graph {
    /// Makes the model ready to run.
    pub fn init_execution_context(&self) -> Result<GraphExecutionContext, NnError> {
        Ok(GraphExecutionContext(Rc::clone(&self.0)))
    }
}

/// A model that is ready to run.
pub struct GraphExecutionContext(StandIn);

impl GraphExecutionContext {
    /// Runs the stand-in. Its tensors lose on the way what they lose in `wasi:nn`.
    pub fn compute(&self, inputs: Vec<(String, HostTensor)>) -> Result<Vec<(String, HostTensor)>, NnError> {
        (self.0)(from_host(inputs, &[])).and_then(into_host).map_err(nn_error)
    }
}

/// Finds no model: there is no engine outside a component.
pub fn load(
    _builder: &[Vec<u8>],
    _encoding: GraphEncoding,
    _target: ExecutionTarget,
) -> Result<Graph, NnError> {
    let data = "a model is loaded from bytes by samara only; in a native test give the model a name and \
                register a stand-in with `samara_sdk::testing::with_model`";
    Err(NnError { code: ErrorCode::UnsupportedOperation, data: data.to_owned() })
}

/// Finds the stand-in that was registered last under this name.
pub fn load_by_name(name: &str) -> Result<Graph, NnError> {
    let found = MODELS.with_borrow(|models| {
        models.iter().rev().find(|(known, _)| known == name).map(|(_, stand_in)| Rc::clone(stand_in))
    });
    found.map(Graph).ok_or_else(|| NnError {
        code: ErrorCode::NotFound,
        data: format!(
            "no model `{name}`: in a native test register a stand-in with `samara_sdk::testing::with_model`"
        ),
    })
}

/// Registers a stand-in on this thread until the answer is dropped.
pub fn register(name: &str, stand_in: StandIn) -> Registered {
    MODELS.with_borrow_mut(|models| models.push((name.to_owned(), stand_in)));
    Registered(())
}

/// Removes the stand-in that was registered last, when dropped.
pub struct Registered(());

impl Drop for Registered {
    fn drop(&mut self) {
        MODELS.with_borrow_mut(|models| models.pop());
    }
}

thread_local! {
    static MODELS: RefCell<Vec<(String, StandIn)>> = const { RefCell::new(Vec::new()) };
}

fn nn_error(error: Error) -> NnError {
    let code = match error.kind() {
        ErrorKind::InvalidInput => ErrorCode::InvalidArgument,
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::Unsupported => ErrorCode::UnsupportedOperation,
        ErrorKind::Timeout => ErrorCode::Timeout,
        ErrorKind::TooLarge => ErrorCode::TooLarge,
        ErrorKind::Internal => ErrorCode::RuntimeError,
    };
    NnError { code, data: error.message().to_owned() }
}
