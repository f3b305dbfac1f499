//! One thread's right to run a tract model.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use samara_nn::{Error, Mismatch, Result, RunContext, Session, Tensor, split};
use tract_onnx::prelude::{Symbol, TDim, TVec, TractResult, TypedSimpleState};
use tract_onnx::tract_hir::internal::{EvalContext, IntoTValue, TValue, TractError, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::OpState;
use tract_onnx::tract_hir::tract_core::plan::eval;

use super::error::failed;
use super::indices;
use super::plan::{Plan, Plans};
use super::tensors::{from_native, to_native};

pub(super) struct TractSession {
    model: Arc<str>,
    input_names: Vec<String>,
    plans: Arc<Plans>,
    ready: Option<Ready>,
}

/// A plan with the state of its runs.
struct Ready {
    plan: Arc<Plan>,
    state: TypedSimpleState,
    /// The input shapes whose tensors are known to keep within the limit.
    checked: Option<Vec<Vec<usize>>>,
}

impl TractSession {
    pub(super) fn new(model: Arc<str>, input_names: Vec<String>, plans: Arc<Plans>) -> Self {
        Self { model, input_names, plans, ready: None }
    }

    fn ready_for(&mut self, shapes: &[Vec<usize>]) -> Result<Ready> {
        let plan = self.plans.plan_for(shapes)?;
        match self.ready.take() {
            Some(ready) if Arc::ptr_eq(&ready.plan, &plan) => Ok(ready),
            _ => {
                let state = plan.runnable.spawn().map_err(|error| failed(&self.model, error))?;
                Ok(Ready { plan, state, checked: None })
            }
        }
    }

    /// Sizes that the model calls by one name must be equal.
    fn check_shared_sizes(&self, plan: &Plan, shapes: &[Vec<usize>]) -> Result<()> {
        let mut seen: Vec<(Symbol, usize, usize)> = Vec::new();
        for (index, shape) in shapes.iter().enumerate() {
            let fact = plan.runnable.model().input_fact(index).map_err(|error| failed(&self.model, error))?;
            for (axis, (size, &found)) in fact.shape.iter().zip(shape).enumerate() {
                let TDim::Sym(symbol) = size else { continue };
                match seen.iter().find(|(known, ..)| known == symbol) {
                    None => seen.push((symbol.clone(), index, axis)),
                    Some(&(_, other, other_axis)) if shapes[other][other_axis] != found => {
                        return Err(Error::Input(Mismatch::Unequal {
                            tensor: self.input_names[index].clone(),
                            axis,
                            found,
                            other: self.input_names[other].clone(),
                            other_axis,
                            expected: shapes[other][other_axis],
                        }));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    fn natives(&self, inputs: &[Tensor]) -> Result<TVec<TValue>> {
        let natives = inputs.iter().zip(&self.input_names).map(|(tensor, name)| {
            let native = to_native(tensor)
                .map_err(|source| Error::Input(Mismatch::Malformed { tensor: name.clone(), source }))?;
            Ok(native.into_tvalue())
        });
        natives.collect()
    }
}

impl Session for TractSession {
    fn run(&mut self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>> {
        let started = Instant::now();
        context.check(started)?;
        let plans = Arc::clone(&self.plans);
        match &*plans {
            Plans::EachRow(plan) => self.run_rows(plan, inputs, context, started),
            Plans::AnyShape(_) | Plans::PerShape(_) => self.run_once(inputs, context, started),
        }
    }
}

impl TractSession {
    /// Runs the plan for one row with each of them.
    fn run_rows(
        &mut self,
        plan: &Plan,
        inputs: &[Tensor],
        context: &RunContext,
        started: Instant,
    ) -> Result<Vec<Tensor>> {
        let rows = self.rows(inputs)?;
        if rows == 1 {
            return self.run_once(inputs, context, started);
        }
        let mut outputs = plan.outputs_of(rows).map_err(|error| failed(&self.model, error))?;
        for row in 0..rows {
            let parts = split(inputs, &[row, 1, rows - row - 1]);
            let Some([_, one, _]) = parts.as_deref() else { break };
            for (output, row) in outputs.iter_mut().zip(self.run_once(one, context, started)?) {
                output.data.extend_from_slice(row.data());
            }
        }
        let whole = outputs.into_iter().map(|output| {
            Tensor::new(output.datatype, output.shape, output.data)
                .map_err(|error| failed(&self.model, TractError::msg(error)))
        });
        whole.collect()
    }

    /// How many rows the inputs have, which must be one and the same number.
    fn rows(&self, inputs: &[Tensor]) -> Result<usize> {
        let size = |tensor: &Tensor| tensor.shape().first().copied().unwrap_or(0);
        let rows = inputs.first().map_or(0, size);
        match inputs.iter().position(|tensor| size(tensor) != rows) {
            None => Ok(rows),
            Some(index) => Err(Error::Input(Mismatch::Unequal {
                tensor: self.input_names[index].clone(),
                axis: 0,
                found: size(&inputs[index]),
                other: self.input_names[0].clone(),
                other_axis: 0,
                expected: rows,
            })),
        }
    }

    fn run_once(&mut self, inputs: &[Tensor], context: &RunContext, started: Instant) -> Result<Vec<Tensor>> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|tensor| tensor.shape().to_vec()).collect();
        let mut ready = self.ready_for(&shapes)?;
        if ready.checked.as_ref() != Some(&shapes) {
            self.check_shared_sizes(&ready.plan, &shapes)?;
        }
        let natives = self.natives(inputs)?;
        // A state that failed halfway is not used again.
        let outputs = ready
            .run(natives, shapes, |ready_context| context.check(ready_context), started)
            .map_err(|error| failed(&self.model, error))?;
        self.ready = Some(ready);
        outputs
            .into_iter()
            .map(|value| from_native(value).map_err(|error| failed(&self.model, error)))
            .collect()
    }
}

impl Ready {
    fn run(
        &mut self,
        inputs: TVec<TValue>,
        shapes: Vec<Vec<usize>>,
        go_on: impl Fn(Instant) -> Result<()>,
        started: Instant,
    ) -> TractResult<TVec<TValue>> {
        let unchecked = self.checked.as_ref() != Some(&shapes);
        let plan = Arc::clone(&self.plan);
        let session = Cell::new(None);
        let step = |context: &EvalContext<'_>,
                    state: Option<&mut (dyn OpState + 'static)>,
                    node: &TypedNode,
                    inputs: TVec<TValue>|
         -> TractResult<TVec<TValue>> {
            session.set(Some(context.session));
            go_on(started).map_err(TractError::from)?;
            plan.sizes.check(node, context.symbols, &inputs, unchecked)?;
            eval(context, state, node, indices::checked(node, inputs)?)
        };
        let outputs = self.state.run_plan_with_eval(inputs, step);
        if let Some(session) = session.get() {
            plan.leave_thread(session);
        }
        self.checked = Some(shapes).filter(|_| outputs.is_ok());
        outputs
    }
}
