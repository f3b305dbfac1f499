//! Operators whose attributes are unsound: refused when they are loaded, by every
//! backend in the same words, whatever the engine would do with them.

use samara_nn::ErrorKind;
use samara_test::onnx::{Attribute, FP32, INT64, Model};

use crate::{backends, load};

type Attributes = Vec<(&'static str, Attribute)>;

#[test]
fn unsound_trees_are_refused_and_named() {
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    let floats = |values: &[f32]| Attribute::Floats(values.to_vec());
    let texts = |values: &[&str]| Attribute::Texts(values.iter().map(|&value| value.to_owned()).collect());
    let nan = f32::NAN;
    refused(&[
        (
            "nan_split",
            trees("nodes_values", floats(&[nan, 0.0, 0.0, 0.0, 0.0])),
            "`nodes_values` is not a number",
        ),
        (
            "nan_weight",
            trees("class_weights", floats(&[nan, 1.0, 1.0])),
            "`class_weights` is not a number at index 0",
        ),
        ("nan_base", trees("base_values", floats(&[nan])), "`base_values` is not a number"),
        (
            "short_modes",
            trees("nodes_modes", texts(&["LEAF"])),
            "`nodes_modes` has 1 elements where 5 are expected",
        ),
        (
            "unknown_mode",
            trees("nodes_modes", texts(&["BRANCH_LEQ", "?", "LEAF", "LEAF", "LEAF"])),
            "holds `?`",
        ),
        ("short_weights", trees("class_weights", floats(&[1.0])), "`class_weights` has 1 elements where 3"),
        ("circle", trees("nodes_truenodeids", ints(&[1, 0, 0, 0, 0])), "run in a circle"),
        ("itself", trees("nodes_falsenodeids", ints(&[0, 4, 0, 0, 0])), "run in a circle"),
        ("no_child", trees("nodes_truenodeids", ints(&[9, 3, 0, 0, 0])), "from node 0 of tree 0 to 9"),
        ("negative_child", trees("nodes_truenodeids", ints(&[-1, 3, 0, 0, 0])), "to -1, which is not there"),
        ("far_child", trees("nodes_truenodeids", ints(&[i64::MAX, 3, 0, 0, 0])), "which is not there"),
        ("twice", trees("nodes_nodeids", ints(&[0, 0, 2, 3, 4])), "node 0 of tree 0 twice"),
        ("torn_tree", trees("nodes_treeids", ints(&[0, 1, 0, 0, 0])), "which is not there"),
        ("far_feature", trees("nodes_featureids", ints(&[2, 0, 0, 0, 0])), "compares feature 2"),
        ("absurd_feature", trees("nodes_featureids", ints(&[1 << 40, 0, 0, 0, 0])), "which is no feature"),
        ("negative_feature", trees("nodes_featureids", ints(&[-2, 0, 0, 0, 0])), "which is no feature"),
        ("far_class", trees("class_ids", ints(&[0, 1, 7])), "`class_ids` holds 7"),
        ("negative_class", trees("class_ids", ints(&[0, 1, -7])), "`class_ids` holds -7"),
        ("silent_leaf", trees("class_nodeids", ints(&[2, 3, 3])), "lacks leaf 4 of tree 0"),
        ("weight_of_nothing", trees("class_nodeids", ints(&[2, 3, 40])), "names node 40 of tree 0"),
        ("transform", trees("post_transform", Attribute::Text("SQUARE".to_owned())), "is `SQUARE`"),
        ("no_classes", trees("classlabels_int64s", ints(&[])), "neither `classlabels_int64s`"),
        ("bases", trees("base_values", floats(&[1.0; 3])), "`base_values` has 3 elements"),
    ]);
}

#[test]
fn unsound_numbers_are_refused_and_named() {
    let floats = |values: &[f32]| Attribute::Floats(values.to_vec());
    let scaler = |offset: &[f32], scale: &[f32]| {
        one("Scaler", FP32, vec![("offset", floats(offset)), ("scale", floats(scale))])
    };
    let regressor = |coefficients: &[f32], targets| {
        let attributes = vec![("coefficients", floats(coefficients)), ("targets", Attribute::Int(targets))];
        one("LinearRegressor", FP32, attributes)
    };
    let machine = |vectors: &[f32], supports, parameters: &[f32]| {
        let attributes = vec![
            ("coefficients", floats(&[1.0, -1.0])),
            ("rho", floats(&[0.5])),
            ("support_vectors", floats(vectors)),
            ("n_supports", Attribute::Int(supports)),
            ("kernel_params", floats(parameters)),
        ];
        one("SVMRegressor", FP32, attributes)
    };
    let imputer = one("Imputer", FP32, vec![("imputed_value_floats", floats(&[1.0, f32::NAN]))]);
    refused(&[
        ("nan_scale", scaler(&[0.0], &[f32::NAN]), "`scale` is not a number at index 0"),
        ("uneven_scale", scaler(&[0.0], &[1.0, 2.0]), "`offset` has 1 elements where 2 are expected"),
        ("wide_scale", scaler(&[0.0; 3], &[1.0; 3]), "has learned from 3 features, and its input has 2"),
        ("no_scale", scaler(&[], &[]), "`scale` is missing"),
        ("nan_weights", regressor(&[1.0, f32::NAN], 1), "`coefficients` is not a number at index 1"),
        ("odd_weights", regressor(&[1.0; 3], 2), "has 3 elements, which 2 sums cannot share"),
        ("many_targets", regressor(&[1.0; 2], 1 << 60), "`targets` does not fit"),
        ("no_targets", regressor(&[1.0; 2], 0), "`targets` does not fit"),
        ("odd_vectors", machine(&[1.0; 3], 2, &[]), "`support_vectors` has 3 elements where 2 are expected"),
        ("many_vectors", machine(&[1.0; 4], i64::MAX, &[]), "`support_vectors` has 4 elements"),
        ("parameters", machine(&[1.0; 4], 2, &[1.0]), "`kernel_params` has 1 elements where 3 are expected"),
        ("nan_imputed", imputer, "`imputed_value_floats` is not a number at index 1"),
    ]);
}

#[test]
fn unsound_ensembles_and_lists_are_refused_and_named() {
    let texts = |values: &[&str]| Attribute::Texts(values.iter().map(|&value| value.to_owned()).collect());
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    let uneven = vec![("keys_strings", texts(&["a", "b"])), ("values_int64s", ints(&[1]))];
    let newer = of_version(6);
    refused(&[
        ("uneven_labels", one("LabelEncoder", FP32, uneven), "`values` has 1 elements where 2 are expected"),
        ("no_categories", one("OneHotEncoder", FP32, vec![]), "neither `cats_int64s` nor `cats_strings`"),
        (
            "absurd_targets",
            one("TreeEnsemble", FP32, vec![("n_targets", Attribute::Int(1 << 50))]),
            "`n_targets`",
        ),
        (
            "no_splits",
            one("TreeEnsemble", FP32, vec![("n_targets", Attribute::Int(1))]),
            "`nodes_splits` is no tensor",
        ),
    ]);
    for backend in ["tract", "onnxruntime"] {
        let Some(backends) = backends(backend) else { continue };
        let error = load(&backends, backend, "new", &newer).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("version 6 of `ai.onnx.ml`"), "{error}");
        let stray = Model::new()
            .input("x", FP32, &["n", "2"])
            .node_with("Scaler", &["x"], &["y"], &[("scale", Attribute::Floats(vec![1.0]))])
            .output("y", FP32, &["n", "2"])
            .bytes();
        let error = load(&backends, backend, "stray", &stray).err().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidModel), "{error}");
        assert!(error.to_string().contains("Scaler"), "{error}");
    }
}

/// A byte changed anywhere: refused, or another model, and never a way without end.
#[test]
fn every_flipped_byte_of_trees_is_survived() {
    let Some(backends) = backends("tract") else { return };
    let whole = trees("post_transform", Attribute::Text("NONE".to_owned()));
    for index in 0..whole.len() {
        for flip in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[index] ^= flip;
            let Ok(model) = load(&backends, "tract", "flipped", &bytes) else { continue };
            let is_same = model
                .signature()
                .inputs
                .iter()
                .all(|input| input.datatype == samara_nn::Datatype::Fp32 && input.accepts_shape(&[2, 2]));
            if is_same && model.signature().inputs.len() == 1 {
                let input = samara_nn::Tensor::from_vec([2, 2], vec![0.25f32, 0.75, f32::NAN, 0.0]).unwrap();
                let _ = model.session().unwrap().run(&[input], &samara_nn::RunContext::default());
            }
        }
    }
}

fn refused(files: &[(&str, Vec<u8>, &str)]) {
    for backend in ["tract", "onnxruntime"] {
        let Some(backends) = backends(backend) else { continue };
        for (name, bytes, words) in files {
            match load(&backends, backend, name, bytes) {
                Ok(_) => panic!("{backend} took `{name}`"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidModel, "{backend}: {error}");
                    assert!(error.to_string().contains(words), "{backend}: {error} lacks {words}");
                }
            }
        }
    }
}

/// A tree of two questions, with one attribute changed.
fn trees(name: &'static str, value: Attribute) -> Vec<u8> {
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    let modes = ["BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF"];
    let mut attributes: Attributes = vec![
        ("nodes_treeids", ints(&[0; 5])),
        ("nodes_nodeids", ints(&[0, 1, 2, 3, 4])),
        ("nodes_featureids", ints(&[1, 0, 0, 0, 0])),
        ("nodes_values", Attribute::Floats(vec![0.5, 0.25, 0.0, 0.0, 0.0])),
        ("nodes_modes", Attribute::Texts(modes.map(str::to_owned).to_vec())),
        ("nodes_truenodeids", ints(&[1, 3, 0, 0, 0])),
        ("nodes_falsenodeids", ints(&[2, 4, 0, 0, 0])),
        ("class_treeids", ints(&[0; 3])),
        ("class_nodeids", ints(&[2, 3, 4])),
        ("class_ids", ints(&[0, 1, 1])),
        ("class_weights", Attribute::Floats(vec![0.5, 0.25, 1.0])),
        ("classlabels_int64s", ints(&[0, 1])),
    ];
    attributes.retain(|(known, _)| *known != name);
    attributes.push((name, value));
    Model::new()
        .domain("ai.onnx.ml", 3)
        .input("x", FP32, &["n", "2"])
        .node_with("TreeEnsembleClassifier", &["x"], &["label", "scores"], &attributes)
        .in_domain("ai.onnx.ml")
        .output("label", INT64, &["n"])
        .output("scores", FP32, &["n", "2"])
        .bytes()
}

/// One operator over rows of two features.
fn one(operator: &str, output: i32, attributes: Attributes) -> Vec<u8> {
    Model::new()
        .domain("ai.onnx.ml", 5)
        .input("x", FP32, &["n", "2"])
        .node_with(operator, &["x"], &["y"], &attributes)
        .in_domain("ai.onnx.ml")
        .output("y", output, &["n", "2"])
        .bytes()
}

fn of_version(version: i64) -> Vec<u8> {
    Model::new()
        .domain("ai.onnx.ml", version)
        .input("x", FP32, &["n", "2"])
        .node("Identity", &["x"], &["y"])
        .output("y", FP32, &["n", "2"])
        .bytes()
}
