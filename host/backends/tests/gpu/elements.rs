//! Functions of single elements: every one over every datatype that it takes.

use half::f16;
use samara_nn::{Element, Tensor};
use samara_test::Random;
use samara_test::onnx::{self, Attribute, BOOL, FP16, FP32, INT32, INT64, Model};

use crate::{Pair, floats, load};

/// A model of one operator over inputs of two axes.
fn model(operator: &str, inputs: &[i32], output: i32, attributes: &[(&str, Attribute)]) -> Model {
    let names = ["a", "b", "c"];
    let mut model = Model::new();
    for (name, datatype) in names.iter().zip(inputs) {
        model = model.input(name, *datatype, &["n", "m"]);
    }
    model.node_with(operator, &names[..inputs.len()], &["y"], attributes).output("y", output, &["n", "m"])
}

fn scaled(random: &mut Random, shape: &[usize], factor: f32) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_vec(shape, random.floats(count).iter().map(|value| value * factor).collect()).unwrap()
}

fn of<T: Element>(random: &mut Random, shape: &[usize], value: impl Fn(u64) -> T) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::from_vec(shape, (0..count).map(|_| value(random.below(1 << 31))).collect()).unwrap()
}

const SHAPES: [[usize; 2]; 4] = [[1, 1], [3, 5], [0, 4], [70, 33]];

#[test]
fn functions_of_one_number() {
    let mut random = Random::new(40);
    let functions = [
        ("Abs", 10.0),
        ("Neg", 10.0),
        ("Sign", 2.0),
        ("Reciprocal", 5.0),
        ("Sqrt", 3.0),
        ("Exp", 20.0),
        ("Log", 9.0),
        ("Floor", 9.0),
        ("Ceil", 9.0),
        ("Round", 9.0),
        ("Sin", 6.0),
        ("Cos", 6.0),
        ("Tan", 1.4),
        ("Asin", 1.0),
        ("Acos", 1.0),
        ("Atan", 9.0),
        ("Sinh", 6.0),
        ("Cosh", 6.0),
        ("Tanh", 9.0),
        ("Asinh", 50.0),
        ("Acosh", 50.0),
        ("Atanh", 0.99),
        ("Erf", 4.0),
        ("Sigmoid", 20.0),
        ("Relu", 5.0),
        ("LeakyRelu", 5.0),
        ("HardSwish", 6.0),
        ("Softplus", 5.0),
        ("Softsign", 5.0),
        ("Elu", 5.0),
        ("Selu", 5.0),
        ("HardSigmoid", 5.0),
        ("Celu", 5.0),
        ("ThresholdedRelu", 3.0),
        ("Mish", 5.0),
    ];
    for (function, factor) in functions {
        let opset = if function == "Mish" { 18 } else { 17 };
        let model = model(function, &[FP32], FP32, &[]).opset(opset);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for shape in SHAPES {
            println!("{function} {shape:?}");
            pair.agree(&[scaled(&mut random, &shape, factor)], 3e-5);
        }
    }
}

#[test]
fn functions_of_extreme_numbers() {
    let extremes = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        1e-30,
        -1e-30,
        100.0,
        -100.0,
        0.5,
        -0.5,
        2.5,
    ];
    let functions = ["Abs", "Neg", "Reciprocal", "Sqrt", "Exp", "Floor", "Ceil", "Round", "Relu"];
    for function in functions {
        let Some(pair) = Pair::load(&model(function, &[FP32], FP32, &[]).bytes()) else { return };
        println!("{function}");
        pair.agree(&[Tensor::from_vec([2, 8], extremes.to_vec()).unwrap()], 1e-5);
    }
    // Of what is no number tract makes one here.
    for function in ["Tanh", "Erf", "Sigmoid"] {
        let Some(pair) = Pair::load(&model(function, &[FP32], FP32, &[]).bytes()) else { return };
        let numbers: Vec<f32> = extremes.iter().copied().filter(|value| !value.is_nan()).collect();
        pair.agree(&[Tensor::from_vec([1, numbers.len()], numbers).unwrap()], 1e-5);
        let none = crate::run(&*pair.gpu, &[Tensor::from_vec([1, 1], vec![f32::NAN]).unwrap()]);
        assert!(none[0].elements::<f32>().unwrap()[0].is_nan(), "{function}");
    }
    let pairs: Vec<(f32, f32)> = extremes.iter().flat_map(|&a| extremes.map(|b| (a, b))).collect();
    let (left, right): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
    for function in ["Add", "Sub", "Mul", "Div", "Min", "Max"] {
        let Some(pair) = Pair::load(&model(function, &[FP32, FP32], FP32, &[]).bytes()) else { return };
        println!("{function}");
        let inputs = [&left, &right].map(|values| Tensor::from_vec([16, 16], values.clone()).unwrap());
        pair.agree(&inputs, 1e-6);
    }
}

#[test]
fn functions_of_two_numbers() {
    let mut random = Random::new(41);
    for function in ["Add", "Sub", "Mul", "Div", "Min", "Max"] {
        for (datatype, output) in [(FP32, FP32), (INT32, INT32), (INT64, INT64)] {
            let Some(pair) = Pair::load(&model(function, &[datatype; 2], output, &[]).bytes()) else {
                return;
            };
            for shape in SHAPES {
                let inputs = [0, 1].map(|side| match datatype {
                    FP32 => floats(&mut random, &shape),
                    INT32 => of(&mut random, &shape, |bits| (bits as i32 - (1 << 30)) | side),
                    _ => of(&mut random, &shape, |bits| (bits as i64 * 5 - (1 << 32)) | i64::from(side)),
                });
                println!("{function} of {datatype} {shape:?}");
                pair.agree(&inputs, 1e-6);
            }
        }
    }
    let Some(pair) = Pair::load(&model("Pow", &[FP32, FP32], FP32, &[]).bytes()) else { return };
    for shape in SHAPES {
        let base = of(&mut random, &shape, |bits| bits as f32 / 1e9 + 0.01);
        pair.agree(&[base, scaled(&mut random, &shape, 3.0)], 3e-5);
        let whole = of(&mut random, &shape, |bits| (bits % 7) as f32 - 3.0);
        pair.agree(&[scaled(&mut random, &shape, 3.0), whole], 3e-5);
    }
}

#[test]
fn comparisons_and_logic() {
    let mut random = Random::new(42);
    for function in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"] {
        for datatype in [FP32, INT32, INT64] {
            let Some(pair) = Pair::load(&model(function, &[datatype; 2], BOOL, &[]).bytes()) else { return };
            for shape in SHAPES {
                let inputs = [0, 1].map(|_| match datatype {
                    FP32 => of(&mut random, &shape, |bits| (bits % 3) as f32),
                    INT32 => of(&mut random, &shape, |bits| (bits % 3) as i32 - 1),
                    _ => of(&mut random, &shape, |bits| (bits as i64 % 3 - 1) << 33),
                });
                pair.agree(&inputs, 0.0);
            }
        }
    }
    let truths = |random: &mut Random, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let values: Vec<bool> = (0..count).map(|_| random.below(2) == 1).collect();
        Tensor::from_bools(shape, &values).unwrap()
    };
    for function in ["And", "Or", "Xor"] {
        let Some(pair) = Pair::load(&model(function, &[BOOL; 2], BOOL, &[]).bytes()) else { return };
        for shape in SHAPES {
            pair.agree(&[truths(&mut random, &shape), truths(&mut random, &shape)], 0.0);
        }
    }
    let Some(pair) = Pair::load(&model("Not", &[BOOL], BOOL, &[]).bytes()) else { return };
    pair.agree(&[truths(&mut random, &[4, 9])], 0.0);
    for datatype in [FP32, INT64] {
        let Some(pair) = Pair::load(&model("Where", &[BOOL, datatype, datatype], datatype, &[]).bytes())
        else {
            return;
        };
        for shape in SHAPES {
            let mut value = || match datatype {
                FP32 => floats(&mut random, &shape),
                _ => of(&mut random, &shape, |bits| bits as i64 * 3 - (1 << 32)),
            };
            let (one, other) = (value(), value());
            pair.agree(&[truths(&mut random, &shape), one, other], 0.0);
        }
    }
}

#[test]
fn casts_from_and_to_all_datatypes() {
    let numbers =
        [0.0, 1.0, -1.0, 2.7, -2.7, 127.0, 200.0, -200.0, 300.0, 40_000.0, 70_000.0, -5e9, 5e9, 1e30];
    let small: Vec<i32> = vec![0, 1, -1, 2, 100, -100, 127];
    let to = [
        BOOL,
        onnx::UINT8,
        onnx::INT8,
        onnx::UINT16,
        onnx::INT16,
        onnx::UINT32,
        INT32,
        onnx::UINT64,
        INT64,
        FP32,
    ];
    for target in to {
        let attributes = [("to", Attribute::Int(target.into()))];
        let Some(pair) = Pair::load(&model("Cast", &[FP32], target, &attributes).bytes()) else { return };
        println!("from floats to {target}");
        // Beyond 64 bits processors differ, and tract goes by 32 on its way to 64.
        let bound = if target == INT64 { 2e9 } else { 1e18 };
        let inside = numbers.iter().copied().filter(|value: &f32| value.abs() < bound);
        let values: Vec<f32> = inside.collect();
        pair.agree(&[Tensor::from_vec([1, values.len()], values).unwrap()], 0.0);
        let pair = Pair::load(&model("Cast", &[INT32], target, &attributes).bytes()).unwrap();
        println!("from integers to {target}");
        pair.agree(&[Tensor::from_vec([1, small.len()], small.clone()).unwrap()], 0.0);
    }
}

#[test]
fn numbers_of_half_precision() {
    let mut random = Random::new(43);
    for function in ["Add", "Mul", "Sub", "Max"] {
        let bytes = model(function, &[FP16; 2], FP16, &[]).bytes();
        let Some(pair) = Pair::load(&bytes) else { return };
        let inputs = [0, 1].map(|_| of(&mut random, &[9, 13], |bits| f16::from_f32(bits as f32 / 1e9 - 1.0)));
        pair.agree(&inputs, 0.0);
    }
}

#[test]
fn tensors_are_repeated_to_fit() {
    let mut random = Random::new(44);
    let shapes: [(&[&str], &[&str]); 5] = [
        (&["n", "m"], &["1", "m"]),
        (&["n", "m"], &["m"]),
        (&["n", "1", "m"], &["1", "k", "1"]),
        (&["n", "m"], &[]),
        (&["1"], &["n", "m"]),
    ];
    for (one, other) in shapes {
        let out = vec!["?"; one.len().max(other.len())];
        let model = Model::new()
            .input("a", FP32, one)
            .input("b", FP32, other)
            .node("Sub", &["a", "b"], &["y"])
            .output("y", FP32, &out);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for sizes in [[3, 4, 5], [1, 1, 1], [2, 70, 6]] {
            let size = |word: &&str| match *word {
                "n" => sizes[0],
                "m" => sizes[1],
                "k" => sizes[2],
                number => number.parse().unwrap(),
            };
            let [one, other] = [one, other].map(|words| words.iter().map(size).collect::<Vec<usize>>());
            pair.agree(&[floats(&mut random, &one), floats(&mut random, &other)], 0.0);
        }
    }
}

#[test]
fn chains_become_one_kernel() {
    let model = Model::new()
        .input("x", FP32, &["n", "m"])
        .floats("half", &[], &[0.5])
        .node("Sigmoid", &["x"], &["s"])
        .node("Mul", &["x", "s"], &["silu"])
        .node("Add", &["silu", "half"], &["a"])
        .node("Exp", &["a"], &["e"])
        .node("Sub", &["e", "x"], &["y"])
        .output("y", FP32, &["n", "m"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(45);
    pair.agree(&[floats(&mut random, &[20, 30])], 1e-5);
}

#[test]
fn what_no_shader_computes_is_refused_by_name() {
    if crate::backends().is_none() {
        return;
    }
    let error = load("wgpu", &model("NonZero", &[FP32], INT64, &[]).bytes());
    let words = error.err().unwrap().to_string();
    assert!(
        words.contains("wgpu does not support it: node `NonZero_0") && words.contains("(operator `"),
        "{words}"
    );
}
