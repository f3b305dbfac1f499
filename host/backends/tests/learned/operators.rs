//! Operators with attributes that converters seldom write: tract answers as ONNX
//! Runtime does.

use samara_nn::Tensor;
use samara_test::onnx::{Attribute, FP32, FP64, INT64, STRING, proto::TensorProto, raw};

use crate::pair::{Attributes, Pair, rows, whole_rows};

const TRANSFORMS: [&str; 5] = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];

#[test]
fn classes_of_trees() {
    let Some(mut pair) = Pair::new() else { return };
    for transform in TRANSFORMS {
        for classes in 1..=3usize {
            for (ids, weights) in leaves(classes) {
                for base in [0, 1, classes] {
                    // One score for two classes: the library leaves the other unwritten.
                    let mixed = ids.iter().any(|id| *id != ids[0]);
                    let lone = classes == 2 && (mixed || ids[0] == 0);
                    let unwritten = lone && (transform == "PROBIT" || (mixed && base == 1));
                    if (base == 1 && classes > 2) || unwritten {
                        continue;
                    }
                    let base: Vec<f32> = [0.25, -0.5, 0.125][..base].to_vec();
                    // The library reads beyond the name of a lone class.
                    for text in [false, true].into_iter().filter(|text| !text || classes > 1) {
                        let mut attributes = nodes("BRANCH_LEQ", &[0; 8]);
                        attributes.extend(said("class", &ids, &weights));
                        attributes.push(("post_transform", Attribute::Text(transform.to_owned())));
                        if !base.is_empty() {
                            attributes.push(("base_values", Attribute::Floats(base.clone())));
                        }
                        attributes.push(labels(classes, text, "classlabels_int64s"));
                        let name = format!("{transform} {classes} {ids:?} {weights:?} {base:?} {text}");
                        pair.classify(&name, "TreeEnsembleClassifier", &attributes, text);
                    }
                }
            }
        }
    }
    assert!(pair.compared > 200, "{}", pair.compared);
}

#[test]
fn numbers_of_trees() {
    let Some(mut pair) = Pair::new() else { return };
    for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"] {
        for missing in [[0; 8], [1, 0, 0, 0, 0, 1, 0, 0]] {
            for targets in [1i64, 3] {
                for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"] {
                    // How nodes compare and what becomes of scores know nothing of each other.
                    let count = if mode == "BRANCH_LEQ" { TRANSFORMS.len() } else { 1 };
                    for transform in &TRANSFORMS[..count] {
                        let mut attributes = nodes(mode, &missing);
                        let ids: Vec<i64> = [0, 1, 2, 1, 0].map(|id: i64| id % targets).to_vec();
                        attributes.extend(said("target", &ids, &[0.5, -0.25, 0.75, 0.125, 0.3]));
                        attributes.push(("post_transform", Attribute::Text((*transform).to_owned())));
                        attributes.push(("aggregate_function", Attribute::Text(aggregate.to_owned())));
                        attributes.push(("n_targets", Attribute::Int(targets)));
                        let base = [0.1, 0.2, 0.3][..targets as usize].to_vec();
                        attributes.push(("base_values", Attribute::Floats(base)));
                        let name = format!("{mode} {missing:?} {targets} {aggregate} {transform}");
                        pair.compare(&name, "TreeEnsembleRegressor", &attributes, &[rows(FP32)], &[FP32]);
                        pair.compare(&name, "TreeEnsembleRegressor", &attributes, &[rows(FP64)], &[FP32]);
                    }
                }
            }
        }
    }
}

#[test]
fn ensembles_with_sets() {
    let Some(mut pair) = Pair::new() else { return };
    for (kind, input) in [(FP32, rows(FP32)), (FP64, rows(FP64))] {
        for aggregate in 0..4 {
            for transform in 0..5 {
                for missing in [vec![], vec![1, 0, 1]] {
                    let attributes = vec![
                        ("n_targets", Attribute::Int(2)),
                        ("aggregate_function", Attribute::Int(aggregate)),
                        ("post_transform", Attribute::Int(transform)),
                        ("tree_roots", Attribute::Ints(vec![0, 2])),
                        ("nodes_featureids", Attribute::Ints(vec![0, 1, 1])),
                        ("nodes_truenodeids", Attribute::Ints(vec![1, 0, 2])),
                        ("nodes_trueleafs", Attribute::Ints(vec![0, 1, 1])),
                        ("nodes_falsenodeids", Attribute::Ints(vec![3, 1, 0])),
                        ("nodes_falseleafs", Attribute::Ints(vec![1, 1, 1])),
                        ("nodes_missing_value_tracks_true", Attribute::Ints(missing.clone())),
                        ("nodes_modes", Attribute::Tensor(raw("modes", 2, &[3], vec![0, 6, 6]))),
                        ("nodes_splits", Attribute::Tensor(numbers(kind, &[0.5, 0.0, 0.0]))),
                        (
                            "membership_values",
                            Attribute::Tensor(numbers(kind, &[1.0, 3.0, f64::NAN, 2.0, 40.0])),
                        ),
                        ("leaf_targetids", Attribute::Ints(vec![0, 1, 1, 0])),
                        ("leaf_weights", Attribute::Tensor(numbers(kind, &[0.5, 0.25, 0.75, 0.125]))),
                    ];
                    let attributes: Attributes = attributes
                        .into_iter()
                        .filter(|(_, value)| !matches!(value, Attribute::Ints(list) if list.is_empty()))
                        .collect();
                    let name = format!("{kind} {aggregate} {transform} {missing:?}");
                    pair.compare(&name, "TreeEnsemble", &attributes, std::slice::from_ref(&input), &[kind]);
                }
            }
        }
    }
}

#[test]
fn classes_and_numbers_of_sums() {
    let Some(mut pair) = Pair::new() else { return };
    let weights = [0.5f32, -0.25, 0.75, 0.125, -0.5, 0.25];
    for transform in TRANSFORMS {
        for sums in 1..=3usize {
            let classes = sums.max(2);
            if sums > 1 || transform != "PROBIT" {
                for text in [false, true] {
                    let attributes = vec![
                        ("coefficients", Attribute::Floats(weights[..2 * sums].to_vec())),
                        ("intercepts", Attribute::Floats([0.1, 0.4, 0.2][..sums].to_vec())),
                        ("post_transform", Attribute::Text(transform.to_owned())),
                        labels(classes, text, "classlabels_ints"),
                    ];
                    let name = format!("{transform} {sums} {classes} {text}");
                    pair.classify(&name, "LinearClassifier", &attributes, text);
                }
            }
            let attributes = vec![
                ("coefficients", Attribute::Floats(weights[..2 * sums].to_vec())),
                ("intercepts", Attribute::Floats([0.1, 0.4, 0.2][..sums].to_vec())),
                ("targets", Attribute::Int(sums as i64)),
                ("post_transform", Attribute::Text(transform.to_owned())),
            ];
            let name = format!("{transform} {sums}");
            pair.compare(&name, "LinearRegressor", &attributes, &[whole_rows()], &[FP32]);
        }
    }
}

#[test]
fn classes_of_vector_machines() {
    let Some(mut pair) = Pair::new() else { return };
    let kernels = [
        ("LINEAR", [0.0; 3]),
        ("POLY", [0.5, 1.0, 3.0]),
        ("RBF", [0.5, 0.0, 0.0]),
        ("SIGMOID", [0.5, 0.1, 0.0]),
    ];
    for (kernel, parameters) in kernels {
        for transform in TRANSFORMS {
            for classes in [2usize, 3] {
                for chances in [false, true] {
                    if classes == 2 && transform == "PROBIT" && !chances {
                        continue;
                    }
                    let pairs = classes * (classes - 1) / 2;
                    let coefficients = [0.5f32, -0.25, 0.75, 0.3, -0.6, 0.2, 0.1, -0.9];
                    let vectors = classes + 1;
                    let mut attributes = vec![
                        ("kernel_type", Attribute::Text(kernel.to_owned())),
                        ("kernel_params", Attribute::Floats(parameters.to_vec())),
                        ("coefficients", Attribute::Floats(coefficients[..(classes - 1) * vectors].to_vec())),
                        ("support_vectors", Attribute::Floats(coefficients[..2 * vectors].to_vec())),
                        ("vectors_per_class", Attribute::Ints([1, 2, 1][..classes].to_vec())),
                        ("rho", Attribute::Floats([0.1, -0.2, 0.3][..pairs].to_vec())),
                        ("post_transform", Attribute::Text(transform.to_owned())),
                        labels(classes, false, "classlabels_ints"),
                    ];
                    if chances {
                        attributes.push(("prob_a", Attribute::Floats([-1.5, -0.5, 0.7][..pairs].to_vec())));
                        attributes.push(("prob_b", Attribute::Floats([0.1, 0.2, -0.1][..pairs].to_vec())));
                    }
                    let name = format!("{kernel} {transform} {classes} {chances}");
                    pair.classify(&name, "SVMClassifier", &attributes, false);
                }
                let attributes = vec![
                    ("kernel_params", Attribute::Floats(parameters.to_vec())),
                    (
                        "coefficients",
                        Attribute::Floats([0.5, -0.25, 0.75, 0.3, -0.6, 0.2][..2 * classes].to_vec()),
                    ),
                    ("rho", Attribute::Floats(vec![0.1])),
                    ("post_transform", Attribute::Text(transform.to_owned())),
                    labels(classes, false, "classlabels_ints"),
                ];
                pair.classify(&format!("linear {transform} {classes}"), "SVMClassifier", &attributes, false);
            }
        }
        for one_class in [0, 1] {
            let attributes = vec![
                ("kernel_type", Attribute::Text(kernel.to_owned())),
                ("kernel_params", Attribute::Floats(parameters.to_vec())),
                ("coefficients", Attribute::Floats(vec![0.5, -0.25, 0.75])),
                ("support_vectors", Attribute::Floats(vec![0.5, -0.25, 0.75, 0.3, -0.6, 0.2])),
                ("n_supports", Attribute::Int(3)),
                ("rho", Attribute::Floats(vec![-0.1])),
                ("one_class", Attribute::Int(one_class)),
            ];
            let name = format!("{kernel} {one_class}");
            pair.compare(&name, "SVMRegressor", &attributes, &[whole_rows()], &[FP32]);
        }
    }
}

#[test]
fn what_changes_numbers_and_names() {
    let Some(mut pair) = Pair::new() else { return };
    let texts = |values: &[&str]| Attribute::Texts(values.iter().map(|&value| value.to_owned()).collect());
    let words = Tensor::from_elements([3, 2], ["a", "b", "c", "a", "?", ""]).unwrap();
    let ints = Tensor::from_vec([3, 2], vec![0i64, 1, -1, 2, 7, 1]).unwrap();
    for norm in ["MAX", "L1", "L2"] {
        let attributes = vec![("norm", Attribute::Text(norm.to_owned()))];
        pair.compare(norm, "Normalizer", &attributes, &[whole_rows()], &[FP32]);
        pair.compare(norm, "Normalizer", &attributes, std::slice::from_ref(&ints), &[FP32]);
    }
    for (offset, scale) in [(vec![0.5, -1.0], vec![2.0, 3.0]), (vec![0.5], vec![2.0])] {
        let attributes = vec![("offset", Attribute::Floats(offset)), ("scale", Attribute::Floats(scale))];
        for input in [whole_rows(), rows(FP64), ints.clone()] {
            pair.compare("scaler", "Scaler", &attributes, &[input], &[FP32]);
        }
    }
    let attributes = vec![("threshold", Attribute::Float(0.25))];
    pair.compare("binarizer", "Binarizer", &attributes, &[whole_rows()], &[FP32]);
    let attributes = vec![
        ("imputed_value_int64s", Attribute::Ints(vec![5, 6])),
        ("replaced_value_int64", Attribute::Int(1)),
    ];
    pair.compare("imputer", "Imputer", &attributes, std::slice::from_ref(&ints), &[INT64]);
    let attributes = vec![
        ("imputed_value_floats", Attribute::Floats(vec![5.0])),
        ("replaced_value_float", Attribute::Float(0.5)),
    ];
    pair.compare("imputer", "Imputer", &attributes, &[whole_rows()], &[FP32]);
    for (attributes, input, output) in [
        (vec![("cats_strings", texts(&["a", "c", "x"]))], &words, FP32),
        (vec![("cats_int64s", Attribute::Ints(vec![1, 2, 7]))], &ints, FP32),
        (vec![("cats_int64s", Attribute::Ints(vec![0, 1]))], &whole_rows(), FP32),
    ] {
        pair.compare("one hot", "OneHotEncoder", &attributes, std::slice::from_ref(input), &[output]);
    }
    let keys = || ("keys_strings", texts(&["a", "c", "a"]));
    let number_keys = || ("keys_floats", Attribute::Floats(vec![f32::NAN, 0.5, -0.0]));
    for (attributes, input, output) in [
        (vec![keys(), ("values_int64s", Attribute::Ints(vec![3, 4, 5]))], &words, INT64),
        (
            vec![
                keys(),
                ("values_floats", Attribute::Floats(vec![3.0, 4.0, 5.0])),
                ("default_float", Attribute::Float(9.0)),
            ],
            &words,
            FP32,
        ),
        (vec![keys(), ("values_strings", texts(&["x", "y", "z"]))], &words, STRING),
        (
            vec![
                ("keys_int64s", Attribute::Ints(vec![1, 2, 7])),
                ("values_strings", texts(&["x", "y", "z"])),
                ("default_string", Attribute::Text("none".to_owned())),
            ],
            &ints,
            STRING,
        ),
        (
            vec![
                number_keys(),
                ("values_int64s", Attribute::Ints(vec![3, 4, 5])),
                ("default_int64", Attribute::Int(8)),
            ],
            &rows(FP32),
            INT64,
        ),
    ] {
        pair.compare("labels", "LabelEncoder", &attributes, std::slice::from_ref(input), &[output]);
        pair.compare("newer labels", "LabelEncoder", &attributes, std::slice::from_ref(input), &[output]);
    }
    let attributes = vec![("inputdimensions", Attribute::Ints(vec![2, 1]))];
    pair.compare("vectorizer", "FeatureVectorizer", &attributes, &[whole_rows(), whole_rows()], &[FP32]);
}

/// Two trees: one of two questions, and one that is a leaf alone.
fn nodes(mode: &str, missing: &[i64]) -> Attributes {
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    let modes = [mode, mode, "LEAF", "LEAF", "LEAF", mode, "LEAF", "LEAF"];
    vec![
        ("nodes_treeids", ints(&[0, 0, 0, 0, 0, 1, 1, 1])),
        ("nodes_nodeids", ints(&[0, 1, 2, 3, 4, 0, 1, 2])),
        ("nodes_featureids", ints(&[0, 1, 0, 0, 0, 1, 0, 0])),
        ("nodes_values", Attribute::Floats(vec![0.5, 0.25, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0])),
        ("nodes_modes", Attribute::Texts(modes.map(str::to_owned).to_vec())),
        ("nodes_truenodeids", ints(&[1, 3, 0, 0, 0, 1, 0, 0])),
        ("nodes_falsenodeids", ints(&[2, 4, 0, 0, 0, 2, 0, 0])),
        ("nodes_missing_value_tracks_true", ints(missing)),
    ]
}

/// What the five leaves say, each of one class or target.
fn said(what: &str, ids: &[i64], weights: &[f32]) -> Attributes {
    let names = match what {
        "class" => ["class_treeids", "class_nodeids", "class_ids", "class_weights"],
        _ => ["target_treeids", "target_nodeids", "target_ids", "target_weights"],
    };
    vec![
        (names[0], Attribute::Ints(vec![0, 0, 0, 1, 1])),
        (names[1], Attribute::Ints(vec![2, 3, 4, 1, 2])),
        (names[2], Attribute::Ints(ids.to_vec())),
        (names[3], Attribute::Floats(weights.to_vec())),
    ]
}

/// Classes of which five leaves speak, and how: of one, of another, of all; for or
/// against them.
fn leaves(classes: usize) -> Vec<(Vec<i64>, Vec<f32>)> {
    let last = classes as i64 - 1;
    let mixed = [0, 1, 2, 1, 0].map(|id: i64| id % classes as i64).to_vec();
    let ids = if classes == 1 { vec![vec![0; 5]] } else { vec![vec![0; 5], vec![last; 5], mixed] };
    let weights = [vec![0.1, 0.3, 0.4, 0.05, 0.2], vec![0.5, -0.25, 0.75, -0.125, 0.3]];
    ids.into_iter().flat_map(|ids| weights.clone().map(|weights| (ids.clone(), weights))).collect()
}

fn labels(classes: usize, text: bool, ints: &'static str) -> (&'static str, Attribute) {
    if text {
        let names = (0..classes).map(|class| format!("class {class}")).collect();
        return ("classlabels_strings", Attribute::Texts(names));
    }
    (ints, Attribute::Ints((0..classes as i64).map(|class| 10 + class).collect()))
}

fn numbers(kind: i32, values: &[f64]) -> TensorProto {
    let bytes = match kind {
        FP64 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        _ => values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
    };
    raw("numbers", kind, &[values.len() as i64], bytes)
}
