//! A model as the device runs it: steps over buffers, sizes still symbolic.

use std::any::Any;
use std::sync::Arc;

use tract_core::internal::{SymbolScope, TDim, Tensor};

use crate::derived::Derived;
use crate::dtype::Dtype;
use crate::error::{Refusal, Result};
use crate::lower::HostNode;
use crate::schedule::Sizes;
use crate::shader::{Shader, Variant};
use crate::tail::{Tail, Word};
use crate::view::View;

/// The number of a buffer of a program: an input, a constant, or what a step
/// writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Root(pub usize);

/// What a buffer holds.
#[derive(Debug, Clone)]
pub(crate) struct Buffer {
    pub dtype: Dtype,
    pub shape: Vec<TDim>,
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Input,
    Constant(Arc<Tensor>),
    /// Follows from the sizes of the inputs.
    Derived(Arc<Derived>),
    Step,
}

/// A lowered model.
pub(crate) struct Program {
    pub buffers: Vec<Buffer>,
    pub inputs: Vec<Root>,
    /// Each row by row.
    pub outputs: Vec<View>,
    pub steps: Vec<StepOf>,
    /// Nodes that are left to the CPU, and why.
    pub elsewhere: Vec<Refusal>,
    /// Pairs of sizes that must be equal, unless the first is 1.
    pub assumed: Vec<(TDim, TDim)>,
    // What sizes know of their symbols goes with it.
    pub _symbols: SymbolScope,
}

/// A step with the nodes of the model that it computes.
pub(crate) struct StepOf {
    pub step: Box<dyn Step>,
    /// What its launches choose from; none until nothing is fused any more.
    pub variants: Vec<Variant>,
    pub nodes: Vec<String>,
}

/// A part of a program: one kernel, or a few that belong together.
pub(crate) trait Step: Any + Send + Sync {
    /// What the step does, in a word or two.
    fn name(&self) -> &'static str;

    /// The same for launches of one of its shaders.
    fn name_with(&self, shader: &Shader) -> &'static str {
        let _ = shader;
        self.name()
    }

    /// The buffers that it reads, those of its tail among them.
    fn reads(&self) -> Vec<Root>;

    /// The buffer that it writes.
    fn writes(&self) -> Root;

    /// Further buffers that it writes.
    fn also_writes(&self) -> Vec<Root> {
        Vec::new()
    }

    /// The node, where the step is left to the CPU.
    fn host(&self) -> Option<&HostNode> {
        None
    }

    /// The shaders that its launches choose from: the same ones, whatever the
    /// sizes are.
    fn variants(&self) -> Vec<Variant>;

    /// What is launched for these sizes, of what [`Step::variants`] gave.
    ///
    /// # Errors
    /// When a size is beyond what the kernels can address.
    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>>;

    /// The tail, where functions of single elements may be added to it.
    fn tail(&self) -> Option<&Tail> {
        None
    }

    /// Puts another tail in the place of the present one, and another buffer in
    /// the place of the one that it writes.
    fn set_tail(&mut self, tail: Tail, writes: Root) {
        let _ = (tail, writes);
    }

    /// What a fault of its shaders means.
    fn fault(&self) -> &'static str {
        "it found a value that it cannot go on with"
    }

    /// Whether it computes single elements only, so that it may itself become
    /// part of another's tail.
    fn is_map(&self) -> bool {
        false
    }
}

/// One dispatch of a shader.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Launch {
    /// Which of the step's variants.
    pub variant: usize,
    pub params: Vec<u32>,
    pub writes: Place,
    pub reads: Vec<Place>,
    /// None of it is launched where one is 0.
    pub workgroups: [u32; 3],
    pub cost: Cost,
}

/// Where a launch finds or leaves a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Root(Root),
    /// Memory of the step's own, of so many bytes, by number.
    Scratch {
        number: usize,
        bytes: u64,
    },
}

/// What a launch takes, estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that are read and written.
    pub bytes: u64,
}

impl Program {
    pub(crate) fn buffer(&self, root: Root) -> &Buffer {
        &self.buffers[root.0]
    }
}

/// The values of words for these sizes.
///
/// # Errors
/// When a size does not follow from those of the inputs.
pub(crate) fn words(words: &[Word], sizes: &Sizes) -> Result<Vec<u32>> {
    let word = |word: &Word| match word {
        Word::Bits(bits) => Ok(*bits),
        // Strides may be negative: addresses wrap.
        Word::Size(size) => Ok(sizes.signed(size)? as u32),
    };
    words.iter().map(word).collect()
}
