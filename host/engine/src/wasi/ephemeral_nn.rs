//! `wasi_ephemeral_nn`: what core modules import of `wasi-nn`. Tensors go by
//! their index in the model's signature, and a failure is one number; what it
//! was in words is logged.

use samara_nn::{Datatype, Mismatch, Tensor, TensorSpec};
use wasmtime::{Caller, Extern, Linker, Memory};

use crate::limits::format_bytes;
use crate::models::ModelUse;
use crate::output::Level;
use crate::program::ProgramState;
use crate::wasi::nn::errors::ErrorCode;
use crate::wasi::nn::graph::{ExecutionTarget, GraphEncoding};
use crate::wasi::nn::{GuestError, GuestTensor, HANDLE_COST, granted, load_from_guest};

pub(crate) const MODULE: &str = "wasi_ephemeral_nn";

/// What the module has, for messages.
pub(crate) const FUNCTIONS: [&str; 6] =
    ["load", "load_by_name", "init_execution_context", "set_input", "compute", "get_output"];

/// A list's or string's length and a pointer to it, as two words.
const SLICE: u32 = 8;

type Guest<'a> = Caller<'a, ProgramState>;
type Answer<T = ()> = Result<T, Failure>;

/// What a program got from its calls so far. There is no call to give anything
/// back, so all of it lives as long as the program.
#[derive(Default)]
pub(crate) struct Handles {
    graphs: Vec<ModelUse>,
    contexts: Vec<Context>,
}

/// A model, what is set for its next run, and what the last one gave.
struct Context {
    model: ModelUse,
    inputs: Vec<Option<GuestTensor>>,
    outputs: Vec<GuestTensor>,
}

/// The numbers that calls end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Errno {
    InvalidArgument = 1,
    InvalidEncoding = 2,
    MissingMemory = 3,
    RuntimeError = 5,
    UnsupportedOperation = 6,
    TooLarge = 7,
    NotFound = 8,
}

/// A call's failure.
#[derive(Debug)]
struct Failure {
    errno: Errno,
    message: String,
}

pub(crate) fn add_to_linker(linker: &mut Linker<ProgramState>) -> wasmtime::Result<()> {
    type Load = (u32, u32, u32, u32, u32);
    linker.func_wrap_async(MODULE, "load", |mut guest: Guest<'_>, arguments: Load| {
        Box::new(async move {
            let answer = load(&mut guest, arguments).await;
            finish(&mut guest, "load", answer)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "load_by_name",
        |mut guest: Guest<'_>, name: u32, length: u32, graph: u32| {
            let answer = load_by_name(&mut guest, (name, length), graph);
            finish(&mut guest, "load_by_name", answer)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "init_execution_context",
        |mut guest: Guest<'_>, graph: u32, context: u32| {
            let answer = init_execution_context(&mut guest, graph, context);
            finish(&mut guest, "init_execution_context", answer)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "set_input",
        |mut guest: Guest<'_>, context: u32, index: u32, tensor: u32| {
            let answer = set_input(&mut guest, context, index, tensor);
            finish(&mut guest, "set_input", answer)
        },
    )?;
    linker.func_wrap_async(MODULE, "compute", |mut guest: Guest<'_>, (context,): (u32,)| {
        Box::new(async move {
            let answer = compute(&mut guest, context).await;
            finish(&mut guest, "compute", answer)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "get_output",
        |mut guest: Guest<'_>, context: u32, index: u32, buffer: u32, room: u32, written: u32| {
            let answer = get_output(&mut guest, (context, index), (buffer, room), written);
            finish(&mut guest, "get_output", answer)
        },
    )?;
    Ok(())
}

/// Logs a failure and gives the number that the guest sees.
fn finish(guest: &mut Guest<'_>, function: &str, answer: Answer) -> u32 {
    let Err(Failure { errno, message }) = answer else {
        return 0;
    };
    let context = format!("{MODULE}::{function}");
    guest.data().instance.voice.log(Level::Warn, &context, &message);
    errno as u32
}

async fn load(
    guest: &mut Guest<'_>,
    (parts, count, encoding, target, graph): (u32, u32, u32, u32, u32),
) -> Answer {
    let memory = memory(guest)?;
    check_room(guest, memory, graph)?;
    let (encoding, target) = (graph_encoding(encoding)?, execution_target(target)?);
    if count != 1 {
        return Err(argument(format!("a model is exactly one buffer; here are {count}")));
    }
    let most = guest.data().instance.meter.limits().tensor_memory;
    let data = memory.data(&*guest);
    let (pointer, length) = slice_at(data, parts)?;
    if u64::from(length) > most {
        return Err(too_large(format!(
            "the model is larger than the tensor memory of {}",
            format_bytes(most)
        )));
    }
    let model = bytes_at(data, pointer, length)?.to_vec();
    let pool = guest.data().instance.nn.pool.clone();
    let model = load_from_guest(&pool, most, vec![model], encoding, target).await?;
    add_graph(guest, memory, model, graph)
}

fn load_by_name(guest: &mut Guest<'_>, (name, length): (u32, u32), graph: u32) -> Answer {
    let memory = memory(guest)?;
    check_room(guest, memory, graph)?;
    let name = std::str::from_utf8(bytes_at(memory.data(&*guest), name, length)?)
        .map_err(|_| argument("the model's name is not UTF-8".to_owned()))?;
    let model = granted(&guest.data().instance.nn.models, name)?;
    add_graph(guest, memory, model, graph)
}

fn add_graph(guest: &mut Guest<'_>, memory: Memory, model: ModelUse, graph: u32) -> Answer {
    pay_for_handles(guest, 1)?;
    let graphs = &mut guest.data_mut().handles.graphs;
    let handle = handle(graphs.len())?;
    graphs.push(model);
    write_word(guest, memory, graph, handle)
}

fn init_execution_context(guest: &mut Guest<'_>, graph: u32, context: u32) -> Answer {
    let memory = memory(guest)?;
    check_room(guest, memory, context)?;
    let graphs = &guest.data().handles.graphs;
    let model = usize::try_from(graph).ok().and_then(|graph| graphs.get(graph)).cloned();
    let model = model.ok_or_else(|| argument(format!("there is no graph {graph}")))?;
    let inputs = model.signature().inputs.len();
    pay_for_handles(guest, 1 + inputs)?;
    let contexts = &mut guest.data_mut().handles.contexts;
    let handle = handle(contexts.len())?;
    contexts.push(Context { model, inputs: (0..inputs).map(|_| None).collect(), outputs: Vec::new() });
    write_word(guest, memory, context, handle)
}

/// Takes a tensor for the next runs, in place of what was set at its index.
fn set_input(guest: &mut Guest<'_>, context: u32, index: u32, tensor: u32) -> Answer {
    let memory = memory(guest)?;
    let (data, state) = memory.data_and_store_mut(&mut *guest);
    let context = context_of(&mut state.handles, context)?;
    let signature = context.model.signature();
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let spec = signature.inputs.get(index).ok_or_else(|| {
        argument(format!("the model has no input {index}; it has {}", signature.inputs.len()))
    })?;
    let tensor = read_tensor(data, tensor, spec)?;
    let tensor = GuestTensor::from_host(tensor)
        .charge(&mut state.instance.meter)
        .ok_or_else(|| too_large(format!("input `{}` does not fit the tensor-memory limit", spec.name)))?;
    if let Some(before) = context.inputs[index].replace(tensor) {
        state.instance.release(before);
    }
    Ok(())
}

/// Runs the model over what is set. It stays set.
async fn compute(guest: &mut Guest<'_>, context: u32) -> Answer {
    let ProgramState { handles, instance, .. } = guest.data_mut();
    let content = context_of(handles, context)?;
    let model = content.model.clone();
    let inputs = content.read_inputs()?;
    content.outputs.drain(..).for_each(|tensor| instance.release(tensor));
    let outputs = instance.run_model(&model, inputs).await?;
    context_of(&mut guest.data_mut().handles, context)?.outputs =
        outputs.into_iter().map(|(_, tensor)| tensor).collect();
    Ok(())
}

/// Copies an output of the last run into a buffer that has room for all of it.
fn get_output(
    guest: &mut Guest<'_>,
    (context, index): (u32, u32),
    (buffer, room): (u32, u32),
    written: u32,
) -> Answer {
    let memory = memory(guest)?;
    check_room(guest, memory, written)?;
    let (data, state) = memory.data_and_store_mut(&mut *guest);
    let context = context_of(&mut state.handles, context)?;
    let output = context.output(index)?.data();
    let length = u32::try_from(output.len()).ok().filter(|&length| length <= room).ok_or_else(|| {
        too_large(format!("output {index} is {} bytes; the buffer has room for {room}", output.len()))
    })?;
    let target = range(buffer, length).and_then(|range| data.get_mut(range));
    target.ok_or_else(|| outside(buffer, length))?.copy_from_slice(output);
    write_word(guest, memory, written, length)
}

impl Context {
    fn read_inputs(&self) -> Answer<Vec<(String, Tensor)>> {
        let inputs = self.inputs.iter().zip(&self.model.signature().inputs);
        let set = inputs.filter_map(|(input, spec)| Some((input.as_ref()?, spec)));
        let read = |(input, spec): (&GuestTensor, &TensorSpec)| {
            Ok((spec.name.clone(), input.share().read_as(spec)?))
        };
        set.map(read).collect()
    }

    fn output(&self, index: u32) -> Answer<&GuestTensor> {
        let known = self.model.signature().outputs.len();
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= known {
            return Err(argument(format!("the model has no output {index}; it has {known}")));
        }
        self.outputs.get(index).ok_or_else(|| Failure {
            errno: Errno::RuntimeError,
            message: format!("output {index} is asked for before a run gave it"),
        })
    }
}

fn context_of(handles: &mut Handles, context: u32) -> Answer<&mut Context> {
    let index = usize::try_from(context).unwrap_or(usize::MAX);
    handles
        .contexts
        .get_mut(index)
        .ok_or_else(|| argument(format!("there is no execution context {context}")))
}

/// Lets the guest's quota pay for what handles take up here.
fn pay_for_handles(guest: &mut Guest<'_>, count: usize) -> Answer {
    match guest.data_mut().instance.meter.take_tensor(HANDLE_COST * count as u64) {
        true => Ok(()),
        false => Err(too_large("no more handles fit the tensor-memory limit".to_owned())),
    }
}

fn handle(count: usize) -> Answer<u32> {
    u32::try_from(count).map_err(|_| too_large("no more handles can be numbered".to_owned()))
}

/// Reads a tensor as a declaration says: its dimensions, its type and its bytes
/// are five words, of which the type is one byte.
fn read_tensor(data: &[u8], tensor: u32, spec: &TensorSpec) -> Answer<Tensor> {
    let field = |offset: u32| tensor.checked_add(offset).ok_or_else(|| outside(tensor, 20));
    let (dimensions, rank) = slice_at(data, tensor)?;
    let ty = bytes_at(data, field(SLICE)?, 1)?[0];
    let (content, length) = slice_at(data, field(SLICE + 4)?)?;
    if rank as usize > spec.shape.len().max(1) {
        return Err(argument(format!("input `{}` has {} axes, not {rank}", spec.name, spec.shape.len())));
    }
    let (expected, name) = tensor_type(spec.datatype);
    if ty != expected {
        return Err(argument(format!(
            "input `{}` is {}, which goes as {name} ({expected}), not as type {ty}",
            spec.name, spec.datatype
        )));
    }
    let shape = bytes_at(data, dimensions, rank.saturating_mul(4))?;
    let shape: Vec<usize> =
        shape.as_chunks().0.iter().map(|&size| u32::from_le_bytes(size) as usize).collect();
    let content = bytes_at(data, content, length)?.to_vec();
    let tensor = Tensor::new(spec.datatype, shape, content)
        .map_err(|source| Mismatch::Malformed { tensor: spec.name.clone(), source })?;
    Ok(spec.conform(tensor)?)
}

/// The number and name by which a datatype goes. Those that have none go as
/// bytes.
fn tensor_type(datatype: Datatype) -> (u8, &'static str) {
    match datatype {
        Datatype::Fp16 => (0, "f16"),
        Datatype::Fp32 => (1, "f32"),
        Datatype::Fp64 => (2, "f64"),
        Datatype::Int32 => (4, "i32"),
        Datatype::Int64 => (5, "i64"),
        _ => (3, "u8"),
    }
}

fn graph_encoding(number: u32) -> Answer<GraphEncoding> {
    Ok(match number {
        0 => GraphEncoding::Openvino,
        1 => GraphEncoding::Onnx,
        2 => GraphEncoding::Tensorflow,
        3 => GraphEncoding::Pytorch,
        4 => GraphEncoding::Tensorflowlite,
        5 => GraphEncoding::Autodetect,
        _ => {
            let message = format!("there is no graph encoding {number}");
            return Err(Failure { errno: Errno::InvalidEncoding, message });
        }
    })
}

/// Some bindings have a fourth target, which leaves the choice to the host.
fn execution_target(number: u32) -> Answer<ExecutionTarget> {
    match number {
        0 | 3 => Ok(ExecutionTarget::Cpu),
        1 => Ok(ExecutionTarget::Gpu),
        2 => Ok(ExecutionTarget::Tpu),
        _ => Err(argument(format!("there is no execution target {number}"))),
    }
}

fn memory(guest: &mut Guest<'_>) -> Answer<Memory> {
    match guest.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(Failure {
            errno: Errno::MissingMemory,
            message: "the module exports no memory `memory`".to_owned(),
        }),
    }
}

/// Checks, before a call does anything, that its answer has a place.
fn check_room(guest: &Guest<'_>, memory: Memory, pointer: u32) -> Answer {
    bytes_at(memory.data(guest), pointer, 4).map(|_| ())
}

fn write_word(guest: &mut Guest<'_>, memory: Memory, pointer: u32, word: u32) -> Answer {
    let place = range(pointer, 4).and_then(|range| memory.data_mut(guest).get_mut(range));
    place.ok_or_else(|| outside(pointer, 4))?.copy_from_slice(&word.to_le_bytes());
    Ok(())
}

/// The pointer and the length of a list.
fn slice_at(data: &[u8], pointer: u32) -> Answer<(u32, u32)> {
    let words = bytes_at(data, pointer, SLICE)?.as_chunks().0;
    match *words {
        [pointer, length] => Ok((u32::from_le_bytes(pointer), u32::from_le_bytes(length))),
        _ => Err(outside(pointer, SLICE)),
    }
}

fn bytes_at(data: &[u8], pointer: u32, length: u32) -> Answer<&[u8]> {
    range(pointer, length).and_then(|range| data.get(range)).ok_or_else(|| outside(pointer, length))
}

fn range(pointer: u32, length: u32) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(pointer).ok()?;
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
}

fn outside(pointer: u32, length: u32) -> Failure {
    argument(format!("{length} bytes at {pointer} are not all in the module's memory"))
}

fn argument(message: String) -> Failure {
    Failure { errno: Errno::InvalidArgument, message }
}

fn too_large(message: String) -> Failure {
    Failure { errno: Errno::TooLarge, message }
}

impl From<GuestError> for Failure {
    fn from(GuestError { code, message }: GuestError) -> Self {
        let errno = match code {
            ErrorCode::InvalidArgument => Errno::InvalidArgument,
            ErrorCode::InvalidEncoding => Errno::InvalidEncoding,
            ErrorCode::UnsupportedOperation => Errno::UnsupportedOperation,
            ErrorCode::TooLarge => Errno::TooLarge,
            ErrorCode::NotFound => Errno::NotFound,
            ErrorCode::Timeout | ErrorCode::RuntimeError | ErrorCode::Security | ErrorCode::Unknown => {
                Errno::RuntimeError
            }
        };
        Failure { errno, message }
    }
}

impl From<Mismatch> for Failure {
    fn from(mismatch: Mismatch) -> Self {
        argument(mismatch.to_string())
    }
}
