//! Operators between `DequantizeLinear` and `QuantizeLinear` become the ones on narrow
//! integers that they stand for, as ONNX Runtime joins them: sums are then added up in
//! integers, and rounded once.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// The domain of ONNX Runtime's own operators.
const OWN: &str = "com.microsoft";

/// Joins what can be joined in a model's graph. Graphs within its nodes stay as they
/// are.
pub(super) fn join(model: &mut ModelProto) {
    let opset = model.opset_import.iter().find(|opset| opset.domain.is_empty() || opset.domain == "ai.onnx");
    let opset = opset.map_or(1, |opset| opset.version);
    let Some(graph) = &mut model.graph else { return };
    if !graph.node.iter().any(|node| node.op_type == "QuantizeLinear" || node.op_type == "DequantizeLinear") {
        return;
    }
    drop_clamps(graph);
    let joined = {
        let reader = Reader::new(graph);
        let joined = (0..graph.node.len()).filter_map(|place| Some((place, reader.joined(place, opset)?)));
        joined.collect::<Vec<_>>()
    };
    let mut gone = HashSet::new();
    for (place, Joined { node, quantize }) in joined {
        graph.node[place] = node;
        gone.extend(quantize);
    }
    remove(graph, &gone);
    drop_unused(graph);
}

/// A node in place of another, and that of the `QuantizeLinear` that it replaces too.
struct Joined {
    node: NodeProto,
    quantize: Option<usize>,
}

/// A scale and a zero point, which are constants.
#[derive(Clone, Copy)]
struct Linear<'a> {
    /// What is dequantised, or what it is quantised to.
    tensor: &'a str,
    scale: &'a str,
    zero: &'a str,
    datatype: i32,
    /// How many scales there are.
    count: i64,
    axis: i64,
}

struct Reader<'a> {
    graph: &'a GraphProto,
    constants: HashMap<&'a str, &'a TensorProto>,
    makers: HashMap<&'a str, usize>,
    /// The nodes that take a tensor; an entry beyond the last for any other use.
    takers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let inputs: HashSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
        // What a caller may give is no constant.
        let constants = graph.initializer.iter().filter(|tensor| !inputs.contains(tensor.name.as_str()));
        let mut takers: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut makers = HashMap::new();
        for (place, node) in graph.node.iter().enumerate() {
            for name in &node.input {
                takers.entry(name).or_default().push(place);
            }
            makers.extend(node.output.iter().map(|name| (name.as_str(), place)));
            for_each_inner_use(node, &mut |name| takers.entry(name).or_default().push(usize::MAX));
        }
        for output in &graph.output {
            takers.entry(&output.name).or_default().push(usize::MAX);
        }
        Self {
            graph,
            constants: constants.map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            makers,
            takers,
        }
    }

    fn joined(&self, place: usize, opset: i64) -> Option<Joined> {
        let node = &self.graph.node[place];
        if !node.domain.is_empty() && node.domain != "ai.onnx" {
            return None;
        }
        match node.op_type.as_str() {
            "Conv" => self.conv(node),
            "MatMul" => self.mat_mul(node),
            "Gemm" => self.gemm(node),
            "Add" | "Mul" => self.pair(node),
            "Concat" => self.concat(node),
            "Where" => self.choice(node),
            "AveragePool" if node.attribute.iter().any(|attribute| attribute.name == "dilations") => None,
            "AveragePool" | "GlobalAveragePool" | "LeakyRelu" | "Sigmoid" => self.unary(node, Vec::new()),
            "Softmax" => {
                let axis = number(node, "axis").unwrap_or(if opset < 13 { 1 } else { -1 });
                self.unary(node, vec![integer("opset", opset), integer("axis", axis)])
            }
            _ => None,
        }
    }

    fn conv(&self, node: &NodeProto) -> Option<Joined> {
        let (x, w) = (self.taken(node, 0)?, self.taken(node, 1)?);
        let (y, quantize) = self.given(node)?;
        let fits = x.count == 1 && y.count == 1 && (w.count == 1 || w.axis == 0) && y.datatype == x.datatype;
        if !fits || !are_factors(x, w) {
            return None;
        }
        let mut inputs = named(&[x.tensor, x.scale, x.zero, w.tensor, w.scale, w.zero, y.scale, y.zero]);
        if has(node, 2) {
            inputs.push(self.bias(node, 2, x, w)?.to_owned());
        }
        Some(made(node, "", "QLinearConv", inputs, y.tensor, Some(quantize)))
    }

    fn mat_mul(&self, node: &NodeProto) -> Option<Joined> {
        let (a, b) = (self.taken(node, 0)?, self.taken(node, 1)?);
        let columns = self.constants.get(b.tensor).is_some_and(|b_tensor| {
            let rank = b_tensor.dims.len() as i64;
            rank > 1 && (b.axis == rank - 1 || b.axis == -1)
        });
        if a.count != 1 || (b.count != 1 && !columns) || !are_factors(a, b) {
            return None;
        }
        if let Some((y, quantize)) = self.given(node) {
            if y.count != 1 || y.datatype != a.datatype {
                return None;
            }
            let inputs = named(&[a.tensor, a.scale, a.zero, b.tensor, b.scale, b.zero, y.scale, y.zero]);
            return Some(made(node, "", "QLinearMatMul", inputs, y.tensor, Some(quantize)));
        }
        let inputs = named(&[a.tensor, b.tensor, a.scale, b.scale, a.zero, b.zero]);
        Some(made(node, OWN, "MatMulIntegerToFloat", inputs, node.output.first()?, None))
    }

    fn gemm(&self, node: &NodeProto) -> Option<Joined> {
        let (a, b) = (self.taken(node, 0)?, self.taken(node, 1)?);
        let columns = if number(node, "transB").unwrap_or(0) == 0 { 1 } else { 0 };
        if a.count != 1 || (b.count != 1 && b.axis != columns) || !are_factors(a, b) {
            return None;
        }
        let mut inputs = named(&[a.tensor, a.scale, a.zero, b.tensor, b.scale, b.zero]);
        inputs.push(String::new());
        if has(node, 2) {
            let is_one = |name: &str| float(node, name).is_none_or(|value| value == 1.0);
            if !is_one("alpha") || !is_one("beta") {
                return None;
            }
            inputs[6] = self.bias(node, 2, a, b)?.to_owned();
        }
        let kept = |attribute: &AttributeProto| attribute.name != "beta";
        let attributes = node.attribute.iter().filter(|attribute| kept(attribute)).cloned().collect();
        let node = NodeProto { attribute: attributes, ..node.clone() };
        match self.given(&node) {
            Some((y, quantize)) if y.count == 1 && y.datatype == a.datatype => {
                inputs.extend(named(&[y.scale, y.zero]));
                Some(made(&node, OWN, "QGemm", inputs, y.tensor, Some(quantize)))
            }
            Some(_) => None,
            None => Some(made(&node, OWN, "QGemm", inputs, node.output.first()?, None)),
        }
    }

    fn pair(&self, node: &NodeProto) -> Option<Joined> {
        let (a, b) = (self.taken(node, 0)?, self.taken(node, 1)?);
        let (y, quantize) = self.given(node)?;
        if !are_alike(&[a, b, y]) {
            return None;
        }
        let inputs = named(&[a.tensor, a.scale, a.zero, b.tensor, b.scale, b.zero, y.scale, y.zero]);
        let operator = format!("QLinear{}", node.op_type);
        Some(made(node, OWN, &operator, inputs, y.tensor, Some(quantize)))
    }

    fn concat(&self, node: &NodeProto) -> Option<Joined> {
        let (y, quantize) = self.given(node)?;
        let mut inputs = named(&[y.scale, y.zero]);
        for place in 0..node.input.len() {
            let x = self.taken(node, place)?;
            if !are_alike(&[x, y]) {
                return None;
            }
            inputs.extend(named(&[x.tensor, x.scale, x.zero]));
        }
        Some(made(node, OWN, "QLinearConcat", inputs, y.tensor, Some(quantize)))
    }

    fn choice(&self, node: &NodeProto) -> Option<Joined> {
        let (x, y) = (self.taken(node, 1)?, self.taken(node, 2)?);
        let (z, quantize) = self.given(node)?;
        if !are_alike(&[x, y, z]) {
            return None;
        }
        let condition = node.input.first()?;
        let inputs =
            named(&[condition, x.tensor, x.scale, x.zero, y.tensor, y.scale, y.zero, z.scale, z.zero]);
        Some(made(node, OWN, "QLinearWhere", inputs, z.tensor, Some(quantize)))
    }

    fn unary(&self, node: &NodeProto, attributes: Vec<AttributeProto>) -> Option<Joined> {
        let x = self.taken(node, 0)?;
        let (y, quantize) = self.given(node)?;
        if !are_alike(&[x, y]) || node.input.len() != 1 {
            return None;
        }
        let inputs = named(&[x.tensor, x.scale, x.zero, y.scale, y.zero]);
        let mut joined =
            made(node, OWN, &format!("QLinear{}", node.op_type), inputs, y.tensor, Some(quantize));
        joined.node.attribute.retain(|attribute| attributes.iter().all(|other| other.name != attribute.name));
        joined.node.attribute.extend(attributes);
        Some(joined)
    }

    /// What an input is dequantised from.
    fn taken(&self, node: &'a NodeProto, place: usize) -> Option<Linear<'a>> {
        let maker = &self.graph.node[*self.makers.get(node.input.get(place)?.as_str())?];
        let linear = self.linear(maker, "DequantizeLinear")?;
        is_narrow(linear.datatype).then_some(Linear { tensor: maker.input.first()?, ..linear })
    }

    /// What the one output is quantised to, and by which node, where nothing else
    /// takes it.
    fn given(&self, node: &NodeProto) -> Option<(Linear<'a>, usize)> {
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
    fn bias(&self, node: &'a NodeProto, place: usize, a: Linear<'_>, b: Linear<'_>) -> Option<&'a str> {
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

/// Removes each `Relu` whose output is quantised from the least step on: rounding to
/// that step does the same.
fn drop_clamps(graph: &mut GraphProto) {
    let dropped: Vec<(usize, usize)> = {
        let reader = Reader::new(graph);
        let relus =
            graph.node.iter().enumerate().filter(|(_, node)| {
                node.op_type == "Relu" && node.domain.is_empty() && node.input.len() == 1
            });
        let quantised = relus.filter_map(|(place, node)| {
            let (linear, quantize) = reader.given(node)?;
            reader.starts_at_zero(linear)?.then_some((place, quantize))
        });
        quantised.collect()
    };
    let mut gone = HashSet::new();
    for (relu, quantize) in dropped {
        graph.node[quantize].input[0] = graph.node[relu].input[0].clone();
        gone.insert(relu);
    }
    remove(graph, &gone);
}

impl Reader<'_> {
    /// Whether zero is the least step.
    fn starts_at_zero(&self, linear: Linear<'_>) -> Option<bool> {
        let zero = self.constants.get(linear.zero)?;
        if linear.count != 1 || zero.data_location.unwrap_or(0) != 0 {
            return None;
        }
        let least = if linear.datatype == DataType::Int8 as i32 { i32::from(i8::MIN) } else { 0 };
        Some(match (&zero.raw_data[..], &zero.int32_data[..]) {
            ([byte], _) if least < 0 => i32::from(*byte as i8) == least,
            ([byte], _) => i32::from(*byte) == least,
            ([], [number]) => *number == least,
            _ => false,
        })
    }
}

/// Removes each `DequantizeLinear` that nothing takes any more.
fn drop_unused(graph: &mut GraphProto) {
    let unused: HashSet<usize> = {
        let reader = Reader::new(graph);
        let is_unused = |node: &NodeProto| {
            node.op_type == "DequantizeLinear"
                && node.output.iter().all(|name| !reader.takers.contains_key(name.as_str()))
        };
        (0..graph.node.len()).filter(|place| is_unused(&graph.node[*place])).collect()
    };
    remove(graph, &unused);
}

fn remove(graph: &mut GraphProto, gone: &HashSet<usize>) {
    let mut place = 0;
    graph.node.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
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

fn made(
    node: &NodeProto,
    domain: &str,
    operator: &str,
    input: Vec<String>,
    output: &str,
    quantize: Option<usize>,
) -> Joined {
    let node = NodeProto {
        input,
        output: vec![output.to_owned()],
        op_type: operator.to_owned(),
        domain: domain.to_owned(),
        ..node.clone()
    };
    Joined { node, quantize }
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn has(node: &NodeProto, place: usize) -> bool {
    node.input.get(place).is_some_and(|name| !name.is_empty())
}

/// Whether all are of one datatype, with one scale each.
fn are_alike(all: &[Linear<'_>]) -> bool {
    all.iter().all(|linear| linear.count == 1 && linear.datatype == all[0].datatype)
}

/// Whether products of these are known: signed ones go with signed ones alone.
fn are_factors(a: Linear<'_>, b: Linear<'_>) -> bool {
    a.datatype == DataType::Uint8 as i32 || b.datatype == DataType::Int8 as i32
}

fn is_narrow(datatype: i32) -> bool {
    datatype == DataType::Uint8 as i32 || datatype == DataType::Int8 as i32
}

fn number(node: &NodeProto, name: &str) -> Option<i64> {
    Some(node.attribute.iter().find(|attribute| attribute.name == name)?.i)
}

fn float(node: &NodeProto, name: &str) -> Option<f32> {
    Some(node.attribute.iter().find(|attribute| attribute.name == name)?.f)
}

fn integer(name: &str, value: i64) -> AttributeProto {
    let kind = tract_onnx::pb::attribute_proto::AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), i: value, r#type: kind, ..AttributeProto::default() }
}
