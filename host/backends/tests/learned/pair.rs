//! Two backends that have to agree on one operator.

use samara_nn::{BackendRegistry, Datatype, RunContext, Tensor};
use samara_test::onnx::{Attribute, FP32, FP64, INT64, Model, STRING};

use crate::{backends, load};

pub(crate) type Attributes = Vec<(&'static str, Attribute)>;

/// Two backends that have to agree.
pub(crate) struct Pair {
    tract: BackendRegistry,
    onnxruntime: BackendRegistry,
    pub(crate) compared: usize,
}

impl Pair {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { tract: backends("tract")?, onnxruntime: backends("onnxruntime")?, compared: 0 })
    }

    /// Labels and scores for rows of two features, some of them missing.
    pub(crate) fn classify(&mut self, name: &str, operator: &str, attributes: &Attributes, text: bool) {
        let kinds = [if text { STRING } else { INT64 }, FP32];
        let input = if operator.starts_with("Tree") { rows(FP32) } else { whole_rows() };
        self.compare(name, operator, attributes, &[input], &kinds);
    }

    pub(crate) fn compare(
        &mut self,
        name: &str,
        operator: &str,
        attributes: &Attributes,
        inputs: &[Tensor],
        kinds: &[i32],
    ) {
        let version = match (operator, name) {
            ("TreeEnsemble", _) => 5,
            ("LabelEncoder", "labels") => 2,
            ("LabelEncoder", _) => 4,
            _ => 1,
        };
        let names: Vec<String> = (0..inputs.len()).map(|index| format!("x{index}")).collect();
        let outputs: Vec<String> = (0..kinds.len()).map(|index| format!("y{index}")).collect();
        let mut model = Model::new().domain("ai.onnx.ml", version);
        for (name, input) in names.iter().zip(inputs) {
            let kind = match input.datatype() {
                Datatype::Fp32 => FP32,
                Datatype::Fp64 => FP64,
                Datatype::Int64 => INT64,
                _ => STRING,
            };
            model = model.input(name, kind, &["n", "2"]);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let output_names: Vec<&str> = outputs.iter().map(String::as_str).collect();
        model = model.node_with(operator, &names, &output_names, attributes).in_domain("ai.onnx.ml");
        for (output, kind) in outputs.iter().zip(kinds) {
            let shape: &[&str] = match operator {
                "OneHotEncoder" => &["n", "m", "k"],
                _ if kinds.len() == 2 && output == "y0" => &["n"],
                _ => &["n", "m"],
            };
            model = model.output(output, *kind, shape);
        }
        let bytes = model.bytes();
        let answer = |backends: &BackendRegistry, backend: &str| {
            let model =
                load(backends, backend, operator, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            model
                .session()
                .unwrap()
                .run(inputs, &RunContext::default())
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let (ours, theirs) = (answer(&self.tract, "tract"), answer(&self.onnxruntime, "onnxruntime"));
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            // Near its zero, PROBIT tells digits that a float does not have.
            let tolerance = if name.contains("PROBIT") { 3e-4 } else { 1e-5 };
            assert_same(&format!("{operator} {name}"), ours, theirs, tolerance);
        }
        self.compared += 1;
    }
}

fn assert_same(name: &str, ours: &Tensor, theirs: &Tensor, tolerance: f64) {
    assert_eq!((ours.datatype(), ours.shape()), (theirs.datatype(), theirs.shape()), "{name}");
    let floats = |tensor: &Tensor| -> Option<Vec<f64>> {
        let singles =
            tensor.elements::<f32>().ok().map(|values| values.iter().copied().map(f64::from).collect());
        singles.or_else(|| Some(tensor.elements::<f64>().ok()?.to_vec()))
    };
    let (Some(found), Some(expected)) = (floats(ours), floats(theirs)) else {
        assert_eq!(ours.data(), theirs.data(), "{name}");
        return;
    };
    for (place, (a, b)) in found.iter().zip(&expected).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(0.1);
        assert!(same, "{name}: element {place} is {a}, not {b}; {found:?} for {expected:?}");
    }
}

/// Rows on both sides of every split, on the splits, and with what is missing.
pub(crate) fn rows(kind: i32) -> Tensor {
    let nan = f64::NAN;
    let values = [
        0.5, 0.25, 0.25, 0.5, 0.75, 0.0, 0.5, 2.0, 3.0, 3.0, nan, 1.0, 0.0, nan, nan, nan, 0.0, 40.0, 0.0,
        2.0, 1.0, 1.0, 0.0, 3.0,
    ];
    let shape = [values.len() / 2, 2];
    match kind {
        FP64 => Tensor::from_vec(shape, values.to_vec()).unwrap(),
        _ => Tensor::from_vec(shape, values.iter().map(|&value| value as f32).collect()).unwrap(),
    }
}

/// Rows of which nothing is missing.
pub(crate) fn whole_rows() -> Tensor {
    let values = vec![0.5f32, 0.25, -0.25, 0.5, 0.0, 0.0, 1.5, -2.0, 3.0, 3.0, -1.0, -1.0];
    Tensor::from_vec([6, 2], values).unwrap()
}
