//! Nodes that the CPU computes in the middle of a run.

use std::sync::mpsc;
use std::time::Instant;

use samara_nn::RunContext;
use tract_core::internal::{
    DatumType, EvalContext, IntoTValue, TValue, TVec, Tensor as Native, TractResult, ensure, f16, tensor1,
};
use wgpu::MapMode;

use super::{Arena, Shared};
use crate::derived::{Given, as_numbers};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::{from_device, to_device};
use crate::lower::HostInput;
use crate::program::StepOf;
use crate::schedule::{HostRun, Schedule};

impl Shared<'_> {
    /// Reads what a node takes, computes it, and writes what it gives. All that
    /// was submitted before is done by then.
    pub(super) fn run_host(
        &self,
        schedule: &Schedule,
        run: &HostRun,
        arena: &Arena,
        context: &RunContext,
        started: Instant,
    ) -> Result<()> {
        let of = &self.program.steps[run.step];
        let node = of.nodes.last().map_or("", String::as_str);
        let failed =
            |reason: String| Error::Failed(format!("node `{node}`, which runs on the CPU: {reason}"));
        let bytes = self.fetch(run, arena, context, started)?;
        let inputs = inputs(of, run, schedule, &bytes).map_err(|error| failed(error.to_string()))?;
        let outputs = evaluate(of, schedule, inputs).map_err(|error| failed(error.to_string()))?;
        for (output, value) in run.outputs.iter().zip(outputs) {
            let value = as_numbers(value, &schedule.sizes).map_err(|error| failed(error.to_string()))?;
            if value.shape() != output.shape || Dtype::of(value.datum_type()) != Some(output.dtype) {
                return Err(failed(format!("it gave {value:?}, which the model did not announce")));
            }
            let bytes = to_device(output.dtype, value.as_bytes());
            if !bytes.is_empty() {
                self.gpu.queue.write_buffer(self.buffer(&arena.slots, output.holder), 0, &bytes);
            }
        }
        Ok(())
    }

    /// The bytes of all tensors that a node takes from the device.
    fn fetch(&self, run: &HostRun, arena: &Arena, context: &RunContext, started: Instant) -> Result<Vec<u8>> {
        let Some(staging) = arena.staging.as_ref().filter(|_| run.bytes() > 0) else { return Ok(Vec::new()) };
        let submission = self.gpu.guarded("a run", 0, || {
            let mut encoder =
                self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for input in run.inputs.iter().filter(|input| input.bytes > 0) {
                let holder = self.buffer(&arena.slots, input.holder);
                encoder.copy_buffer_to_buffer(
                    holder,
                    input.offset,
                    &staging.buffer,
                    input.place,
                    input.bytes,
                );
            }
            self.gpu.queue.submit([encoder.finish()])
        })?;
        let (done, mapped) = mpsc::channel();
        staging.buffer.map_async(MapMode::Read, .., move |result| {
            // Nobody listens any more once the call was given up.
            let _ = done.send(result.map_err(|error| error.to_string()));
        });
        self.wait(&submission)?;
        self.receive(&mapped, context, started)?;
        let range = staging.buffer.get_mapped_range(..);
        let bytes = range.map(|range| range.to_vec()).map_err(|error| Error::Failed(error.to_string()));
        staging.buffer.unmap();
        bytes
    }
}

fn inputs(of: &StepOf, run: &HostRun, schedule: &Schedule, bytes: &[u8]) -> TractResult<TVec<TValue>> {
    let Some(node) = of.step.host() else { return Ok(TVec::new()) };
    let mut fetched = run.inputs.iter();
    let mut inputs = TVec::new();
    for input in &node.inputs {
        let value = match input {
            HostInput::Given(Given::Known(tensor)) => tensor.clone().into_tvalue(),
            HostInput::Given(Given::Derived(derived)) => derived.value(&schedule.sizes)?,
            HostInput::Tensor(_, datum_type) => {
                let Some(read) = fetched.next() else { continue };
                let bytes = &bytes[read.place as usize..(read.place + read.bytes) as usize];
                let bytes = from_device(read.dtype, bytes, read.elements as usize);
                native(*datum_type, &read.shape, &bytes)?.into_tvalue()
            }
        };
        inputs.push(value);
    }
    Ok(inputs)
}

fn evaluate(of: &StepOf, schedule: &Schedule, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
    let Some(node) = of.step.host() else { return Ok(TVec::new()) };
    let context = EvalContext { symbols: schedule.sizes.values(), ..EvalContext::out_of_plan() };
    let outputs = match node.op.state(&context)? {
        Some(mut state) => state.eval(&context, node.op.as_op(), inputs)?,
        None => node.op.eval(&context, inputs)?,
    };
    ensure!(outputs.len() == node.outputs.len(), "it gave {} tensors", outputs.len());
    Ok(outputs)
}

/// A tensor of tract's from its bytes.
fn native(datum_type: DatumType, shape: &[usize], bytes: &[u8]) -> TractResult<Native> {
    fn of<T: tract_core::internal::Datum + bytemuck::AnyBitPattern>(bytes: &[u8]) -> Native {
        let elements = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned);
        tensor1(&elements.collect::<Vec<T>>())
    }
    let flat = match datum_type {
        DatumType::Bool => tensor1(&bytes.iter().map(|&byte| byte != 0).collect::<Vec<bool>>()),
        DatumType::U8 => of::<u8>(bytes),
        DatumType::I8 => of::<i8>(bytes),
        DatumType::U16 => of::<u16>(bytes),
        DatumType::I16 => of::<i16>(bytes),
        DatumType::U32 => of::<u32>(bytes),
        DatumType::I32 => of::<i32>(bytes),
        DatumType::U64 => of::<u64>(bytes),
        DatumType::F16 => of::<f16>(bytes),
        DatumType::F32 => of::<f32>(bytes),
        _ => of::<i64>(bytes),
    };
    Ok(flat.into_shape(shape)?.cast_to_dt(datum_type)?.into_owned())
}
