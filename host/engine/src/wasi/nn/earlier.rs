//! The earlier versions of `wasi:nn` 0.2: the same tensors, graphs and errors,
//! but inputs are set and outputs taken one by one.

use std::collections::BTreeMap;

use samara_nn::{Error as NnError, Mismatch, Tensor};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};

use super::{Graph, GuestError, GuestTensor, TensorQuota, errors, graph, input_spec, tensor};
use super::{errors::HostError, graph::HostGraph, tensor::HostTensor};
use crate::instance::InstanceState;
use crate::models::ModelUse;

pub(super) const AUGUST: &str = "0.2.0-rc-2024-08-19";

/// As August's, and guests may make errors of their own.
pub(super) const JUNE: &str = "0.2.0-rc-2024-06-25";

/// Words that a guest may put into an error of its own.
const LONGEST_MESSAGE: usize = 16 << 10;

type State<'a> = StoreContextMut<'a, InstanceState>;
type Answer<T> = Result<T, Resource<GuestError>>;

/// A guest's right to run a model, what is set for the next run, and what the
/// last one gave.
struct Slots {
    model: ModelUse,
    inputs: BTreeMap<String, GuestTensor>,
    outputs: Vec<(String, GuestTensor)>,
}

pub(super) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    for version in [AUGUST, JUNE] {
        add_tensor(&mut linker.instance(&format!("wasi:nn/tensor@{version}"))?)?;
        add_errors(&mut linker.instance(&format!("wasi:nn/errors@{version}"))?, version)?;
        add_inference(&mut linker.instance(&format!("wasi:nn/inference@{version}"))?)?;
        add_graph(&mut linker.instance(&format!("wasi:nn/graph@{version}"))?)?;
    }
    Ok(())
}

fn add_tensor(interface: &mut LinkerInstance<'_, InstanceState>) -> wasmtime::Result<()> {
    type Handle = Resource<GuestTensor>;
    interface.resource("tensor", ResourceType::host::<GuestTensor>(), |mut state, handle| {
        HostTensor::drop(state.data_mut(), Resource::new_own(handle))
    })?;
    interface.func_wrap(
        "[constructor]tensor",
        |mut state: State<'_>, (dimensions, ty, data): (Vec<u32>, tensor::TensorType, Vec<u8>)| {
            Ok((HostTensor::new(state.data_mut(), dimensions, ty, data)?,))
        },
    )?;
    interface.func_wrap("[method]tensor.dimensions", |mut state: State<'_>, (tensor,): (Handle,)| {
        Ok((HostTensor::dimensions(state.data_mut(), tensor)?,))
    })?;
    interface.func_wrap("[method]tensor.ty", |mut state: State<'_>, (tensor,): (Handle,)| {
        Ok((HostTensor::ty(state.data_mut(), tensor)?,))
    })?;
    interface.func_wrap("[method]tensor.data", |mut state: State<'_>, (tensor,): (Handle,)| {
        Ok((HostTensor::data(state.data_mut(), tensor)?,))
    })
}

fn add_errors(interface: &mut LinkerInstance<'_, InstanceState>, version: &str) -> wasmtime::Result<()> {
    type Handle = Resource<GuestError>;
    interface.resource("error", ResourceType::host::<GuestError>(), |mut state, handle| {
        HostError::drop(state.data_mut(), Resource::new_own(handle))
    })?;
    if version == JUNE {
        interface.func_wrap(
            "[constructor]error",
            |mut state: State<'_>, (code, mut message): (errors::ErrorCode, String)| {
                message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
                Ok((state.data_mut().table.push(GuestError { code, message })?,))
            },
        )?;
    }
    interface.func_wrap("[method]error.code", |mut state: State<'_>, (error,): (Handle,)| {
        Ok((HostError::code(state.data_mut(), error)?,))
    })?;
    interface.func_wrap("[method]error.data", |mut state: State<'_>, (error,): (Handle,)| {
        Ok((HostError::data(state.data_mut(), error)?,))
    })
}

fn add_inference(interface: &mut LinkerInstance<'_, InstanceState>) -> wasmtime::Result<()> {
    type Handle = Resource<Slots>;
    let slots = ResourceType::host::<Slots>();
    interface.resource("graph-execution-context", slots, |mut state, handle| {
        state.data_mut().drop_slots(Resource::new_own(handle))
    })?;
    interface.func_wrap(
        "[method]graph-execution-context.set-input",
        |mut state: State<'_>, (slots, name, tensor): (Handle, String, Resource<GuestTensor>)| {
            Ok((state.data_mut().set_input(&slots, name, tensor)?,))
        },
    )?;
    interface.func_wrap_async(
        "[method]graph-execution-context.compute",
        |mut state: State<'_>, (slots,): (Handle,)| {
            Box::new(async move { Ok((state.data_mut().compute_slots(&slots).await?,)) })
        },
    )?;
    interface.func_wrap(
        "[method]graph-execution-context.get-output",
        |mut state: State<'_>, (slots, name): (Handle, String)| {
            Ok((state.data_mut().get_output(&slots, &name)?,))
        },
    )
}

fn add_graph(interface: &mut LinkerInstance<'_, InstanceState>) -> wasmtime::Result<()> {
    interface.resource("graph", ResourceType::host::<Graph>(), |mut state, handle| {
        HostGraph::drop(state.data_mut(), Resource::new_own(handle))
    })?;
    type LoadArguments = (Vec<Vec<u8>>, graph::GraphEncoding, graph::ExecutionTarget);
    interface.func_wrap_async("load", |mut state: State<'_>, (parts, encoding, target): LoadArguments| {
        Box::new(async move { Ok((graph::Host::load(state.data_mut(), parts, encoding, target).await?,)) })
    })?;
    interface.func_wrap("load-by-name", |mut state: State<'_>, (name,): (String,)| {
        Ok((graph::Host::load_by_name(state.data_mut(), name)?,))
    })?;
    interface.func_wrap(
        "[method]graph.init-execution-context",
        |mut state: State<'_>, (graph,): (Resource<Graph>,)| Ok((state.data_mut().init_slots(&graph)?,)),
    )
}

impl InstanceState {
    fn init_slots(&mut self, graph: &Resource<Graph>) -> wasmtime::Result<Answer<Resource<Slots>>> {
        let model = self.table.get(graph)?.0.clone();
        let slots = Slots { model, inputs: BTreeMap::new(), outputs: Vec::new() };
        Ok(Ok(self.table.push(slots)?))
    }

    /// Takes a tensor for the next runs, in place of one of the same name. Only
    /// names that the model has are kept, so that they cannot pile up.
    fn set_input(
        &mut self,
        slots: &Resource<Slots>,
        name: String,
        tensor: Resource<GuestTensor>,
    ) -> wasmtime::Result<Answer<()>> {
        let tensor = self.table.delete(tensor)?;
        let slots = self.table.get_mut(slots)?;
        let (free, answer) = match input_spec(&slots.model, &name) {
            Ok(_) => (slots.inputs.insert(name, tensor), Ok(())),
            Err(mismatch) => (Some(tensor), Err(mismatch)),
        };
        if let Some(tensor) = free {
            self.release(tensor);
        }
        match answer {
            Ok(()) => Ok(Ok(())),
            Err(mismatch) => self.refuse(NnError::from(mismatch).into()),
        }
    }

    /// Runs the model over what is set. It stays set.
    async fn compute_slots(&mut self, slots: &Resource<Slots>) -> wasmtime::Result<Answer<()>> {
        let content = self.table.get_mut(slots)?;
        let model = content.model.clone();
        let inputs = content.read_inputs();
        for (_, tensor) in std::mem::take(&mut content.outputs) {
            self.release(tensor);
        }
        let ran = match inputs {
            Ok(inputs) => self.run_model(&model, inputs).await,
            Err(mismatch) => Err(NnError::from(mismatch).into()),
        };
        match ran {
            Ok(outputs) => {
                self.table.get_mut(slots)?.outputs = outputs;
                Ok(Ok(()))
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Gives an output of the last run, as often as it is asked for.
    fn get_output(
        &mut self,
        slots: &Resource<Slots>,
        name: &str,
    ) -> wasmtime::Result<Answer<Resource<GuestTensor>>> {
        let content = self.table.get(slots)?;
        let output = content.outputs.iter().find(|(output, _)| output == name);
        let shared = output.map(|(_, tensor)| tensor.share());
        let Some(tensor) = shared else {
            let error = content.no_output(name);
            return self.refuse(error);
        };
        match tensor.charge(&mut self.meter) {
            Some(tensor) => Ok(Ok(self.table.push(tensor)?)),
            None => Err(wasmtime::Error::new(TensorQuota)),
        }
    }

    fn drop_slots(&mut self, slots: Resource<Slots>) -> wasmtime::Result<()> {
        let Slots { inputs, outputs, .. } = self.table.delete(slots)?;
        for tensor in inputs.into_values().chain(outputs.into_iter().map(|(_, tensor)| tensor)) {
            self.release(tensor);
        }
        Ok(())
    }
}

impl Slots {
    /// What is set, read as the model's signature says.
    fn read_inputs(&self) -> Result<Vec<(String, Tensor)>, Mismatch> {
        let read = |(name, tensor): (&String, &GuestTensor)| {
            let tensor = tensor.share().read_as(input_spec(&self.model, name)?)?;
            Ok((name.clone(), tensor))
        };
        self.inputs.iter().map(read).collect()
    }

    /// What is said of an output that is not there.
    fn no_output(&self, name: &str) -> GuestError {
        match self.model.signature().output(name) {
            Some(_) => {
                let message = format!("output `{name}` is asked for before a run gave it");
                GuestError { code: errors::ErrorCode::RuntimeError, message }
            }
            None => {
                let known = self.model.signature().outputs.iter().map(|spec| spec.name.clone()).collect();
                NnError::from(Mismatch::Unknown { tensor: name.to_owned(), known }).into()
            }
        }
    }
}
