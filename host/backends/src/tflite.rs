//! What a TFLite file says of itself, read and checked before any engine sees it: the
//! engine follows indices of the file that nobody else has looked at.

mod arity;
mod check;
mod read;
mod wire;

use samara_nn::{Datatype, Error, ModelSource, Result, TensorSpec};

use crate::names::quote;

/// A model file without its weights.
pub(crate) struct Outline<'a> {
    /// The numbers of the operators that the file makes use of.
    pub codes: Vec<i32>,
    pub graphs: Vec<Graph<'a>>,
    /// Bytes of data of each buffer.
    pub buffers: Vec<&'a [u8]>,
    pub signatures: Vec<SignatureDef<'a>>,
}

pub(crate) struct Graph<'a> {
    pub tensors: Vec<TensorInfo<'a>>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub operators: Vec<Operator>,
}

pub(crate) struct TensorInfo<'a> {
    pub name: &'a str,
    pub shape: Vec<i32>,
    /// The shape with -1 for open sizes, where there are any.
    pub open_shape: Option<Vec<i32>>,
    pub kind: i8,
    pub buffer: u32,
    pub is_variable: bool,
    pub is_sparse: bool,
    pub quantisation: Quantisation,
}

#[derive(Default)]
pub(crate) struct Quantisation {
    pub scales: Vec<f32>,
    pub zero_points: Vec<i64>,
    pub axis: i32,
}

impl Quantisation {
    /// The one scale of all elements, where there is one.
    fn of_all(&self) -> Option<samara_nn::Quantisation> {
        let (&[scale], zero_points) = (&self.scales[..], &self.zero_points[..]) else { return None };
        let zero_point = zero_points.first().copied().unwrap_or_default();
        (scale != 0.0).then_some(samara_nn::Quantisation { scale, zero_point })
    }
}

pub(crate) struct Operator {
    pub code: u32,
    /// Tensors of its graph, -1 for one that is left out.
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub intermediates: Vec<i32>,
    /// Graphs that it runs.
    pub calls: Vec<i32>,
}

/// A named way to call the model.
pub(crate) struct SignatureDef<'a> {
    pub key: &'a str,
    pub graph: u32,
    /// Names and tensors of that graph.
    pub inputs: Vec<(&'a str, u32)>,
    pub outputs: Vec<(&'a str, u32)>,
}

/// The name that TensorFlow gives the signature that is meant to be served.
const SERVED: &str = "serving_default";

impl<'a> Outline<'a> {
    /// Reads the outline of a model and checks that it is sound.
    ///
    /// # Errors
    /// [`Error::InvalidModel`], or [`Error::TooLarge`] where a tensor takes more than
    /// `tensor_limit` bytes.
    pub(crate) fn read(source: &'a ModelSource, backend: &'static str, tensor_limit: u64) -> Result<Self> {
        let invalid = |reason| Error::InvalidModel { model: source.name.clone(), backend, reason };
        let buffer = wire::Buffer::new(&source.bytes);
        let outline = read::model(&buffer).map_err(|problem| invalid(problem.to_string()))?;
        let limit = check::Limit { model: &source.name, bytes: tensor_limit };
        check::outline(&outline, &limit).map_err(|problem| match problem {
            check::Problem::Unsound(reason) => invalid(reason),
            check::Problem::TooLarge(error) => error,
        })?;
        Ok(outline)
    }

    /// Which signature is called, by its place: TensorFlow's served one where there are
    /// several, and the first where none is called so.
    pub(crate) fn called(&self) -> usize {
        self.signatures.iter().position(|signature| signature.key == SERVED).unwrap_or(0)
    }

    /// The declared inputs or outputs, in the order of the signature that is called, or
    /// of the graph where there is none.
    ///
    /// # Errors
    /// In words, for what no caller can give or take.
    pub(crate) fn specs(&self, side: Side) -> std::result::Result<Vec<TensorSpec>, String> {
        let Some(main) = self.graphs.first() else { return Ok(Vec::new()) };
        let Some(signature) = self.signatures.get(self.called()) else {
            let indices = if side == Side::Inputs { &main.inputs } else { &main.outputs };
            return indices.iter().map(|&index| spec(None, main, index.unsigned_abs())).collect();
        };
        let graph = self.graphs.get(signature.graph as usize).unwrap_or(main);
        let entries = if side == Side::Inputs { &signature.inputs } else { &signature.outputs };
        entries.iter().map(|&(name, index)| spec(Some(name), graph, index)).collect()
    }

    /// What the weights take in memory.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len() as u64).sum()
    }
}

/// Which end of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Inputs,
    Outputs,
}

/// The datatype that a number in a TFLite file stands for, `None` for those that do not
/// travel.
pub(crate) fn datatype(kind: i8) -> Option<Datatype> {
    Some(match kind {
        0 => Datatype::Fp32,
        1 => Datatype::Fp16,
        2 => Datatype::Int32,
        3 => Datatype::Uint8,
        4 => Datatype::Int64,
        5 => Datatype::Bytes,
        6 => Datatype::Bool,
        7 => Datatype::Int16,
        9 => Datatype::Int8,
        10 => Datatype::Fp64,
        12 => Datatype::Uint64,
        15 => Datatype::Uint32,
        16 => Datatype::Uint16,
        18 => Datatype::Bf16,
        _ => return None,
    })
}

fn spec(name: Option<&str>, graph: &Graph<'_>, index: u32) -> std::result::Result<TensorSpec, String> {
    let tensor = graph.tensors.get(index as usize).ok_or_else(|| format!("there is no tensor {index}"))?;
    let name = name.unwrap_or(tensor.name);
    let datatype =
        datatype(tensor.kind).filter(|&datatype| datatype != Datatype::Bytes).ok_or_else(|| {
            format!(
                "tensor {} has the datatype {}, which does not travel",
                quote(name),
                check::kind_name(tensor.kind)
            )
        })?;
    let shape = tensor.open_shape.as_ref().unwrap_or(&tensor.shape);
    let shape: Vec<i64> = shape.iter().map(|&size| i64::from(size)).collect();
    let quantisation = tensor.quantisation.of_all().filter(|_| !datatype.is_float());
    Ok(TensorSpec { quantisation, ..TensorSpec::new(name, datatype, shape) })
}
