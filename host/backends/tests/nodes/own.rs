//! What the engine inside standalone components answers where ONNX's suite has no case:
//! models with each replacement, and the families of models that people run, against
//! tract; and what is refused.

use samara_backends::{RegistryOptions, registry, standalone_model};
use samara_nn::{Choice, Datatype, Error, Format, LoadOptions, ModelSource, NamedTensor, RunContext, Tensor};
use samara_test::Random;
use samara_test::onnx::families::{self, Kind, Size};
use samara_test::onnx::{Attribute, BOOL, FP16, FP32, FP64, INT32, INT64, Model, UINT8, raw, tensor};

use crate::runner::Runner;

/// A model with what it is fed.
struct Own {
    name: &'static str,
    model: Model,
    inputs: Vec<NamedTensor>,
}

fn source(name: &str, bytes: Vec<u8>) -> ModelSource {
    ModelSource {
        name: name.to_owned(),
        identity: name.to_owned(),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    }
}

fn own(name: &'static str, model: Model, inputs: Vec<(&str, Tensor)>) -> Own {
    Own { name, model, inputs: inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect() }
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_vec(shape.to_vec(), values.to_vec()).unwrap()
}

fn random(shape: &[usize]) -> Tensor {
    floats(shape, &Random::new(7).floats(shape.iter().product()))
}

fn ints(values: &[i64]) -> Tensor {
    Tensor::from_vec([values.len()], values.to_vec()).unwrap()
}

/// A cast, from and to datatypes as ONNX numbers them.
fn cast(name: &'static str, from: i32, to: i32, input: Tensor) -> Own {
    let model = Model::new()
        .input("x", from, &["n"])
        .node_with("Cast", &["x"], &["y"], &[("to", Attribute::Int(i64::from(to)))])
        .output("y", to, &["n"]);
    own(name, model, vec![("x", input)])
}

fn casts() -> Vec<Own> {
    let numbers = || floats(&[8], &[0.0, -0.0, 0.5, -0.5, 2.7, -2.7, 100.0, -100.0]);
    let odd = floats(&[7], &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, 0.0, -0.0, 0.4]);
    let truths = || Tensor::new(Datatype::Bool, [3], vec![0u8, 1, 1]).unwrap();
    let bytes = || Tensor::from_vec([3], vec![0u8, 3, 255]).unwrap();
    let words = || Tensor::from_vec([4], vec![0i32, -1, 7, 300]).unwrap();
    vec![
        cast("float to int32", FP32, INT32, numbers()),
        cast("float to int64", FP32, INT64, numbers()),
        cast("float to bool", FP32, BOOL, numbers()),
        cast("odd float to bool", FP32, BOOL, odd),
        cast("int64 to float", INT64, FP32, ints(&[0, -1, 1 << 30])),
        cast("int64 to bool", INT64, BOOL, ints(&[0, -1, 2])),
        cast("int64 to int32", INT64, INT32, ints(&[0, -1, 2])),
        cast("int32 to int64", INT32, INT64, words()),
        cast("int32 to bool", INT32, BOOL, words()),
        cast("bool to float", BOOL, FP32, truths()),
        cast("bool to int64", BOOL, INT64, truths()),
        cast("uint8 to float", UINT8, FP32, bytes()),
        cast("uint8 to int32", UINT8, INT32, bytes()),
    ]
}

/// Equal largest numbers, in each of the forms of the operator.
fn largest() -> Vec<Own> {
    let values = floats(&[2, 3], &[2.0, 2.0, -1.0, -1.0, 5.0, 5.0]);
    let one = |operator, axis, keeps| {
        let shape: &[&str] = if keeps == 1 { &["?", "?"] } else { &["?"] };
        let attributes = [("axis", Attribute::Int(axis)), ("keepdims", Attribute::Int(keeps))];
        let model = Model::new()
            .input("x", FP32, &["n", "3"])
            .node_with(operator, &["x"], &["y"], &attributes)
            .output("y", INT64, shape);
        own(operator, model, vec![("x", values.clone())])
    };
    ["ArgMax", "ArgMin"]
        .into_iter()
        .flat_map(|operator| [0, 1, -1].map(|axis| [0, 1].map(|keeps| one(operator, axis, keeps))))
        .flatten()
        .collect()
}

fn defaults() -> Vec<Own> {
    let pool = |operator: &'static str| {
        let model = Model::new()
            .input("x", FP32, &["n", "2", "6", "6"])
            .node_with(operator, &["x"], &["y"], &[("kernel_shape", Attribute::Ints(vec![2, 3]))])
            .output("y", FP32, &["n", "2", "5", "4"]);
        own(operator, model, vec![("x", random(&[2, 2, 6, 6]))])
    };
    let convolution = |operator: &'static str, size: &str| {
        let model = Model::new()
            .input("x", FP32, &["n", "2", "6", "6"])
            .floats("w", &[2, 2, 3, 3], &Random::new(5).floats(36))
            .node(operator, &["x", "w"], &["y"])
            .output("y", FP32, &["n", "2", size, size]);
        own(operator, model, vec![("x", random(&[2, 2, 6, 6]))])
    };
    vec![pool("MaxPool"), pool("AveragePool"), convolution("Conv", "4"), convolution("ConvTranspose", "8")]
}

fn others() -> Vec<Own> {
    let softmax = |operator: &'static str, opset, axis: &[(&str, Attribute)]| {
        let model = Model::new()
            .opset(opset)
            .input("x", FP32, &["n", "2", "3"])
            .node_with(operator, &["x"], &["y"], axis)
            .output("y", FP32, &["n", "2", "3"]);
        own(operator, model, vec![("x", random(&[2, 2, 3]))])
    };
    let axis = |axis| [("axis", Attribute::Int(axis))];
    let dropout = Model::new()
        .opset(11)
        .input("x", FP32, &["n"])
        .node_with("Dropout", &["x"], &["y"], &[("ratio", Attribute::Float(0.5))])
        .output("y", FP32, &["n"]);
    let dropout_13 = Model::new()
        .input("x", FP32, &["n"])
        .floats("half", &[], &[0.5])
        .node("Dropout", &["x", "half"], &["y"])
        .output("y", FP32, &["n"]);
    let rest = Model::new()
        .input("x", FP32, &["n", "4"])
        .ints("from", &[1], &[1])
        .ints("end", &[1], &[i64::MAX])
        .ints("axis", &[1], &[1])
        .node("Slice", &["x", "from", "end", "axis"], &["y"])
        .output("y", FP32, &["n", "3"]);
    let moved = Model::new()
        .input("x", FP32, &["n", "4"])
        .ints("from", &[1], &[2])
        .ints("end", &[], &[i64::MAX])
        .ints("zero", &[1], &[0])
        .ints("axis", &[1], &[1])
        .node("Unsqueeze", &["end", "zero"], &["ends"])
        .node("Slice", &["x", "from", "ends", "axis"], &["y"])
        .output("y", FP32, &["n", "2"]);
    let einsum = Model::new()
        .input("x", FP32, &["n", "3"])
        .floats("w", &[3, 4], &Random::new(3).floats(12))
        .node_with("Einsum", &["x", "w"], &["y"], &[("equation", Attribute::Text("bi,ij->jb".to_owned()))])
        .output("y", FP32, &["4", "n"]);
    let hot = Model::new()
        .input("x", INT64, &["n"])
        .ints("depth", &[1], &[4])
        .floats("values", &[2], &[0.0, 1.0])
        .node("OneHot", &["x", "depth", "values"], &["y"])
        .output("y", FP32, &["n", "4"]);
    vec![
        softmax("Softmax", 11, &[]),
        softmax("Softmax", 11, &axis(2)),
        softmax("LogSoftmax", 12, &axis(0)),
        softmax("Softmax", 13, &[]),
        softmax("LogSoftmax", 17, &axis(1)),
        own("Dropout 11", dropout, vec![("x", random(&[5]))]),
        own("Dropout 13", dropout_13, vec![("x", random(&[5]))]),
        own("Slice", rest, vec![("x", random(&[2, 4]))]),
        own("Slice, its end moved", moved, vec![("x", random(&[2, 4]))]),
        own("Einsum", einsum, vec![("x", random(&[2, 3]))]),
        own("OneHot", hot, vec![("x", ints(&[0, 3, 1]))]),
    ]
}

/// The inputs of a family for so many rows.
fn fed(family: &families::Family, names: &[String], rows: usize) -> Vec<NamedTensor> {
    let mut random = Random::new(11);
    let one = |(input, name): (&families::Input, &String)| {
        let shape: Vec<usize> = [rows].into_iter().chain(input.shape.iter().copied()).collect();
        let count = shape.iter().product();
        let mut words = |below| (0..count).map(|_| random.below(below) as i64).collect::<Vec<_>>();
        let tensor = match input.kind {
            Kind::Words => Tensor::from_vec(shape, words(50)),
            Kind::Parts => Tensor::from_vec(shape, words(2)),
            Kind::Mask => Tensor::from_vec(shape, vec![1i64; count]),
            Kind::Floats => Tensor::from_vec(shape, random.floats(count)),
        };
        (name.clone(), tensor.unwrap())
    };
    family.inputs.iter().zip(names).map(one).collect()
}

/// Loads a model by tract, and what that answers.
fn expected(source: &ModelSource, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, Error> {
    let backends = registry(&RegistryOptions::default());
    let (_, model) = backends.load(source, &Choice::from("tract"), &LoadOptions::default())?;
    let inputs = model.signature().conform_inputs(inputs)?;
    let outputs = model.session()?.run(&inputs, &RunContext::default())?;
    Ok(model.signature().name_outputs(outputs))
}

fn assert_close(name: &str, found: &[NamedTensor], expected: &[NamedTensor]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for ((output, found), (_, expected)) in found.iter().zip(expected) {
        assert_eq!(
            (found.datatype(), found.shape()),
            (expected.datatype(), expected.shape()),
            "{name} {output}"
        );
        if expected.datatype() != Datatype::Fp32 {
            assert_eq!(found.data(), expected.data(), "{name} {output}");
            continue;
        }
        let (found, expected) = (found.elements::<f32>().unwrap(), expected.elements::<f32>().unwrap());
        let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let worst = found.iter().zip(expected.iter()).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst <= 1e-5 * largest, "{name} {output}: {worst} off, of {largest}");
    }
}

#[test]
fn what_the_suite_has_no_case_of_is_as_tract_says() {
    let runner = Runner::new();
    let all = [casts(), largest(), defaults(), others()];
    for own in all.into_iter().flatten() {
        let source = source(own.name, own.model.bytes());
        let expected =
            expected(&source, own.inputs.clone()).unwrap_or_else(|error| panic!("{}: {error}", own.name));
        let model = standalone_model(&source).unwrap_or_else(|error| panic!("{}: {error}", own.name));
        let found = runner.answer(own.name, &model, own.inputs, &expected);
        assert_close(own.name, &found.unwrap_or_else(|error| panic!("{}: {error}", own.name)), &expected);
    }
}

#[test]
fn families_of_models_run_as_in_tract() {
    let runner = Runner::new();
    let mut refused = Vec::new();
    for name in families::NAMES {
        let family = families::family(name, Size::Small, false);
        let source = source(name, family.bytes.clone());
        let backends = registry(&RegistryOptions::default());
        let (_, loaded) = backends.load(&source, &Choice::from("tract"), &LoadOptions::default()).unwrap();
        let names: Vec<String> = loaded.signature().inputs.iter().map(|input| input.name.clone()).collect();
        let model = match standalone_model(&source) {
            Ok(model) => model,
            Err(error) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        for rows in [1, 3] {
            let inputs = fed(&family, &names, rows);
            let expected = expected(&source, inputs.clone()).unwrap();
            let found = runner.answer(name, &model, inputs, &expected);
            assert_close(name, &found.unwrap_or_else(|error| panic!("{name}: {error}")), &expected);
        }
    }
    assert_eq!(refused, [""; 0]);
}

#[test]
fn what_may_be_wrong_is_refused_with_its_place() {
    let unary = |operator: &str, datatype| {
        Model::new().input("x", datatype, &["n"]).node(operator, &["x"], &["y"]).output("y", datatype, &["n"])
    };
    let resize = |name, value: &str| {
        Model::new()
            .input("x", FP32, &["1", "1", "4", "4"])
            .floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0])
            .node_with("Resize", &["x", "", "scales"], &["y"], &[(name, Attribute::Text(value.to_owned()))])
            .output("y", FP32, &["1", "1", "8", "8"])
    };
    let wide = Model::new()
        .input("x", INT64, &["n"])
        .ints("w", &[1], &[1 << 40])
        .node("Max", &["x", "w"], &["y"])
        .output("y", INT64, &["n"]);
    let doubles = Model::new()
        .input("x", FP32, &["n"])
        .initializer(raw("w", FP64, &[1], vec![0; 8]))
        .node("Identity", &["x"], &["y"])
        .output("y", FP32, &["n"]);
    let sum = Model::new()
        .input("x", INT64, &["n"])
        .node("Identity", &["x"], &["z"])
        .node("Add", &["z", "z"], &["y"])
        .output("y", INT64, &["n"]);
    let chosen = |datatype| Model::new().node("Identity", &["x"], &["z"]).output("z", datatype, &["n"]);
    let branch = || Attribute::Graph(chosen(INT64).into_graph());
    let hidden = Model::new()
        .input("x", INT64, &["n"])
        .input("c", BOOL, &[])
        .node_with("If", &["c"], &["w"], &[("then_branch", branch()), ("else_branch", branch())])
        .node("Mul", &["w", "w"], &["y"])
        .output("y", INT64, &["n"]);
    let kept = Model::new()
        .input("x", FP32, &["n"])
        .ints("end", &[1], &[i64::MAX])
        .ints("from", &[1], &[0])
        .node("Slice", &["x", "from", "end"], &["y"])
        .output("y", FP32, &["n"])
        .output("end", INT64, &["1"]);
    let half = Model::new()
        .input("x", FP32, &["n"])
        .node_with("Cast", &["x"], &["z"], &[("to", Attribute::Int(i64::from(FP16)))])
        .node_with("Cast", &["z"], &["y"], &[("to", Attribute::Int(i64::from(FP32)))])
        .output("y", FP32, &["n"]);
    let body = Model::new().node("Relu", &["x"], &["y"]);
    let function = unary("Mine", FP32).in_domain("mine").domain("mine", 1).function("mine", "Mine", body);
    let vector = Model::new()
        .input("x", FP32, &["n", "2"])
        .initializer(tensor("w", &[2], &[1.0, 2.0]))
        .node("MatMul", &["x", "w"], &["y"])
        .output("y", FP32, &["n"]);
    let same = Model::new()
        .input("x", FP32, &["1", "1", "4", "4"])
        .initializer(tensor("w", &[1, 1, 2, 2], &[1.0; 4]))
        .node_with("Conv", &["x", "w"], &["y"], &[("auto_pad", Attribute::Text("SAME_LOWER".to_owned()))])
        .output("y", FP32, &["1", "1", "4", "4"]);
    let nested = Model::new().node("Sign", &["x"], &["z"]).output("z", FP32, &["n"]).into_graph();
    let branches =
        [("then_branch", Attribute::Graph(nested.clone())), ("else_branch", Attribute::Graph(nested))];
    let within = Model::new()
        .input("x", FP32, &["n"])
        .input("c", BOOL, &[])
        .node_with("If", &["c"], &["y"], &branches)
        .output("y", FP32, &["n"]);
    for (model, complaint) in [
        (unary("Sign", FP32), "node `Sign_0` (operator `Sign`): rten gives 0 a sign"),
        (within, "node `Sign_0` (operator `Sign`): rten gives 0 a sign"),
        (unary("Hardmax", FP32), "node `Hardmax_0` (operator `Hardmax`): rten has it not, or"),
        (unary("Relu", FP64), "input `x` is FP64, and a standalone model computes with FP32"),
        (unary("Relu", FP32).opset(6), "it is written in version 6 of ONNX's operators, and 7 to 27"),
        (
            unary("Gelu", FP32).in_domain("com.microsoft").domain("com.microsoft", 1),
            "it is one of `com.microsoft`",
        ),
        (function, "it has functions of its own, as `Mine`"),
        (doubles, "the constant `w` is FP64"),
        (wide, "the constant `w` holds 1099511627776, and integers have 32 bits there"),
        (sum, "node `Add_1` (operator `Add`) computes with the 64-bit integers `z`"),
        (hidden, "node `Mul_1` (operator `Mul`) computes with the 64-bit integers `w`"),
        (kept, "the constant `end` holds 9223372036854775807"),
        (half, "node `Cast_0` (operator `Cast`): its result is FP16"),
        (vector, "node `MatMul_0` (operator `MatMul`): rten makes a matrix of its second input"),
        (same, "node `Conv_0` (operator `Conv`): `auto_pad` is `SAME_LOWER`"),
        (resize("mode", "cubic"), "rten computes the mode `cubic` as `linear`"),
        (resize("coordinate_transformation_mode", "align_corners"), "`align_corners` is asked for"),
    ] {
        let error = standalone_model(&source("refused", model.bytes())).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(complaint), "{complaint}: {error}");
    }
    let sound = cast("sound", FP32, BOOL, random(&[1])).model.bytes();
    let large = families::family("bert", Size::Small, false).bytes;
    samara_test::whatever_comes(400, &[&sound, &large], |bytes| {
        // Refused or not: that it returns is what counts.
        let _ = standalone_model(&source("whatever", bytes.to_vec()));
    });
    let damaged = standalone_model(&source("damaged", vec![7; 100])).unwrap_err();
    assert!(matches!(damaged, Error::InvalidModel { .. }), "{damaged:?}");
}
