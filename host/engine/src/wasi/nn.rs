//! `wasi:nn` over resident models: `compute` waits for the model's own threads,
//! and no tensor is copied that only passes through.

use std::sync::Arc;
use std::time::Instant;

use samara_nn::{
    Choice, Datatype, Error as NnError, ErrorKind, Format, LoadOptions, Mismatch, ModelSource, Pool,
    ResidentModel, RunContext, Target, Tensor, TensorSpec,
};
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};

use crate::digest::sha256;
use crate::instance::InstanceState;
use crate::models::{ModelUse, Models};
use crate::report::ModelRun;

mod generated {
    wasmtime::component::bindgen!({
        path: "../../guest-sdk/wit",
        world: "samara-function",
        imports: {
            "wasi:nn/graph.load": async | trappable,
            "wasi:nn/inference.[method]graph-execution-context.compute": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "wasi:nn/tensor.tensor": super::GuestTensor,
            "wasi:nn/graph.graph": super::Graph,
            "wasi:nn/inference.graph-execution-context": super::ExecutionContext,
            "wasi:nn/errors.error": super::GuestError,
        },
    });
}

pub(crate) use generated::exports::samara::function::function as contract;
pub(crate) use generated::wasi::nn::{errors, graph, inference, tensor};
pub(crate) use generated::{SamaraFunction, SamaraFunctionPre};

/// The version of `wasi:nn` that this host has.
pub(crate) const VERSION: &str = "0.2.0-rc-2024-10-28";

/// Host memory that a handle costs beside its bytes; charged so that empty
/// tensors cannot be made without end.
const HANDLE_COST: u64 = 256;

type Named = (String, Resource<GuestTensor>);

pub(crate) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    tensor::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)?;
    errors::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)?;
    inference::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)?;
    graph::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)
}

/// What `wasi:nn` keeps for one instance.
pub(crate) struct NnState {
    /// The models that the function is granted.
    pub(crate) models: Models,
    pub(crate) pool: Arc<Pool>,
    /// The circumstances of the call that is served now.
    pub(crate) context: RunContext,
    pub(crate) runs: Vec<ModelRun>,
    pub(crate) call_began: Instant,
}

/// A tensor in the hands of a guest.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated code re-exports it")]
pub struct GuestTensor {
    content: Content,
    charged: u64,
}

#[derive(Debug)]
enum Content {
    /// From the host: its datatype is known.
    Typed(Tensor),
    /// Made by the guest: a `U8` may stand for any datatype that `wasi:nn`
    /// does not name, until a declared signature says which.
    Made { dimensions: Vec<u32>, ty: tensor::TensorType, data: bytes::Bytes },
}

/// A loaded model in the hands of a guest.
#[expect(unreachable_pub, reason = "the generated code re-exports it")]
pub struct Graph(ModelUse);

/// A guest's right to run a model.
#[expect(unreachable_pub, reason = "the generated code re-exports it")]
pub struct ExecutionContext(ModelUse);

/// An error in the hands of a guest.
#[expect(unreachable_pub, reason = "the generated code re-exports it")]
pub struct GuestError {
    code: errors::ErrorCode,
    message: String,
}

/// A tensor beyond the quota; ends the guest, since the constructor cannot fail.
#[derive(Debug, thiserror::Error)]
#[error("the tensor-memory limit is reached")]
pub(crate) struct TensorQuota;

impl GuestTensor {
    /// A tensor of the host's, which the guest's quota does not pay for.
    pub(crate) fn from_host(tensor: Tensor) -> Self {
        Self { content: Content::Typed(tensor), charged: 0 }
    }

    /// Reads the tensor as a declaration says.
    pub(crate) fn read_as(self, spec: &TensorSpec) -> Result<Tensor, Mismatch> {
        match self.content {
            Content::Typed(tensor) if tensor.datatype() == spec.datatype => Ok(tensor),
            Content::Typed(tensor)
                if tensor.datatype() == Datatype::Uint8 && wasi_type(spec.datatype).is_none() =>
            {
                read_raw(spec, tensor.shape().to_vec(), tensor.data().clone())
            }
            Content::Typed(tensor) => Err(Mismatch::Datatype {
                tensor: spec.name.clone(),
                expected: spec.datatype,
                found: tensor.datatype(),
            }),
            Content::Made { dimensions, ty, data } => {
                let shape: Vec<usize> = dimensions.iter().map(|&size| size as usize).collect();
                let expected = wasi_type(spec.datatype).unwrap_or(tensor::TensorType::U8);
                if ty != expected {
                    return Err(Mismatch::Datatype {
                        tensor: spec.name.clone(),
                        expected: spec.datatype,
                        found: datatype(ty),
                    });
                }
                read_raw(spec, shape, data)
            }
        }
    }

    fn dimensions(&self) -> Vec<u32> {
        match &self.content {
            Content::Typed(tensor) => {
                tensor.shape().iter().map(|&size| u32::try_from(size).unwrap_or(u32::MAX)).collect()
            }
            Content::Made { dimensions, .. } => dimensions.clone(),
        }
    }

    fn ty(&self) -> tensor::TensorType {
        match &self.content {
            Content::Typed(tensor) => wasi_type(tensor.datatype()).unwrap_or(tensor::TensorType::U8),
            Content::Made { ty, .. } => *ty,
        }
    }

    fn data(&self) -> &bytes::Bytes {
        match &self.content {
            Content::Typed(tensor) => tensor.data(),
            Content::Made { data, .. } => data,
        }
    }
}

fn read_raw(spec: &TensorSpec, shape: Vec<usize>, data: bytes::Bytes) -> Result<Tensor, Mismatch> {
    Tensor::new(spec.datatype, shape, data)
        .map_err(|source| Mismatch::Malformed { tensor: spec.name.clone(), source })
}

impl tensor::Host for InstanceState {}

impl tensor::HostTensor for InstanceState {
    fn new(
        &mut self,
        dimensions: Vec<u32>,
        ty: tensor::TensorType,
        data: Vec<u8>,
    ) -> wasmtime::Result<Resource<GuestTensor>> {
        let charged = data.len() as u64 + HANDLE_COST;
        if !self.meter.take_tensor(charged) {
            return Err(wasmtime::Error::new(TensorQuota));
        }
        let content = Content::Made { dimensions, ty, data: data.into() };
        Ok(self.table.push(GuestTensor { content, charged })?)
    }

    fn dimensions(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.table.get(&tensor)?.dimensions())
    }

    fn ty(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<tensor::TensorType> {
        Ok(self.table.get(&tensor)?.ty())
    }

    fn data(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&tensor)?.data().to_vec())
    }

    fn drop(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<()> {
        self.take_tensor(tensor)?;
        Ok(())
    }
}

impl graph::Host for InstanceState {
    async fn load(
        &mut self,
        parts: Vec<Vec<u8>>,
        encoding: graph::GraphEncoding,
        target: graph::ExecutionTarget,
    ) -> wasmtime::Result<Result<Resource<Graph>, Resource<GuestError>>> {
        let loaded =
            load_from_guest(&self.nn.pool, self.meter.limits().tensor_memory, parts, encoding, target).await;
        match loaded {
            Ok(model) => Ok(Ok(self.table.push(Graph(model))?)),
            Err(error) => self.refuse(error),
        }
    }

    fn load_by_name(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Resource<Graph>, Resource<GuestError>>> {
        match self.nn.models.by_name.get(&name) {
            Some(model) => {
                let graph = Graph(model.clone());
                Ok(Ok(self.table.push(graph)?))
            }
            None => {
                let granted: Vec<String> =
                    self.nn.models.by_name.keys().map(|name| format!("`{name}`")).collect();
                let granted = if granted.is_empty() { "none".to_owned() } else { granted.join(", ") };
                let message = format!(
                    "no model `{name}` is granted to this function (granted: {granted}); declare it under `[model.{name}]` in samara.toml"
                );
                self.refuse(GuestError { code: errors::ErrorCode::NotFound, message })
            }
        }
    }
}

impl graph::HostGraph for InstanceState {
    fn init_execution_context(
        &mut self,
        graph: Resource<Graph>,
    ) -> wasmtime::Result<Result<Resource<ExecutionContext>, Resource<GuestError>>> {
        let context = ExecutionContext(self.table.get(&graph)?.0.clone());
        Ok(Ok(self.table.push(context)?))
    }

    fn drop(&mut self, graph: Resource<Graph>) -> wasmtime::Result<()> {
        self.table.delete(graph)?;
        Ok(())
    }
}

impl inference::Host for InstanceState {}

impl inference::HostGraphExecutionContext for InstanceState {
    async fn compute(
        &mut self,
        context: Resource<ExecutionContext>,
        inputs: Vec<Named>,
    ) -> wasmtime::Result<Result<Vec<Named>, Resource<GuestError>>> {
        let model = self.table.get(&context)?.0.clone();
        let tensors = match self.read_inputs(&model, inputs)? {
            Ok(tensors) => tensors,
            Err(mismatch) => return self.refuse(NnError::from(mismatch).into()),
        };
        let began = self.nn.call_began.elapsed();
        let answer = match model.model.infer(tensors, model.context(self.run_context())).await {
            Ok(answer) => answer,
            Err(error) => return self.refuse(error.into()),
        };
        self.nn.runs.push(model.report(began, &answer));
        let mut outputs = Vec::with_capacity(answer.outputs.len());
        for (name, tensor) in model.signature().name_outputs(answer.outputs) {
            let charged = tensor.data().len() as u64 + HANDLE_COST;
            if !self.meter.take_tensor(charged) {
                let message = format!("output `{name}` does not fit the tensor-memory limit");
                return self.refuse(GuestError { code: errors::ErrorCode::TooLarge, message });
            }
            outputs.push((name, self.table.push(GuestTensor { content: Content::Typed(tensor), charged })?));
        }
        Ok(Ok(outputs))
    }

    fn drop(&mut self, context: Resource<ExecutionContext>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}

impl errors::Host for InstanceState {}

impl errors::HostError for InstanceState {
    fn code(&mut self, error: Resource<GuestError>) -> wasmtime::Result<errors::ErrorCode> {
        Ok(self.table.get(&error)?.code)
    }

    fn data(&mut self, error: Resource<GuestError>) -> wasmtime::Result<String> {
        Ok(self.table.get(&error)?.message.clone())
    }

    fn drop(&mut self, error: Resource<GuestError>) -> wasmtime::Result<()> {
        self.table.delete(error)?;
        Ok(())
    }
}

impl InstanceState {
    /// Takes a tensor out of the guest's hands.
    pub(crate) fn take_tensor(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<GuestTensor> {
        let tensor = self.table.delete(tensor)?;
        self.meter.give_back_tensor(tensor.charged);
        Ok(tensor)
    }

    /// Takes the inputs of a model over from the guest; all of them, even when
    /// one is wrong, since they are the guest's no longer.
    fn read_inputs(
        &mut self,
        model: &ResidentModel,
        inputs: Vec<Named>,
    ) -> wasmtime::Result<Result<Vec<(String, Tensor)>, Mismatch>> {
        let mut taken = Vec::with_capacity(inputs.len());
        for (name, tensor) in inputs {
            taken.push((name, self.take_tensor(tensor)?));
        }
        let signature = model.signature();
        let read = |(name, tensor): (String, GuestTensor)| match signature.input(&name) {
            Some(spec) => tensor.read_as(spec).map(|tensor| (name, tensor)),
            None => Err(Mismatch::Unknown {
                tensor: name,
                known: signature.inputs.iter().map(|spec| spec.name.clone()).collect(),
            }),
        };
        Ok(taken.into_iter().map(read).collect())
    }

    fn refuse<T>(&mut self, error: GuestError) -> wasmtime::Result<Result<T, Resource<GuestError>>> {
        Ok(Err(self.table.push(error)?))
    }
}

impl From<NnError> for GuestError {
    fn from(error: NnError) -> Self {
        use errors::ErrorCode;
        let code = match error.kind() {
            ErrorKind::InvalidInput => ErrorCode::InvalidArgument,
            ErrorKind::NotFound => ErrorCode::NotFound,
            ErrorKind::InvalidModel => ErrorCode::InvalidEncoding,
            ErrorKind::Unsupported | ErrorKind::Unavailable => ErrorCode::UnsupportedOperation,
            ErrorKind::Timeout => ErrorCode::Timeout,
            ErrorKind::TooLarge => ErrorCode::TooLarge,
            _ => ErrorCode::RuntimeError,
        };
        GuestError { code, message: error.to_string() }
    }
}

/// Puts the host's tensors into a guest's table.
pub(crate) fn lower(
    table: &mut ResourceTable,
    tensors: Vec<(String, Tensor)>,
) -> wasmtime::Result<Vec<Named>> {
    tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, table.push(GuestTensor::from_host(tensor))?)))
        .collect()
}

async fn load_from_guest(
    pool: &Arc<Pool>,
    most_bytes: u64,
    mut parts: Vec<Vec<u8>>,
    encoding: graph::GraphEncoding,
    target: graph::ExecutionTarget,
) -> Result<ModelUse, GuestError> {
    use graph::{ExecutionTarget, GraphEncoding};
    let refuse = |code, message: &str| Err(GuestError { code, message: message.to_owned() });
    let target = match target {
        ExecutionTarget::Cpu => Target::Cpu,
        ExecutionTarget::Gpu => Target::Gpu(None),
        ExecutionTarget::Tpu => {
            return refuse(errors::ErrorCode::UnsupportedOperation, "this host runs no model on a TPU");
        }
    };
    let (Some(bytes), true) = (parts.pop(), parts.is_empty()) else {
        return refuse(errors::ErrorCode::InvalidArgument, "a model is exactly one buffer");
    };
    let format = match encoding {
        GraphEncoding::Onnx => Format::Onnx,
        GraphEncoding::Tensorflowlite => Format::Tflite,
        GraphEncoding::Autodetect => match Format::recognise(&bytes, "") {
            Ok(format) => format,
            Err(unknown) => return refuse(errors::ErrorCode::InvalidEncoding, &unknown.to_string()),
        },
        _ => {
            let words = "this host loads models as `onnx`, `tensorflowlite` or `autodetect` only";
            return refuse(errors::ErrorCode::InvalidEncoding, words);
        }
    };
    if bytes.len() as u64 > most_bytes {
        return refuse(errors::ErrorCode::TooLarge, "the model is larger than the tensor-memory limit");
    }
    let source = ModelSource {
        name: "loaded by the guest".to_owned(),
        identity: sha256(&bytes),
        format,
        bytes: bytes.into(),
        path: None,
    };
    let pool = Arc::clone(pool);
    let options = LoadOptions { target, ..LoadOptions::default() };
    let loaded = crate::instance::blocking(move || {
        pool.acquire(&source, &Choice::Auto, &options).and_then(ModelUse::unasked)
    })
    .await;
    loaded.map_err(GuestError::from)
}

/// The `wasi:nn` type of a datatype, or `None` for one that travels as `U8`.
fn wasi_type(datatype: Datatype) -> Option<tensor::TensorType> {
    use tensor::TensorType;
    match datatype {
        Datatype::Fp16 => Some(TensorType::Fp16),
        Datatype::Fp32 => Some(TensorType::Fp32),
        Datatype::Fp64 => Some(TensorType::Fp64),
        Datatype::Bf16 => Some(TensorType::Bf16),
        Datatype::Uint8 => Some(TensorType::U8),
        Datatype::Int32 => Some(TensorType::I32),
        Datatype::Int64 => Some(TensorType::I64),
        _ => None,
    }
}

fn datatype(ty: tensor::TensorType) -> Datatype {
    use tensor::TensorType;
    match ty {
        TensorType::Fp16 => Datatype::Fp16,
        TensorType::Fp32 => Datatype::Fp32,
        TensorType::Fp64 => Datatype::Fp64,
        TensorType::Bf16 => Datatype::Bf16,
        TensorType::U8 => Datatype::Uint8,
        TensorType::I32 => Datatype::Int32,
        TensorType::I64 => Datatype::Int64,
    }
}
