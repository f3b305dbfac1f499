//! From tract's typed operators to steps. Each family of operators has its own
//! file: it recognises its nodes, and holds the step that they become.
//!
//! What an operator cannot do here is refused with a reason, and all refusals
//! of a model are told together.

mod attention;
mod concat;
mod conv;
mod cooperative;
mod deconv;
mod each;
mod einsum;
mod fourier;
mod gather;
mod grid;
mod host;
mod indexed;
mod launch;
mod map;
mod matmul;
mod pad;
mod pool;
mod quantise;
mod resize;
mod rows;
mod running;
mod scatter;
mod spatial;
mod tiles;
mod top;
mod triangle;
mod unroll;
mod views;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(crate) use cooperative::Cooperative;
pub(crate) use host::{HostInput, HostNode};
use tract_core::internal::{OutletId, Symbol, TDim, Tensor, TractError, TypedModel, TypedNode};
use tract_core::ops::konst::Const;
use tract_core::ops::source::TypedSource;

use crate::derived::{Derived, Given};
use crate::dtype::{Dtype, Need};
use crate::error::{Error, Refusal, Result};
use crate::program::{Buffer, Origin, Program, Root, Step, StepOf};
use crate::view::{View, same, volume};

/// What a device can do beyond the least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub f16: bool,
    pub int64: bool,
    pub subgroups: bool,
    /// Whether loops may go on for any number of rounds, see `launch::MOST_ROUNDS`.
    pub long_loops: bool,
    /// Of memory that the threads of a workgroup share.
    pub workgroup_bytes: u32,
    /// The matrices by which large products are computed, their operands rounded
    /// to F16; `None` where products keep the datatypes of the model.
    pub cooperative: Option<Cooperative>,
}

/// What the operators of a family are lowered to: the tensors that they give,
/// or why they cannot run. `None` for nodes of other families.
type Lowered = Option<Result<Vec<View>, String>>;

/// The families, in the order in which they are asked.
const FAMILIES: &[fn(&mut Lowering<'_>, &TypedNode) -> Lowered] = &[
    views::lower,
    quantise::lower,
    map::lower,
    einsum::lower,
    conv::lower,
    deconv::lower,
    resize::lower,
    pool::lower,
    rows::lower,
    concat::lower,
    gather::lower,
    pad::lower,
    indexed::lower,
    scatter::lower,
    triangle::lower,
    top::lower,
    running::lower,
    fourier::lower,
    grid::lower,
];

/// Lowers a typed model for a device. Where `allow_host`, nodes that cannot run
/// there are left to the CPU.
///
/// # Errors
/// [`Error::Unsupported`] naming every node that cannot run there.
pub(crate) fn lower(model: &TypedModel, abilities: Abilities, allow_host: bool) -> Result<Program> {
    let unrolled = unroll::unrolled(model);
    let model = unrolled.as_ref().unwrap_or(model);
    let mut lowering = Lowering::new(model, abilities);
    lowering.allow_host = allow_host;
    let unsound = |error: TractError| Error::Failed(error.to_string());
    let inputs = model.input_outlets().map_err(unsound)?.iter().map(|input| input.node);
    let order = model.eval_order().map_err(unsound)?;
    let mut refusals = Vec::new();
    // Inputs in their own order come first.
    for (is_input, id) in inputs.map(|id| (true, id)).chain(order.into_iter().map(|id| (false, id))) {
        let node = model.node(id);
        let lowered = if is_input { lowering.source(node) } else { lowering.node(node) };
        if let Err(reason) = lowered {
            // A node that waits for a refused one has no fault of its own.
            if !reason.is_empty() {
                refusals.push(refusal(node, reason));
            }
        }
    }
    if !refusals.is_empty() {
        return Err(Error::Unsupported(refusals));
    }
    lowering.check_sizes()?;
    lowering.finish()
}

/// A program in the making.
struct Lowering<'m> {
    model: &'m TypedModel,
    abilities: Abilities,
    allow_host: bool,
    elsewhere: Vec<Refusal>,
    buffers: Vec<Buffer>,
    inputs: Vec<Root>,
    wires: HashMap<OutletId, Wire>,
    /// `None` where a step went into a later one.
    steps: Vec<Option<StepOf>>,
    producers: HashMap<Root, usize>,
    /// The tensors of the model that lie in each buffer.
    tensors: HashMap<Root, Vec<OutletId>>,
    constants: Vec<(Arc<Tensor>, Root)>,
    derived: Vec<(Arc<Derived>, Root)>,
    assumed: Vec<(TDim, TDim)>,
    /// Nodes whose steps the next one takes over.
    absorbed: Vec<String>,
}

/// A tensor of the model.
#[derive(Debug, Clone)]
enum Wire {
    View(View),
    Constant(Arc<Tensor>),
    /// Follows from the sizes of the inputs.
    Derived(Arc<Derived>),
}

impl<'m> Lowering<'m> {
    fn new(model: &'m TypedModel, abilities: Abilities) -> Self {
        Self {
            model,
            abilities,
            allow_host: false,
            elsewhere: Vec::new(),
            buffers: Vec::new(),
            inputs: Vec::new(),
            wires: HashMap::new(),
            steps: Vec::new(),
            producers: HashMap::new(),
            tensors: HashMap::new(),
            constants: Vec::new(),
            derived: Vec::new(),
            assumed: Vec::new(),
            absorbed: Vec::new(),
        }
    }

    /// Lowers one node. The reason is empty where an input is missing because
    /// its own node was refused.
    fn node(&mut self, node: &TypedNode) -> Result<(), String> {
        if let Some(constant) = node.op_as::<Const>() {
            let value = Arc::clone(constant.val());
            let is_size = value.datum_type().is_tdim();
            let wire = if is_size { derive(node, Vec::new(), 0) } else { Wire::Constant(value) };
            self.wires.insert(node.id.into(), wire);
            return Ok(());
        }
        if node.op_is::<TypedSource>() {
            return Ok(());
        }
        if node.inputs.iter().any(|input| !self.wires.contains_key(input)) {
            return Err(String::new());
        }
        if let Some(inputs) = self.follows_from_sizes(node) {
            for slot in 0..node.outputs.len() {
                let wire = derive(node, inputs.clone(), slot);
                self.wires.insert(OutletId::new(node.id, slot), wire);
            }
            return Ok(());
        }
        let lowered = FAMILIES.iter().find_map(|family| family(self, node));
        let lowered = lowered.unwrap_or_else(|| Err("the GPU has no kernel for it".to_owned()));
        let views = match lowered {
            Err(reason) if self.allow_host && !reason.is_empty() => {
                let views = self.host(node)?;
                self.elsewhere.push(refusal(node, reason));
                views
            }
            lowered => lowered?,
        };
        for (slot, view) in views.into_iter().enumerate() {
            let outlet = OutletId::new(node.id, slot);
            self.tensors.entry(view.root).or_default().push(outlet);
            self.wires.insert(outlet, Wire::View(view));
        }
        Ok(())
    }

    /// What a node takes, where that follows from the sizes of the inputs alone.
    fn follows_from_sizes(&self, node: &TypedNode) -> Option<Vec<Given>> {
        let inputs: Option<Vec<Given>> = node
            .inputs
            .iter()
            .map(|input| match self.wires.get(input)? {
                Wire::Constant(tensor) => Some(Given::Known(Arc::clone(tensor))),
                Wire::Derived(derived) => Some(Given::Derived(Arc::clone(derived))),
                Wire::View(_) => None,
            })
            .collect();
        let gives_sizes = node.outputs.iter().any(|output| output.fact.datum_type.is_tdim());
        let inputs = inputs?;
        let any = gives_sizes || inputs.iter().any(|input| matches!(input, Given::Derived(_)));
        any.then_some(inputs)
    }

    fn source(&mut self, node: &TypedNode) -> Result<(), String> {
        let (dtype, shape) = self.fact(node.id.into())?;
        let root = self.buffer(dtype, &shape, Origin::Input);
        self.tensors.entry(root).or_default().push(node.id.into());
        self.wires.insert(node.id.into(), Wire::View(View::whole(root, dtype, &shape)));
        Ok(())
    }

    /// The datatype and shape of a tensor, where the device can hold it.
    fn fact(&self, outlet: OutletId) -> Result<(Dtype, Vec<TDim>), String> {
        let fact = self.model.outlet_fact(outlet).map_err(|error| error.to_string())?;
        let dtype = Dtype::of(fact.datum_type)
            .ok_or_else(|| format!("the GPU does not compute with {:?}", fact.datum_type))?;
        self.check(dtype)?;
        Ok((dtype, fact.shape.iter().cloned().collect()))
    }

    fn check(&self, dtype: Dtype) -> Result<(), String> {
        match dtype.need() {
            Some(Need::F16) if !self.abilities.f16 => Err("this GPU does not compute with F16".to_owned()),
            Some(Need::Int64) if !self.abilities.int64 => {
                Err("this GPU does not compute with integers of 64 bits".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// A tensor as a view of a buffer.
    fn view(&mut self, outlet: OutletId) -> Result<View, String> {
        match self.wires.get(&outlet) {
            Some(Wire::View(view)) => Ok(view.clone()),
            Some(Wire::Constant(tensor)) => {
                let tensor = Arc::clone(tensor);
                self.constant(tensor)
            }
            Some(Wire::Derived(derived)) => {
                let derived = Arc::clone(derived);
                let (dtype, shape) = self.fact(outlet)?;
                let known = self.derived.iter().find(|(known, _)| Arc::ptr_eq(known, &derived));
                let root = known.map(|&(_, root)| root).unwrap_or_else(|| {
                    let root = self.buffer(dtype, &shape, Origin::Derived(Arc::clone(&derived)));
                    self.derived.push((derived, root));
                    root
                });
                Ok(View::whole(root, dtype, &shape))
            }
            None => Err(String::new()),
        }
    }

    /// The value of a tensor that is known.
    fn known(&self, outlet: OutletId) -> Option<&Arc<Tensor>> {
        match self.wires.get(&outlet)? {
            Wire::Constant(tensor) => Some(tensor),
            Wire::View(_) | Wire::Derived(_) => None,
        }
    }

    /// A buffer that holds a constant, one for all who ask for the same.
    fn constant(&mut self, tensor: Arc<Tensor>) -> Result<View, String> {
        let dtype = Dtype::of(tensor.datum_type())
            .ok_or_else(|| format!("the GPU does not compute with {:?}", tensor.datum_type()))?;
        self.check(dtype)?;
        let shape: Vec<TDim> = tensor.shape().iter().map(|&size| TDim::from(size as i64)).collect();
        let known =
            self.constants.iter().find(|(known, _)| Arc::ptr_eq(known, &tensor)).map(|&(_, root)| root);
        let root = known.unwrap_or_else(|| {
            let root = self.buffer(dtype, &shape, Origin::Constant(Arc::clone(&tensor)));
            self.constants.push((tensor, root));
            root
        });
        Ok(View::whole(root, dtype, &shape))
    }

    fn buffer(&mut self, dtype: Dtype, shape: &[TDim], origin: Origin) -> Root {
        let root = Root(self.buffers.len());
        if matches!(origin, Origin::Input) {
            self.inputs.push(root);
        }
        self.buffers.push(Buffer { dtype, shape: shape.to_vec(), origin });
        root
    }

    /// A buffer for the first output of a node, to be written by a step.
    fn output(&mut self, node: &TypedNode) -> Result<View, String> {
        let (dtype, shape) = self.fact(node.id.into())?;
        let root = self.buffer(dtype, &shape, Origin::Step);
        Ok(View::whole(root, dtype, &shape))
    }

    /// Adds a step at the end.
    fn push(&mut self, step: Box<dyn Step>, nodes: Vec<String>) {
        for root in std::iter::once(step.writes()).chain(step.also_writes()) {
            self.producers.insert(root, self.steps.len());
        }
        self.steps.push(Some(StepOf { step, variants: Vec::new(), nodes }));
    }

    /// Repeats a tensor along axes of size 1.
    fn broadcast(&mut self, mut view: View, shape: &[TDim]) -> View {
        self.assumed.extend(view.broadcast(shape));
        view
    }

    /// Keeps a tensor as it is: steps read it of which the model's nodes tell
    /// nothing.
    fn keep(&mut self, view: &View) {
        self.producers.remove(&view.root);
    }

    /// The step that computes a tensor, where `reader` alone reads it and the
    /// whole of it, so that the step may go into the reader's.
    fn only_for(&self, outlet: OutletId, view: &View, reader: &TypedNode) -> Option<usize> {
        let step = *self.producers.get(&view.root)?;
        let whole = &self.buffers[view.root.0].shape;
        if !view.is_row_major()
            || !same(&view.volume(), &volume(whole))
            || !crate::view::is_zero(&view.offset)
        {
            return None;
        }
        let tensors = self.tensors.get(&view.root)?;
        let outputs = self.model.output_outlets().ok()?;
        let private = tensors.iter().all(|tensor| {
            let successors = &self.model.node(tensor.node).outputs[tensor.slot].successors;
            let known = |id: usize| id == reader.id || tensors.iter().any(|other| other.node == id);
            !outputs.contains(tensor) && successors.iter().all(|successor| known(successor.node))
        });
        (private && tensors.contains(&outlet)).then_some(step)
    }

    /// The tensor row by row without gaps, copied where it does not lie so.
    fn row_major(&mut self, view: View, node: &str) -> View {
        if view.is_row_major() { view } else { self.copied(&view, node) }
    }

    /// A copy of the tensor, row by row.
    fn copied(&mut self, view: &View, node: &str) -> View {
        let root = self.buffer(view.dtype, &view.shape(), Origin::Step);
        let copy = View::whole(root, view.dtype, &view.shape());
        self.push(Box::new(map::Map::copy(view.clone(), root)), vec![node.to_owned()]);
        copy
    }

    /// Refuses models with sizes that are known only once values are computed.
    fn check_sizes(&self) -> Result<()> {
        let given: HashSet<Symbol> = self
            .inputs
            .iter()
            .flat_map(|root| &self.buffers[root.0].shape)
            .filter_map(|size| if let TDim::Sym(symbol) = size { Some(symbol.clone()) } else { None })
            .collect();
        let mut refusals = Vec::new();
        for of in self.steps.iter().flatten() {
            let written = std::iter::once(of.step.writes()).chain(of.step.also_writes());
            let mut sizes = written.flat_map(|root| &self.buffers[root.0].shape).flat_map(TDim::symbols);
            if sizes.all(|symbol| given.contains(&symbol)) {
                continue;
            }
            let node = of.nodes.last().cloned().unwrap_or_default();
            let reason = "the size of what it gives follows from values, not from sizes".to_owned();
            refusals.push(Refusal { node, operator: of.step.name().to_owned(), reason });
        }
        if refusals.is_empty() { Ok(()) } else { Err(Error::Unsupported(refusals)) }
    }

    fn finish(mut self) -> Result<Program> {
        let outlets = self.model.output_outlets().map_err(|error| Error::Failed(error.to_string()))?.to_vec();
        let mut outputs = Vec::with_capacity(outlets.len());
        for outlet in outlets {
            let name = self.model.node(outlet.node).name.clone();
            let view = self.view(outlet).map_err(Error::Failed)?;
            outputs.push(self.row_major(view, &name));
        }
        let mut steps: Vec<StepOf> = self.steps.into_iter().flatten().collect();
        for of in &mut steps {
            of.variants = of.step.variants();
        }
        Ok(Program {
            buffers: self.buffers,
            inputs: self.inputs,
            outputs,
            steps,
            elsewhere: self.elsewhere,
            assumed: self.assumed,
            _symbols: self.model.symbols.clone(),
        })
    }
}

fn refusal(node: &TypedNode, reason: String) -> Refusal {
    Refusal { node: node.name.clone(), operator: node.op().name().into_owned(), reason }
}

/// A value that follows from the sizes of the inputs.
fn derive(node: &TypedNode, inputs: Vec<Given>, slot: usize) -> Wire {
    let shape = node.outputs[slot].fact.shape.iter().cloned().collect();
    Wire::Derived(Arc::new(Derived { op: node.op.clone(), inputs, slot, shape }))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::check_shader;
