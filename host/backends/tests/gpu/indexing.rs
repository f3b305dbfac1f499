//! Elements that are read from and written to where indices lead.

use samara_nn::{Datatype, ErrorKind, RunContext, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, BOOL, FP32, INT32, INT64, Model};

use crate::{Pair, floats};

const OUTSIDE: &str = "an index is outside of the axis that it counts";

/// Indices into axes of these sizes, one size after the other; those below 0
/// count from the end.
fn indices(random: &mut Random, shape: &[usize], sizes: &[usize], from_end: bool) -> Tensor {
    let count = shape.iter().product();
    let index = |position: usize| {
        let size = sizes[position % sizes.len()] as u64;
        match from_end {
            true => random.below(2 * size) as i64 - size as i64,
            false => random.below(size) as i64,
        }
    };
    Tensor::from_vec(shape, (0..count).map(index).collect::<Vec<i64>>()).unwrap()
}

/// That the run of the model on the GPU ends in an error, and goes on afterwards.
fn assert_fault(pair: &Pair, wrong: &[Tensor], right: &[Tensor]) {
    let mut session = pair.gpu.session().unwrap();
    let error = session.run(wrong, &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains(OUTSIDE), "{error}");
    drop(session);
    pair.agree(right, 0.0);
}

#[test]
fn elements_along_an_axis() {
    let mut random = Random::new(90);
    for axis in [0, 1, 2] {
        let model = Model::new()
            .input("x", FP32, &["a", "b", "c"])
            .input("i", INT64, &["d", "e", "f"])
            .node_with("GatherElements", &["x", "i"], &["g"], &[("axis", Attribute::Int(axis))])
            .node("Neg", &["g"], &["y"])
            .output("y", FP32, &["?", "?", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        let axis = axis as usize;
        for (shape, along) in [([1, 1, 1], 1), ([3, 5, 4], 9), ([3, 5, 4], 0), ([40, 30, 20], 7)] {
            let mut taken = shape;
            taken[axis] = along;
            let at = indices(&mut random, &taken, &[shape[axis]], true);
            pair.agree(&[floats(&mut random, &shape), at.clone()], 0.0);
        }
        // Fewer elements of the other axes too.
        let at = indices(&mut random, &[2, 2, 2], &[3], true);
        let x = floats(&mut random, &[3, 3, 3]);
        pair.agree(&[x.clone(), at.clone()], 0.0);
        for wrong in [3, -4, i64::MAX, i64::MIN] {
            let wrong = Tensor::from_vec([1, 1, 2], vec![0, wrong]).unwrap();
            assert_fault(&pair, &[x.clone(), wrong], &[x.clone(), at.clone()]);
        }
        let mut too_many = [2, 2, 2];
        too_many[(axis + 1) % 3] = 4;
        let too_many = indices(&mut random, &too_many, &[3], true);
        let error = pair.gpu.session().unwrap().run(&[x, too_many], &RunContext::default()).unwrap_err();
        assert!(error.to_string().contains("two tensors do not fit together"), "{error}");
    }
}

#[test]
fn slices_by_several_indices() {
    let mut random = Random::new(91);
    for (batch, counted) in [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)] {
        let width = counted.to_string();
        let tuples: &[&str] = if batch == 0 { &["p", "q", &width] } else { &["a", "q", &width] };
        let model = Model::new()
            .input("x", FP32, &["a", "b", "c"])
            .input("i", INT64, tuples)
            .node_with("GatherND", &["x", "i"], &["y"], &[("batch_dims", Attribute::Int(batch))])
            .output("y", FP32, &["?"; 8][..(5 - counted - batch as usize)]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for [a, b, c, p, q] in [[1, 1, 1, 1, 1], [3, 5, 4, 2, 6], [20, 30, 11, 7, 9], [3, 2, 2, 3, 0]] {
            let first = if batch == 0 { p } else { a };
            let sizes = &[a, b, c][batch as usize..][..counted];
            let at = indices(&mut random, &[first, q, counted], sizes, false);
            pair.agree(&[floats(&mut random, &[a, b, c]), at], 0.0);
        }
        let x = floats(&mut random, &[2, 3, 3]);
        let right = indices(&mut random, &[2, 2, counted], &[2], false);
        let mut wrong = vec![0; 4 * counted];
        wrong[4 * counted - 1] = 3;
        let wrong = Tensor::from_vec([2, 2, counted], wrong).unwrap();
        assert_fault(&pair, &[x.clone(), wrong], &[x, right]);
    }
}

#[test]
fn marks_where_indices_lead() {
    let mut random = Random::new(92);
    for axis in [0, 1, -1] {
        let model = Model::new()
            .input("i", INT64, &["n", "m"])
            .ints("depth", &[], &[6])
            .floats("marks", &[2], &[-1.5, 2.5])
            .node_with("OneHot", &["i", "depth", "marks"], &["h"], &[("axis", Attribute::Int(axis))])
            .node("Abs", &["h"], &["y"])
            .output("h", FP32, &["?", "?", "?"])
            .output("y", FP32, &["?", "?", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for shape in [[1, 1], [3, 4], [0, 2], [70, 50]] {
            pair.agree(&[indices(&mut random, &shape, &[6], true)], 0.0);
        }
        // As ONNX has it, what is outside leads nowhere.
        let outside = Tensor::from_vec([1, 3], vec![6, -7, i64::MAX]).unwrap();
        let found = pair.gpu.session().unwrap().run(&[outside], &RunContext::default()).unwrap();
        assert!(found[0].elements::<f32>().unwrap().iter().all(|&mark| mark == -1.5));
    }
}

#[test]
fn the_largest_of_a_row_is_marked() {
    let mut random = Random::new(93);
    for axis in [0, 1] {
        let model = Model::new()
            .input("x", FP32, &["4", "9"])
            .node_with("Hardmax", &["x"], &["y"], &[("axis", Attribute::Int(axis))])
            .output("y", FP32, &["4", "9"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        pair.agree(&[floats(&mut random, &[4, 9])], 0.0);
        pair.agree(&[Tensor::from_vec([4, 9], vec![0.5f32; 36]).unwrap()], 0.0);
    }
}

#[test]
fn triangles() {
    let mut random = Random::new(94);
    for upper in [0, 1] {
        let model = Model::new()
            .input("x", FP32, &["n", "a", "b"])
            .input("k", INT64, &[])
            .node_with("Trilu", &["x", "k"], &["y"], &[("upper", Attribute::Int(upper))])
            .output("y", FP32, &["n", "a", "b"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for shape in [[1, 1, 1], [2, 5, 3], [1, 3, 8], [0, 3, 3], [3, 40, 50]] {
            for diagonal in [0i64, 1, -2, 7, -60, 1 << 40, -(1 << 40)] {
                let diagonal = Tensor::from_vec([], vec![diagonal]).unwrap();
                pair.agree(&[floats(&mut random, &shape), diagonal], 0.0);
            }
        }
    }
}

#[test]
fn other_datatypes_are_gathered() {
    let mut random = Random::new(95);
    for (name, datatype) in [(BOOL, Datatype::Bool), (INT32, Datatype::Int32), (INT64, Datatype::Int64)] {
        let model = Model::new()
            .input("x", name, &["n", "6"])
            .input("i", INT64, &["n", "4"])
            .ints("k", &[], &[1])
            .node("Identity", &["x"], &["z"])
            .node_with("GatherElements", &["z", "i"], &["y"], &[("axis", Attribute::Int(1))])
            .node("Trilu", &["x", "k"], &["t"])
            .output("y", name, &["n", "4"])
            .output("t", name, &["n", "6"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        let bytes: Vec<u8> = (0..30 * datatype.size().unwrap_or(1)).map(|_| random.below(2) as u8).collect();
        let x = Tensor::new(datatype, vec![5, 6], bytes).unwrap();
        pair.agree(&[x, indices(&mut random, &[5, 4], &[6], true)], 0.0);
    }
}

const REDUCTIONS: [&str; 5] = ["none", "add", "mul", "min", "max"];

#[test]
fn updates_along_an_axis() {
    let mut random = Random::new(96);
    for (reduction, axis) in REDUCTIONS.into_iter().flat_map(|reduction| [(reduction, 0), (reduction, 1)]) {
        let attributes =
            [("axis", Attribute::Int(axis)), ("reduction", Attribute::Text(reduction.to_owned()))];
        let model = Model::new()
            .input("x", FP32, &["a", "b"])
            .input("i", INT64, &["d", "e"])
            .input("u", FP32, &["d", "e"])
            .node_with("ScatterElements", &["x", "i", "u"], &["s"], &attributes)
            .node("Neg", &["s"], &["y"])
            .output("y", FP32, &["a", "b"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        let axis = axis as usize;
        // Many an index comes several times.
        for (shape, taken) in
            [([1, 1], [1, 1]), ([4, 5], [3, 4]), ([4, 5], [0, 4]), ([300, 7], [300, 7]), ([6, 500], [5, 400])]
        {
            let at = indices(&mut random, &taken, &[shape[axis].min(40)], true);
            pair.agree(&[floats(&mut random, &shape), at, floats(&mut random, &taken)], 0.0);
        }
        let [x, u] = [[4, 4], [1, 2]].map(|shape| floats(&mut random, &shape));
        let [right, wrong] = [[3i64, -4], [4, 0]].map(|at| Tensor::from_vec([1, 2], at.to_vec()).unwrap());
        assert_fault(&pair, &[x.clone(), wrong, u.clone()], &[x, right, u]);
    }
}

#[test]
fn long_rows_of_updates_keep_their_order() {
    let mut random = Random::new(97);
    let model = Model::new()
        .input("x", FP32, &["a"])
        .input("i", INT64, &["n"])
        .input("u", FP32, &["n"])
        .node_with(
            "ScatterElements",
            &["x", "i", "u"],
            &["y"],
            &[("reduction", Attribute::Text("add".to_owned()))],
        )
        .output("y", FP32, &["a"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let at = indices(&mut random, &[70_000], &[9], false);
    pair.agree(&[floats(&mut random, &[9]), at, floats(&mut random, &[70_000])], 0.0);
}

#[test]
fn slices_are_updated() {
    let mut random = Random::new(98);
    for (reduction, counted) in REDUCTIONS.into_iter().flat_map(|reduction| [1, 2, 3].map(|n| (reduction, n)))
    {
        let (width, names) = (counted.to_string(), ["a", "b", "c"]);
        let updated: Vec<&str> = ["p", "q"].into_iter().chain(names[counted..].iter().copied()).collect();
        let model = Model::new()
            .input("x", FP32, &names)
            .input("i", INT64, &["p", "q", &width])
            .input("u", FP32, &updated)
            .node_with(
                "ScatterND",
                &["x", "i", "u"],
                &["s"],
                &[("reduction", Attribute::Text(reduction.to_owned()))],
            )
            .node("Abs", &["s"], &["y"])
            .output("y", FP32, &names)
            .output("s", FP32, &names);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for ([a, b, c], [p, q]) in [([1, 1, 1], [1, 1]), ([3, 5, 4], [4, 6]), ([3, 5, 4], [0, 2])] {
            let at = indices(&mut random, &[p, q, counted], &[a, b, c][..counted], false);
            let updated: Vec<usize> =
                [p, q].into_iter().chain([a, b, c][counted..].iter().copied()).collect();
            pair.agree(&[floats(&mut random, &[a, b, c]), at, floats(&mut random, &updated)], 0.0);
        }
    }
}

#[test]
fn integers_are_joined_without_loss() {
    let mut random = Random::new(99);
    for (name, datatype) in [(INT32, Datatype::Int32), (INT64, Datatype::Int64)] {
        for reduction in ["add", "mul", "max"] {
            let model = Model::new()
                .input("x", name, &["5"])
                .input("i", INT64, &["n"])
                .input("u", name, &["n"])
                .node_with(
                    "ScatterElements",
                    &["x", "i", "u"],
                    &["y"],
                    &[("reduction", Attribute::Text(reduction.to_owned()))],
                )
                .output("y", name, &["5"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            let mut numbers = |count: usize| {
                let width = datatype.size().unwrap_or(4);
                // Small ones of either sign, which no sum or product of a few lets overflow.
                let bytes = (0..count).flat_map(|_| {
                    let number = random.below(7) as i64 - 3;
                    number.to_le_bytes()[..width].to_vec()
                });
                Tensor::new(datatype, vec![count], bytes.collect::<Vec<u8>>()).unwrap()
            };
            let (x, u) = (numbers(5), numbers(24));
            let at = indices(&mut random, &[24], &[5], true);
            pair.agree(&[x, at, u], 0.0);
        }
    }
}
