//! Operators between `DequantizeLinear` and `QuantizeLinear` become the ones on narrow
//! integers that they stand for, as ONNX Runtime joins them: sums are then added up in
//! integers, and rounded once.

mod reader;

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

use reader::{Linear, Reader, float, number};

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

impl Reader<'_> {
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
}

/// Removes each `Relu` and `Clip` whose output is quantised within its bounds: rounding
/// to the first step and the last does the same.
fn drop_clamps(graph: &mut GraphProto) {
    let dropped: Vec<(usize, usize)> = {
        let reader = Reader::new(graph);
        let dropped = graph.node.iter().enumerate().filter_map(|(place, node)| {
            let (least, most) = reader.clamp(node)?;
            let (linear, quantize) = reader.given(node)?;
            reader.bounds(linear, least, most)?.then_some((place, quantize))
        });
        dropped.filter(|(place, _)| has(&graph.node[*place], 0)).collect()
    };
    let mut gone = HashSet::new();
    for (clamp, quantize) in dropped {
        graph.node[quantize].input[0] = graph.node[clamp].input[0].clone();
        gone.insert(clamp);
    }
    remove(graph, &gone);
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

fn integer(name: &str, value: i64) -> AttributeProto {
    let kind = tract_onnx::pb::attribute_proto::AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), i: value, r#type: kind, ..AttributeProto::default() }
}
