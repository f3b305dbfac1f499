//! Models that a function runs through `wasi:nn`.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::function::{from_host, into_host};
use crate::host::{self, ErrorCode, ExecutionTarget, Graph, GraphEncoding, GraphExecutionContext, NnError};
use crate::{Error, ErrorKind, IntoTensors, Result, Tensors};

/// The model that the manifest grants under this name (`[model.NAME]`). It is
/// loaded once in the host and shared, so asking for it again is cheap.
///
/// # Errors
///
/// `not-found` if no such model is granted.
///
/// ```no_run
/// # fn main() -> samara_sdk::Result<()> {
/// let mut outputs = samara_sdk::model("digits")?.run([("pixels", vec![0.0f32; 64])])?;
/// let label: Vec<i64> = outputs.take("label")?;
/// # Ok(()) }
/// ```
pub fn model(name: &str) -> Result<Model> {
    let opened = OPENED
        .with_borrow(|opened| opened.iter().find(|(known, _)| known == name).map(|(_, model)| model.clone()));
    if let Some(model) = opened {
        return Ok(model);
    }
    let place = format!("model `{name}`");
    let model = Model::ready(host::load_by_name(name), place)?;
    if cfg!(target_arch = "wasm32") {
        OPENED.with_borrow_mut(|opened| opened.push((name.to_owned(), model.clone())));
    }
    Ok(model)
}

thread_local! {
    /// The named models that this instance has opened: what it is granted does
    /// not change while it lives. Stand-ins of native tests come and go.
    static OPENED: RefCell<Vec<(String, Model)>> = const { RefCell::new(Vec::new()) };
}

/// The file format of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// ONNX.
    Onnx,
    /// OpenVINO: the description and the weights are two files.
    OpenVino,
    /// TensorFlow.
    TensorFlow,
    /// PyTorch.
    PyTorch,
    /// TensorFlow Lite.
    TensorFlowLite,
    /// GGML and GGUF.
    Ggml,
    /// The host looks at the bytes.
    Auto,
}

/// Where a model is to run. The host never moves to another one in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// The processor.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// A tensor processor.
    Tpu,
}

/// A model that is ready to run. Clones share it.
#[derive(Clone)]
pub struct Model {
    opened: Rc<Opened>,
}

struct Opened {
    place: String,
    context: GraphExecutionContext,
}

impl Model {
    /// Loads a model from bytes in the function's memory. Prefer [`model`]: a
    /// model of the manifest is loaded once and never copied.
    ///
    /// # Errors
    ///
    /// `invalid-input` if the bytes are not such a model, `unsupported` if the
    /// host cannot run it on this target, `too-large` if it exceeds a limit.
    pub fn load(bytes: impl Into<Vec<u8>>, encoding: Encoding, target: Target) -> Result<Model> {
        let graph = host::load(&[bytes.into()], encoding.into(), target.into());
        Model::ready(graph, "the model loaded from bytes".to_owned())
    }

    /// Runs the model once. Inputs are named as the model names them; tensors
    /// that live in the host are passed on without a copy.
    ///
    /// # Errors
    ///
    /// `invalid-input` if the inputs are not what the model takes, `timeout`,
    /// `too-large`, or `internal` if the engine failed; all name the model.
    pub fn run(&self, inputs: impl IntoTensors) -> Result<Tensors> {
        self.compute(inputs.into_tensors()?)
    }

    fn compute(&self, inputs: Tensors) -> Result<Tensors> {
        let Opened { place, context } = &*self.opened;
        let outputs = context.compute(into_host(inputs)?);
        Ok(from_host(outputs.map_err(|error| from_nn(&error, place))?, &[]))
    }

    fn ready(graph: Result<Graph, NnError>, place: String) -> Result<Model> {
        match graph.and_then(|graph| graph.init_execution_context()) {
            Ok(context) => Ok(Model { opened: Rc::new(Opened { place, context }) }),
            Err(error) => Err(from_nn(&error, &place)),
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.opened.place)
    }
}

impl From<Encoding> for GraphEncoding {
    fn from(encoding: Encoding) -> GraphEncoding {
        match encoding {
            Encoding::Onnx => GraphEncoding::Onnx,
            Encoding::OpenVino => GraphEncoding::Openvino,
            Encoding::TensorFlow => GraphEncoding::Tensorflow,
            Encoding::PyTorch => GraphEncoding::Pytorch,
            Encoding::TensorFlowLite => GraphEncoding::Tensorflowlite,
            Encoding::Ggml => GraphEncoding::Ggml,
            Encoding::Auto => GraphEncoding::Autodetect,
        }
    }
}

impl From<Target> for ExecutionTarget {
    fn from(target: Target) -> ExecutionTarget {
        match target {
            Target::Cpu => ExecutionTarget::Cpu,
            Target::Gpu => ExecutionTarget::Gpu,
            Target::Tpu => ExecutionTarget::Tpu,
        }
    }
}

fn from_nn(error: &NnError, place: &str) -> Error {
    let kind = match error.code() {
        ErrorCode::InvalidArgument | ErrorCode::InvalidEncoding => ErrorKind::InvalidInput,
        ErrorCode::Timeout => ErrorKind::Timeout,
        ErrorCode::UnsupportedOperation => ErrorKind::Unsupported,
        ErrorCode::TooLarge => ErrorKind::TooLarge,
        ErrorCode::NotFound => ErrorKind::NotFound,
        ErrorCode::RuntimeError | ErrorCode::Security | ErrorCode::Unknown => ErrorKind::Internal,
    };
    Error::new(kind, error.data()).context(place)
}
