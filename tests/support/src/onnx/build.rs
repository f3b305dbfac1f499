//! A builder for small models.

use prost::Message;

use super::proto::{
    AttributeProto, DimensionProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// A model in the making. Shapes are written in words: a number is a size, `?`
/// an unknown one, and any other word names a size.
#[derive(Debug, Clone)]
pub struct Model {
    /// Open for what the builder does not offer.
    pub proto: ModelProto,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// An empty model in operator set 17.
    pub fn new() -> Self {
        let graph = GraphProto { name: "test".to_owned(), ..GraphProto::default() };
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        Self {
            proto: ModelProto {
                ir_version: 8,
                producer_name: "samara-test".to_owned(),
                graph: Some(graph),
                opset_import: vec![opset],
                functions: Vec::new(),
            },
        }
    }

    /// The version of the default operator set.
    #[must_use]
    pub fn opset(mut self, version: i64) -> Self {
        self.proto.opset_import[0].version = version;
        self
    }

    /// Names a further set of operators.
    #[must_use]
    pub fn domain(mut self, domain: &str, version: i64) -> Self {
        self.proto.opset_import.push(OperatorSetIdProto { domain: domain.to_owned(), version });
        self
    }

    #[must_use]
    pub fn input(mut self, name: &str, datatype: i32, shape: &[&str]) -> Self {
        self.graph().input.push(value_info(name, datatype, shape));
        self
    }

    #[must_use]
    pub fn output(mut self, name: &str, datatype: i32, shape: &[&str]) -> Self {
        self.graph().output.push(value_info(name, datatype, shape));
        self
    }

    /// An input of a type other than tensors.
    #[must_use]
    pub fn input_of(mut self, name: &str, kind: TypeProto) -> Self {
        self.graph().input.push(ValueInfoProto { name: name.to_owned(), r#type: Some(kind) });
        self
    }

    /// An output of a type other than tensors.
    #[must_use]
    pub fn output_of(mut self, name: &str, kind: TypeProto) -> Self {
        self.graph().output.push(ValueInfoProto { name: name.to_owned(), r#type: Some(kind) });
        self
    }

    /// Defines the function `name` of `domain`, whose input is `x` and whose output
    /// is `y`, by the nodes of `body`. The domain has to be named too.
    #[must_use]
    pub fn function(mut self, domain: &str, name: &str, body: Self) -> Self {
        self.proto.functions.push(FunctionProto {
            name: name.to_owned(),
            input: vec!["x".to_owned()],
            output: vec!["y".to_owned()],
            opset_import: body.proto.opset_import.clone(),
            node: body.into_graph().node,
            domain: domain.to_owned(),
        });
        self
    }

    /// A constant of 32-bit floating-point numbers.
    #[must_use]
    pub fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.initializer(tensor(name, dims, values))
    }

    /// A constant of 64-bit integers.
    #[must_use]
    pub fn ints(self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(raw(name, super::INT64, dims, bytes))
    }

    #[must_use]
    pub fn initializer(mut self, tensor: TensorProto) -> Self {
        self.graph().initializer.push(tensor);
        self
    }

    /// A node that is called `OPERATOR_N`, N counted from 0.
    #[must_use]
    pub fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(operator, inputs, outputs, &[])
    }

    #[must_use]
    pub fn node_with(
        mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let node = NodeProto {
            input: words(inputs),
            output: words(outputs),
            name: format!("{operator}_{}", self.graph().node.len()),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(|(name, value)| value.proto(name)).collect(),
            domain: String::new(),
        };
        self.graph().node.push(node);
        self
    }

    /// Puts the last node into a set of operators other than the default.
    #[must_use]
    pub fn in_domain(mut self, domain: &str) -> Self {
        if let Some(node) = self.graph().node.last_mut() {
            node.domain = domain.to_owned();
        }
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// The graph, to be used within a node.
    pub fn into_graph(self) -> GraphProto {
        self.proto.graph.unwrap_or_default()
    }

    pub(super) fn graph(&mut self) -> &mut GraphProto {
        self.proto.graph.get_or_insert_default()
    }
}

/// A constant of a node.
#[derive(Debug, Clone)]
pub enum Attribute {
    Int(i64),
    Float(f32),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
    Tensor(TensorProto),
    Graph(GraphProto),
}

impl Attribute {
    fn proto(&self, name: &str) -> AttributeProto {
        let mut proto = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
        proto.kind = match self {
            Attribute::Float(value) => {
                proto.f = *value;
                1
            }
            Attribute::Int(value) => {
                proto.i = *value;
                2
            }
            Attribute::Text(value) => {
                proto.s = value.as_bytes().to_vec();
                3
            }
            Attribute::Tensor(value) => {
                proto.t = Some(value.clone());
                4
            }
            Attribute::Graph(value) => {
                proto.g = Some(value.clone());
                5
            }
            Attribute::Floats(values) => {
                proto.floats.clone_from(values);
                6
            }
            Attribute::Ints(values) => {
                proto.ints.clone_from(values);
                7
            }
            Attribute::Texts(values) => {
                proto.strings = values.iter().map(|value| value.as_bytes().to_vec()).collect();
                8
            }
        };
        proto
    }
}

/// A tensor of 32-bit floating-point numbers.
pub fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw(name, super::FP32, dims, bytes)
}

/// A tensor of any datatype from its bytes.
pub fn raw(name: &str, datatype: i32, dims: &[i64], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: datatype,
        name: name.to_owned(),
        raw_data: bytes,
        ..TensorProto::default()
    }
}

fn value_info(name: &str, datatype: i32, shape: &[&str]) -> ValueInfoProto {
    let dims = shape.iter().map(|word| match (*word, word.parse()) {
        ("?", _) => DimensionProto { dim_value: None, dim_param: None },
        (_, Ok(size)) => DimensionProto { dim_value: Some(size), dim_param: None },
        (name, Err(_)) => DimensionProto { dim_value: None, dim_param: Some(name.to_owned()) },
    });
    let shape = TensorShapeProto { dim: dims.collect() };
    let tensor = TensorTypeProto { elem_type: datatype, shape: Some(shape) };
    let kind = TypeProto { tensor_type: Some(tensor), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind) }
}
