//! A graph by the names of its tensors, and the constants between which operators stand.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::OWN;

/// A scale and a zero point, which are constants.
#[derive(Clone, Copy)]
pub(super) struct Linear<'a> {
    /// What is dequantised, or what it is quantised to.
    pub(super) tensor: &'a str,
    pub(super) scale: &'a str,
    pub(super) zero: &'a str,
    pub(super) datatype: i32,
    /// How many scales there are.
    pub(super) count: i64,
    pub(super) axis: i64,
}

pub(super) struct Reader<'a> {
    pub(super) graph: &'a GraphProto,
    pub(super) constants: HashMap<&'a str, &'a TensorProto>,
    makers: HashMap<&'a str, usize>,
    /// The nodes that take a tensor; an entry beyond the last for any other use.
    pub(super) takers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(graph: &'a GraphProto) -> Self {
        let inputs: HashSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
        // What a caller may give is no constant.
        let constants = graph.initializer.iter().filter(|tensor| !inputs.contains(tensor.name.as_str()));
        let mut constants: HashMap<&str, &TensorProto> =
            constants.map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut takers: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut makers = HashMap::new();
        for (place, node) in graph.node.iter().enumerate() {
            for name in &node.input {
                takers.entry(name).or_default().push(place);
            }
            makers.extend(node.output.iter().map(|name| (name.as_str(), place)));
            if let ("Constant", [name]) = (node.op_type.as_str(), &node.output[..]) {
                let value = node.attribute.iter().find(|attribute| attribute.name == "value");
                constants.extend(value.and_then(|value| Some((name.as_str(), value.t.as_ref()?))));
            }
            for_each_inner_use(node, &mut |name| takers.entry(name).or_default().push(usize::MAX));
        }
        for output in &graph.output {
            takers.entry(&output.name).or_default().push(usize::MAX);
        }
        Self { graph, constants, makers, takers }
    }

    /// What an input is dequantised from.
    pub(super) fn taken(&self, node: &'a NodeProto, place: usize) -> Option<Linear<'a>> {
        let maker = &self.graph.node[*self.makers.get(node.input.get(place)?.as_str())?];
        let linear = self.linear(maker, "DequantizeLinear")?;
        is_narrow(linear.datatype).then_some(Linear { tensor: maker.input.first()?, ..linear })
    }

    /// What the one output is quantised to, and by which node, where nothing else
    /// takes it.
    pub(super) fn given(&self, node: &NodeProto) -> Option<(Linear<'a>, usize)> {
        let [output] = &node.output[..] else { return None };
        let [taker] = self.takers.get(output.as_str())?[..] else { return None };
        let taker_node = self.graph.node.get(taker)?;
        let linear = self.linear(taker_node, "QuantizeLinear")?;
        let is_input = taker_node.input.first() == Some(output) && is_narrow(linear.datatype);
        is_input.then_some((Linear { tensor: taker_node.output.first()?, ..linear }, taker))
    }

    fn linear(&self, node: &'a NodeProto, operator: &str) -> Option<Linear<'a>> {
        let [_, scale, zero] = &node.input[..] else { return None };
        let is_known = node.op_type == operator && ["", "ai.onnx", OWN].contains(&node.domain.as_str());
        if !is_known || number(node, "block_size").unwrap_or(0) != 0 {
            return None;
        }
        let (scales, zeros) = (self.constants.get(scale.as_str())?, self.constants.get(zero.as_str())?);
        let count = |tensor: &TensorProto| match tensor.dims[..] {
            [] => Some(1),
            [count] if count > 0 => Some(count),
            _ => None,
        };
        let is_float = scales.data_type == DataType::Float as i32;
        (is_float && count(scales) == count(zeros)).then_some(Linear {
            tensor: "",
            scale,
            zero,
            datatype: zeros.data_type,
            count: count(scales)?,
            axis: number(node, "axis").unwrap_or(1),
        })
    }

    /// A bias whose steps are those of the products that it is added to.
    pub(super) fn bias(
        &self,
        node: &'a NodeProto,
        place: usize,
        a: Linear<'_>,
        b: Linear<'_>,
    ) -> Option<&'a str> {
        let maker = &self.graph.node[*self.makers.get(node.input.get(place)?.as_str())?];
        if maker.op_type != "DequantizeLinear" {
            return None;
        }
        let [tensor, scale, rest @ ..] = &maker.input[..] else { return None };
        let zeros = match rest {
            [] => Vec::new(),
            [zero] if zero.is_empty() => Vec::new(),
            [zero, ..] => self.constants.get(zero.as_str())?.int32s()?,
        };
        let is_wide = self.constants.get(tensor.as_str())?.data_type == DataType::Int32 as i32;
        let values = |name: &str| self.constants.get(name)?.float32s();
        let (scales, a, b) = (values(scale)?, values(a.scale)?, values(b.scale)?);
        let is_near = |(place, scale): (usize, &f32)| {
            let product = a[0] * b[place.min(b.len() - 1)];
            (scale - product).abs() <= product.abs() * 1e-3
        };
        let same_steps = scales.len() == 1 || b.len() == 1 || scales.len() == b.len();
        let fits = is_wide
            && zeros.iter().all(|zero| *zero == 0)
            && same_steps
            && !a.is_empty()
            && !b.is_empty()
            && (scales.len() == b.len() || b.windows(2).all(|pair| pair[0] == pair[1]))
            && scales.iter().enumerate().all(is_near);
        fits.then_some(tensor.as_str())
    }

    /// Whether rounding to steps has the same bounds as these numbers, or closer ones.
    pub(super) fn bounds(&self, linear: Linear<'_>, least: f32, most: f32) -> Option<bool> {
        let (scales, zero) =
            (self.constants.get(linear.scale)?.float32s()?, self.constants.get(linear.zero)?);
        let is_signed = linear.datatype == DataType::Int8 as i32;
        let zero = match (zero.data_location.unwrap_or(0), &zero.raw_data[..], &zero.int32_data[..]) {
            (0, [byte], _) if is_signed => f32::from(*byte as i8),
            (0, [byte], _) => f32::from(*byte),
            (0, [], [number]) => *number as f32,
            _ => return None,
        };
        let [scale] = scales[..] else { return None };
        let (first, last) = if is_signed { (-128.0, 127.0) } else { (0.0, 255.0) };
        let step = |value: f32| (value / scale).round_ties_even() + zero;
        Some(scale > 0.0 && step(least) <= first && step(most) >= last)
    }

    /// The bounds of a `Relu` or a `Clip`, where they are constants.
    pub(super) fn clamp(&self, node: &NodeProto) -> Option<(f32, f32)> {
        if !node.domain.is_empty() {
            return None;
        }
        let bound = |place: usize, name: &str, open: f32| match node.input.get(place) {
            Some(input) if !input.is_empty() => match self.constants.get(input.as_str())?.float32s()?[..] {
                [bound] => Some(bound),
                _ => None,
            },
            _ => Some(float(node, name).unwrap_or(open)),
        };
        match node.op_type.as_str() {
            "Relu" => Some((0.0, f32::INFINITY)),
            "Clip" => Some((bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?)),
            _ => None,
        }
    }
}

/// The numbers of a tensor that stands in the file.
trait Numbers {
    fn float32s(&self) -> Option<Vec<f32>>;
    fn int32s(&self) -> Option<Vec<i32>>;
}

impl Numbers for TensorProto {
    fn float32s(&self) -> Option<Vec<f32>> {
        if self.data_type != DataType::Float as i32 || self.data_location.unwrap_or(0) != 0 {
            return None;
        }
        let raw = self.raw_data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        Some(if self.raw_data.is_empty() { self.float_data.clone() } else { raw.collect() })
    }

    fn int32s(&self) -> Option<Vec<i32>> {
        if self.data_type != DataType::Int32 as i32 || self.data_location.unwrap_or(0) != 0 {
            return None;
        }
        let raw = self.raw_data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
        Some(if self.raw_data.is_empty() { self.int32_data.clone() } else { raw.collect() })
    }
}

/// Every tensor that the graphs within a node take.
fn for_each_inner_use<'a>(node: &'a NodeProto, use_of: &mut impl FnMut(&'a str)) {
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            for inner in &graph.node {
                inner.input.iter().for_each(|name| use_of(name));
                for_each_inner_use(inner, use_of);
            }
            graph.output.iter().for_each(|output| use_of(&output.name));
        }
    }
}

pub(super) fn is_narrow(datatype: i32) -> bool {
    datatype == DataType::Uint8 as i32 || datatype == DataType::Int8 as i32
}

pub(super) fn number(node: &NodeProto, name: &str) -> Option<i64> {
    Some(node.attribute.iter().find(|attribute| attribute.name == name)?.i)
}

pub(super) fn float(node: &NodeProto, name: &str) -> Option<f32> {
    Some(node.attribute.iter().find(|attribute| attribute.name == name)?.f)
}
