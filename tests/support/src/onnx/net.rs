//! Layers of networks as exporters write them, with weights that come again with
//! their seed.

use super::{Attribute, FP16, FP32, Model, raw};
use crate::Random;

/// A network in the making, in FP32 or FP16.
pub(super) struct Net {
    model: Model,
    random: Random,
    count: usize,
    pub(super) datatype: i32,
    /// Whether normalisation is written out in simple operators, as exporters do
    /// that know no operator for it.
    pub(super) plain_norm: bool,
}

/// What a convolution does with each axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    pub kernel: usize,
    pub stride: i64,
    pub groups: usize,
}

impl Conv {
    pub(super) fn of(kernel: usize, stride: i64) -> Self {
        Self { kernel, stride, groups: 1 }
    }
}

impl Net {
    pub(super) fn new(half: bool) -> Self {
        let datatype = if half { FP16 } else { FP32 };
        Self { model: Model::new(), random: Random::new(1), count: 0, datatype, plain_norm: false }
    }

    /// An input of floats.
    pub(super) fn input(self, name: &str, shape: &[&str]) -> Self {
        let datatype = self.datatype;
        self.input_of(name, datatype, shape)
    }

    pub(super) fn input_of(mut self, name: &str, datatype: i32, shape: &[&str]) -> Self {
        self.model = self.model.input(name, datatype, shape);
        self
    }

    /// The file, of which `y` is the output.
    pub(super) fn finish(self, output: &str, shape: &[&str]) -> Vec<u8> {
        let model = self.model.node("Identity", &[output], &["y"]);
        model.output("y", self.datatype, shape).bytes()
    }

    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("t{}", self.count)
    }

    /// A node with one output.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let name = self.fresh();
        let model = std::mem::take(&mut self.model);
        self.model = model.node_with(operator, inputs, &[&name], attributes);
        name
    }

    /// A constant of floats in the network's datatype.
    pub(super) fn floats(&mut self, shape: &[usize], values: impl Iterator<Item = f32>) -> String {
        let name = self.fresh();
        let bytes = match self.datatype {
            FP16 => values.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        };
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let model = std::mem::take(&mut self.model);
        self.model = model.initializer(raw(&name, self.datatype, &shape, bytes));
        name
    }

    pub(super) fn number(&mut self, value: f32) -> String {
        self.floats(&[], std::iter::once(value))
    }

    /// A constant of factors, which are FP32 in every network.
    pub(super) fn scales(&mut self, values: &[f32]) -> String {
        let name = self.fresh();
        let model = std::mem::take(&mut self.model);
        self.model = model.floats(&name, &[values.len() as i64], values);
        name
    }

    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        self.ints_of(&[values.len()], values)
    }

    pub(super) fn ints_of(&mut self, shape: &[usize], values: &[i64]) -> String {
        let name = self.fresh();
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let model = std::mem::take(&mut self.model);
        self.model = model.ints(&name, &shape, values);
        name
    }

    /// Weights that keep the size of what goes through `inputs` of them.
    pub(super) fn weights(&mut self, shape: &[usize], inputs: usize) -> String {
        let bound = (3.0 / inputs as f32).sqrt();
        let mut random = self.random.clone();
        let values = random.floats(shape.iter().product());
        self.random = random;
        self.floats(shape, values.into_iter().map(|value| value * bound))
    }

    /// Weights that change little.
    pub(super) fn bias(&mut self, shape: &[usize]) -> String {
        self.weights(shape, 300)
    }

    /// A convolution over as many axes as `axes` says, with a border of half its
    /// kernel.
    pub(super) fn conv(&mut self, x: &str, from: usize, to: usize, conv: Conv, axes: usize) -> String {
        let Conv { kernel, stride, groups } = conv;
        let (side, pad) = (kernel as i64, kernel as i64 / 2);
        let shape = [vec![to, from / groups], vec![kernel; axes]].concat();
        // Rectifiers behind it halve what comes out.
        let w = self.weights(&shape, from / groups * kernel.pow(axes as u32) * 2 / 3 + 1);
        let b = self.bias(&[to]);
        let attributes = [
            ("kernel_shape", Attribute::Ints(vec![side; axes])),
            ("strides", Attribute::Ints(vec![stride; axes])),
            ("pads", Attribute::Ints(vec![pad; 2 * axes])),
            ("group", Attribute::Int(groups as i64)),
        ];
        self.node("Conv", &[x, &w, &b], &attributes)
    }

    pub(super) fn relu(&mut self, x: &str) -> String {
        self.node("Relu", &[x], &[])
    }

    pub(super) fn relu6(&mut self, x: &str) -> String {
        let (low, high) = (self.number(0.0), self.number(6.0));
        self.node("Clip", &[x, &low, &high], &[])
    }

    /// `x` times its sigmoid.
    pub(super) fn silu(&mut self, x: &str) -> String {
        let share = self.node("Sigmoid", &[x], &[]);
        self.node("Mul", &[x, &share], &[])
    }

    pub(super) fn add(&mut self, a: &str, b: &str) -> String {
        self.node("Add", &[a, b], &[])
    }

    pub(super) fn matmul(&mut self, x: &str, from: usize, to: usize) -> String {
        let w = self.weights(&[from, to], from);
        self.node("MatMul", &[x, &w], &[])
    }

    pub(super) fn dense(&mut self, x: &str, from: usize, to: usize) -> String {
        let y = self.matmul(x, from, to);
        let b = self.bias(&[to]);
        self.add(&y, &b)
    }

    pub(super) fn norm(&mut self, x: &str, width: usize) -> String {
        let scale = self.floats(&[width], std::iter::repeat_n(1.0, width));
        let shift = self.bias(&[width]);
        if !self.plain_norm {
            let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(1e-5))];
            return self.node("LayerNormalization", &[x, &scale, &shift], &attributes);
        }
        let last = [("axes", Attribute::Ints(vec![-1]))];
        let (two, epsilon) = (self.number(2.0), self.number(1e-5));
        let mean = self.node("ReduceMean", &[x], &last);
        let apart = self.node("Sub", &[x, &mean], &[]);
        let square = self.node("Pow", &[&apart, &two], &[]);
        let variance = self.node("ReduceMean", &[&square], &last);
        let variance = self.add(&variance, &epsilon);
        let deviation = self.node("Sqrt", &[&variance], &[]);
        let even = self.node("Div", &[&apart, &deviation], &[]);
        let scaled = self.node("Mul", &[&even, &scale], &[]);
        self.add(&scaled, &shift)
    }

    /// The Gaussian error linear unit, by the error function.
    pub(super) fn gelu(&mut self, x: &str) -> String {
        let (root, one, half) = (self.number(std::f32::consts::SQRT_2), self.number(1.0), self.number(0.5));
        let inner = self.node("Div", &[x, &root], &[]);
        let inner = self.node("Erf", &[&inner], &[]);
        let inner = self.add(&inner, &one);
        let outer = self.node("Mul", &[x, &inner], &[]);
        self.node("Mul", &[&outer, &half], &[])
    }

    pub(super) fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.node("Transpose", &[x], &[("perm", Attribute::Ints(order.to_vec()))])
    }

    pub(super) fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = self.ints(shape);
        self.node("Reshape", &[x, &shape], &[])
    }

    fn heads(&mut self, x: &str, heads: usize, width: usize, order: [i64; 4]) -> String {
        let split = self.reshape(x, &[0, -1, heads as i64, (width / heads) as i64]);
        self.transpose(&split, &order)
    }

    /// Attention over rows of `[n, length, width]`, with what is added to the
    /// scores.
    pub(super) fn attention(&mut self, x: &str, heads: usize, width: usize, mask: Option<&str>) -> String {
        let [q, k, v] = [0; 3].map(|_| self.dense(x, width, width));
        let q = self.heads(&q, heads, width, [0, 2, 1, 3]);
        let k = self.heads(&k, heads, width, [0, 2, 3, 1]);
        let v = self.heads(&v, heads, width, [0, 2, 1, 3]);
        let root = self.number(((width / heads) as f32).sqrt());
        let scores = self.node("MatMul", &[&q, &k], &[]);
        let mut scores = self.node("Div", &[&scores, &root], &[]);
        if let Some(mask) = mask {
            scores = self.add(&scores, mask);
        }
        let shares = self.node("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        let mixed = self.node("MatMul", &[&shares, &v], &[]);
        let mixed = self.transpose(&mixed, &[0, 2, 1, 3]);
        let joined = self.reshape(&mixed, &[0, -1, width as i64]);
        self.dense(&joined, width, width)
    }

    /// Two dense layers, four times as wide between.
    pub(super) fn perceptron(&mut self, x: &str, width: usize) -> String {
        let inner = self.dense(x, width, 4 * width);
        let inner = self.gelu(&inner);
        self.dense(&inner, 4 * width, width)
    }

    /// The mean over the picture, and scores of classes.
    pub(super) fn classes(&mut self, x: &str, channels: usize, classes: usize) -> String {
        let mean = self.node("GlobalAveragePool", &[x], &[]);
        let flat = self.node("Flatten", &[&mean], &[("axis", Attribute::Int(1))]);
        self.dense(&flat, channels, classes)
    }
}
