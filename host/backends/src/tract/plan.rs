//! Prepared plans: one for any size where tract can make it, else one per shape; of
//! models of pictures one for a single row.

use std::sync::{Arc, Mutex, PoisonError};

use samara_nn::{Datatype, ModelSource, Result};
use tract_onnx::prelude::{TractResult, TypedRunnableModel};
use tract_onnx::tract_hir::internal::{SessionId, format_err};
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::OptMatMul;

use super::sizes::Sizes;
use super::tensors::datatype;
use super::{NAME, prepare};
use crate::stack::on_large_stack;

/// A model that is ready to run.
pub(super) struct Plan {
    pub runnable: Arc<TypedRunnableModel>,
    pub sizes: Sizes,
    /// The first product of matrices. All of them share what they keep for a
    /// session.
    keeper: Option<usize>,
}

impl Plan {
    pub(super) fn new(runnable: Arc<TypedRunnableModel>, sizes: Sizes) -> Self {
        let keeper = runnable.model().nodes().iter().position(|node| node.op_is::<OptMatMul>());
        Self { runnable, sizes, keeper }
    }

    /// What that many runs of a plan for one row give, still empty.
    ///
    /// # Errors
    /// [`Error::TooLarge`](samara_nn::Error::TooLarge) naming the node of an output.
    pub(super) fn outputs_of(&self, rows: usize) -> TractResult<Vec<Rows>> {
        let model = self.runnable.model();
        let outputs = model.outputs.iter().map(|outlet| {
            let (fact, node) = (model.outlet_fact(*outlet)?, model.node(outlet.node));
            let datatype = datatype(fact.datum_type).ok_or_else(|| format_err!("no datatype is {fact:?}"))?;
            let row: usize = fact.shape.as_concrete().map_or(0, |shape| shape.iter().skip(1).product());
            let bytes = row.saturating_mul(fact.datum_type.size_of()).saturating_mul(rows);
            self.sizes.allow(&node.name, &node.op().name(), i64::try_from(bytes).unwrap_or(i64::MAX))?;
            let rest = fact.shape.as_concrete().unwrap_or_default().iter().skip(1);
            let shape = std::iter::once(rows).chain(rest.copied()).collect();
            Ok(Rows { datatype, shape, data: Vec::with_capacity(bytes) })
        });
        outputs.collect()
    }

    /// Gives back what a session keeps on this thread. The engine does so only on
    /// the thread that ends the session, and ours run on any.
    pub(super) fn leave_thread(&self, session: SessionId) {
        if let Some(keeper) = self.keeper {
            self.runnable.model().node(keeper).op.drop_session(session, keeper);
        }
    }
}

/// An output's rows that are there so far.
pub(super) struct Rows {
    pub datatype: Datatype,
    /// That of all of them.
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

/// The plans of one model.
pub(super) enum Plans {
    /// One that serves every shape that the signature allows.
    AnyShape(Arc<Plan>),
    /// One for a single row, which runs for each: convolutions are several times faster
    /// where their sizes are known, and gain nothing from further rows.
    EachRow(Arc<Plan>),
    PerShape(PerShape),
}

/// Plans that are made when a shape comes for the first time.
pub(super) struct PerShape {
    pub source: ModelSource,
    pub threads: usize,
    pub tensor_limit: u64,
    pub plans: Mutex<Vec<ShapePlan>>,
}

/// The shapes of the inputs and the plan for them.
pub(super) type ShapePlan = (Vec<Vec<usize>>, Arc<Plan>);

/// Plans that one model keeps; each holds weights of its own.
const MOST_PLANS: usize = 4;

impl Plans {
    pub(super) fn plan_for(&self, shapes: &[Vec<usize>]) -> Result<Arc<Plan>> {
        match self {
            Plans::AnyShape(plan) | Plans::EachRow(plan) => Ok(Arc::clone(plan)),
            Plans::PerShape(per_shape) => per_shape.plan_for(shapes),
        }
    }
}

impl PerShape {
    fn plan_for(&self, shapes: &[Vec<usize>]) -> Result<Arc<Plan>> {
        if let Some(plan) = self.recall(shapes) {
            return Ok(plan);
        }
        let prepare = || prepare::for_shapes(&self.source, shapes, self.threads, self.tensor_limit);
        let plan = Arc::new(on_large_stack(NAME, prepare)?);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.truncate(MOST_PLANS - 1);
        plans.insert(0, (shapes.to_vec(), Arc::clone(&plan)));
        Ok(plan)
    }

    /// The plan for these shapes, which becomes the one that was used last.
    fn recall(&self, shapes: &[Vec<usize>]) -> Option<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let index = plans.iter().position(|(known, _)| known == shapes)?;
        plans[..=index].rotate_right(1);
        Some(Arc::clone(&plans[0].1))
    }
}
