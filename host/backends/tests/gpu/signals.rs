//! Pictures sampled between their elements, and Fourier transforms.

use samara_nn::{RunContext, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model};

use crate::{Pair, floats};

/// Places from a little outside of the picture on one side to the other.
fn places(random: &mut Random, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_vec(shape, random.floats(count).iter().map(|place| place * 1.6).collect()).unwrap()
}

fn grid_sample(names: [&[&str]; 3], mode: &str, padding: &str, align: i64) -> Vec<u8> {
    let attributes = [
        ("mode", Attribute::Text(mode.to_owned())),
        ("padding_mode", Attribute::Text(padding.to_owned())),
        ("align_corners", Attribute::Int(align)),
    ];
    Model::new()
        .opset(20)
        .input("x", FP32, names[0])
        .input("g", FP32, names[1])
        .node_with("GridSample", &["x", "g"], &["s"], &attributes)
        .node("Neg", &["s"], &["y"])
        .output("y", FP32, names[2])
        .bytes()
}

#[test]
fn pictures_between_their_elements() {
    let mut random = Random::new(120);
    let names: [&[&str]; 3] = [&["n", "c", "h", "w"], &["n", "p", "q", "2"], &["n", "c", "p", "q"]];
    for mode in ["nearest", "linear", "cubic"] {
        for padding in ["zeros", "border", "reflection"] {
            for align in [0, 1] {
                let model = grid_sample(names, mode, padding, align);
                let Some(pair) = Pair::load(&model) else { return };
                for ([n, c, h, w], [p, q]) in
                    [([1, 1, 1, 1], [1, 1]), ([2, 3, 5, 4], [3, 6]), ([3, 2, 17, 9], [20, 11])]
                {
                    println!("{mode} {padding} {align} {h} {w}");
                    let x = floats(&mut random, &[n, c, h, w]);
                    pair.agree(&[x, places(&mut random, &[n, p, q, 2])], 1e-4);
                }
                let nothing = [floats(&mut random, &[1, 1, 0, 4]), places(&mut random, &[1, 2, 2, 2])];
                let error = pair.gpu.session().unwrap().run(&nothing, &RunContext::default()).unwrap_err();
                assert!(error.to_string().contains("do not fit together"), "{error}");
            }
        }
    }
}

#[test]
fn volumes_between_their_elements() {
    let mut random = Random::new(121);
    let names: [&[&str]; 3] =
        [&["n", "c", "d", "h", "w"], &["n", "o", "p", "q", "3"], &["n", "c", "o", "p", "q"]];
    for mode in ["nearest", "linear"] {
        for padding in ["zeros", "border", "reflection"] {
            let Some(pair) = Pair::load(&grid_sample(names, mode, padding, 1)) else { return };
            let x = floats(&mut random, &[2, 3, 4, 5, 6]);
            pair.agree(&[x, places(&mut random, &[2, 3, 2, 4, 3])], 1e-4);
        }
    }
}

#[test]
fn places_that_are_no_numbers_read_nothing_outside() {
    let names: [&[&str]; 3] = [&["n", "c", "h", "w"], &["n", "p", "q", "2"], &["n", "c", "p", "q"]];
    for mode in ["nearest", "linear", "cubic"] {
        for padding in ["zeros", "border", "reflection"] {
            let Some(pair) = Pair::load(&grid_sample(names, mode, padding, 0)) else { return };
            let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, f32::MAX, 0.0, -f32::NAN];
            let grid = Tensor::from_vec([1, 2, 2, 2], wild.to_vec()).unwrap();
            let x = floats(&mut Random::new(122), &[1, 1, 3, 3]);
            assert_eq!(crate::run(&*pair.gpu, &[x, grid])[0].shape(), [1, 1, 2, 2]);
        }
    }
}

#[test]
fn transforms_of_rows() {
    let mut random = Random::new(123);
    for (length, parts) in [("1", "2"), ("8", "1"), ("8", "2"), ("15", "2"), ("300", "1"), ("1024", "2")] {
        for (inverse, one_sided) in [(0, 0), (1, 0), (0, 1)] {
            if one_sided == 1 && parts == "2" {
                continue;
            }
            let attributes = [
                ("axis", Attribute::Int(1)),
                ("inverse", Attribute::Int(inverse)),
                ("onesided", Attribute::Int(one_sided)),
            ];
            let model = Model::new()
                .opset(17)
                .input("x", FP32, &["n", length, parts])
                .node_with("DFT", &["x"], &["f"], &attributes)
                .node("Neg", &["f"], &["y"])
                .output("y", FP32, &["n", "?", "2"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            let shape = [3, length.parse().unwrap(), parts.parse().unwrap()];
            pair.agree(&[floats(&mut random, &shape)], 1e-4);
        }
    }
}

#[test]
fn transforms_of_frames() {
    let mut random = Random::new(124);
    for (frame, step, window) in [(16, 4, None), (16, 7, Some(16)), (20, 3, Some(20))] {
        let mut model = Model::new()
            .opset(17)
            .input("x", FP32, &["n", "100", "1"])
            .ints("step", &[], &[step])
            .ints("length", &[], &[frame]);
        if let Some(window) = window {
            model = model.floats("window", &[window], &random.floats(window as usize));
        }
        let window = if window.is_some() { "window" } else { "" };
        let model = model.node("STFT", &["x", "step", window, "length"], &["y"]).output(
            "y",
            FP32,
            &["n", "?", "?", "2"],
        );
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for batch in [1, 3, 0] {
            pair.agree(&[floats(&mut random, &[batch, 100, 1])], 1e-5);
        }
    }
}
