//! Elements put in order, added up one after the other, and repeated.

use samara_nn::{Element, RunContext, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, FP16, FP32, INT32, INT64, Model, UINT8};

use crate::{Pair, floats, run};

fn top(datatype: i32, axis: i64, kept: i64, largest: i64) -> Vec<u8> {
    let attributes = [("axis", Attribute::Int(axis)), ("largest", Attribute::Int(largest))];
    Model::new()
        .input("x", datatype, &["a", "b"])
        .ints("k", &[1], &[kept])
        .node_with("TopK", &["x", "k"], &["values", "places"], &attributes)
        .output("values", datatype, &["?", "?"])
        .output("places", INT64, &["?", "?"])
        .bytes()
}

/// Numbers of which many are equal.
fn coarse<T: Element>(random: &mut Random, shape: [usize; 2], number: impl Fn(i64) -> T) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_vec(shape, (0..count).map(|_| number(random.below(100) as i64 - 50)).collect()).unwrap()
}

#[test]
fn the_best_of_rows() {
    let mut random = Random::new(100);
    for (axis, kept, largest) in [(0, 1, 1), (0, 3, 0), (1, 4, 1), (1, 4, 0), (-1, 5, 1)] {
        let Some(pair) = Pair::load(&top(FP32, axis, kept, largest)) else { return };
        for shape in [[5, 5], [6, 300], [7, 33]] {
            pair.agree(&[floats(&mut random, &shape)], 0.0);
            pair.agree(&[coarse(&mut random, shape, |number| number as f32 * 0.5)], 0.0);
        }
        let empty = if axis == 0 { [5, 0] } else { [0, 5] };
        pair.agree(&[floats(&mut random, &empty)], 0.0);
        let short = if axis == 0 { [kept as usize - 1, 2] } else { [2, kept as usize - 1] };
        let error = pair.gpu.session().unwrap().run(&[floats(&mut random, &short)], &RunContext::default());
        assert!(error.unwrap_err().to_string().contains("do not fit together"));
    }
}

#[test]
fn the_best_of_long_rows() {
    let mut random = Random::new(101);
    for (kept, length) in [(1, 2049), (50, 20_000), (100, 4099), (1500, 7000), (3000, 3000)] {
        let Some(pair) = Pair::load(&top(FP32, 1, kept, 1)) else { return };
        pair.agree(&[floats(&mut random, &[2, length])], 0.0);
        pair.agree(&[coarse(&mut random, [1, length], |number| number as f32)], 0.0);
    }
}

#[test]
fn the_best_of_other_datatypes() {
    let mut random = Random::new(102);
    for largest in [0, 1] {
        for datatype in [INT32, INT64, UINT8, FP16] {
            let Some(pair) = Pair::load(&top(datatype, 1, 7, largest)) else { return };
            let x = match datatype {
                INT32 => coarse(&mut random, [3, 90], |number| number as i32 * (1 << 25)),
                INT64 => coarse(&mut random, [3, 90], |number| number * (1 << 57)),
                UINT8 => coarse(&mut random, [3, 90], |number| (number + 50) as u8 * 2),
                _ => coarse(&mut random, [3, 90], |number| half::f16::from_f32(number as f32)),
            };
            pair.agree(&[x], 0.0);
        }
    }
}

#[test]
fn signs_of_zero_tie_and_what_is_no_number_comes_last() {
    for largest in [0, 1] {
        let Some(pair) = Pair::load(&top(FP32, 1, 4, largest)) else { return };
        let zeros = Tensor::from_vec([1, 5], vec![-0.0f32, 0.0, -0.0, 0.0, 0.0]).unwrap();
        pair.agree(&[zeros], 0.0);
        let infinite = Tensor::from_vec([1, 4], vec![0.0, f32::INFINITY, f32::NEG_INFINITY, 1.0]).unwrap();
        pair.agree(&[infinite], 0.0);
        let mixed = Tensor::from_vec([1, 4], vec![f32::NAN, -f32::NAN, f32::NEG_INFINITY, 1.0]).unwrap();
        let found = run(&*pair.gpu, &[mixed]);
        let best: &[i64] = if largest == 1 { &[3, 2, 0, 1] } else { &[2, 3, 0, 1] };
        assert_eq!(&*found[1].elements::<i64>().unwrap(), best);
    }
}

#[test]
fn running_sums() {
    let mut random = Random::new(103);
    for (axis, exclusive, reverse) in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1), (2, 1, 1), (-1, 0, 0)] {
        let attributes = [("exclusive", Attribute::Int(exclusive)), ("reverse", Attribute::Int(reverse))];
        for datatype in [FP32, INT32, FP16] {
            let model = Model::new()
                .input("x", datatype, &["a", "b", "c"])
                .ints("axis", &[], &[axis])
                .node_with("CumSum", &["x", "axis"], &["s"], &attributes)
                .node("Neg", &["s"], &["y"])
                .output("y", datatype, &["a", "b", "c"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            for shape in [[1, 1, 1], [3, 5, 4], [2, 0, 3], [30, 20, 40]] {
                let count = shape.iter().product();
                let x = match datatype {
                    FP32 => floats(&mut random, &shape),
                    INT32 => {
                        let numbers = (0..count).map(|_| random.below(1 << 20) as i32 - (1 << 19));
                        Tensor::from_vec(shape, numbers.collect()).unwrap()
                    }
                    _ => {
                        let numbers = (0..count).map(|_| half::f16::from_f32(random.float()));
                        Tensor::from_vec(shape, numbers.collect()).unwrap()
                    }
                };
                pair.agree(&[x], 0.0);
            }
        }
    }
}

#[test]
fn long_running_sums() {
    let model = Model::new()
        .input("x", FP32, &["n"])
        .ints("axis", &[], &[0])
        .node("CumSum", &["x", "axis"], &["y"])
        .output("y", FP32, &["n"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    pair.agree(&[floats(&mut Random::new(104), &[70_001])], 0.0);
}

#[test]
fn tensors_again_and_again() {
    let mut random = Random::new(105);
    for times in [[2, 1, 3], [1, 2, 2], [1, 1, 1], [0, 2, 1]] {
        let model = Model::new()
            .input("x", FP32, &["n", "3", "c"])
            .ints("times", &[3], &times)
            .node("Tile", &["x", "times"], &["t"])
            .node("Neg", &["t"], &["y"])
            .output("t", FP32, &["?", "?", "?"])
            .output("y", FP32, &["?", "?", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for shape in [[1, 3, 1], [4, 3, 5], [0, 3, 2]] {
            pair.agree(&[floats(&mut random, &shape)], 0.0);
        }
    }
}

#[test]
fn axes_backwards() {
    let mut random = Random::new(106);
    for (start, end, step) in [(1000, -1000, -1), (1000, -1000, -2), (-2, -1000, -3), (6, 2, -1)] {
        let model = Model::new()
            .input("x", FP32, &["n", "9"])
            .ints("start", &[1], &[start])
            .ints("end", &[1], &[end])
            .ints("axis", &[1], &[1])
            .ints("step", &[1], &[step])
            .node("Slice", &["x", "start", "end", "axis", "step"], &["s"])
            .node("Neg", &["s"], &["y"])
            .output("s", FP32, &["n", "?"])
            .output("y", FP32, &["n", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        pair.agree(&[floats(&mut random, &[3, 9])], 0.0);
    }
}
