//! What is a request and what is none.

use super::*;

fn tensor_json(datatype: &str, shape: &str, data: &str) -> String {
    format!(r#"{{"inputs": [{{"name": "x", "datatype": "{datatype}", "shape": {shape}, "data": {data}}}]}}"#)
}

fn refusal(json: &str) -> String {
    parse_request(json).unwrap_err().to_string()
}

#[test]
fn a_request_arrives() {
    let json = r#"{"id": "7", "parameters": {"a": 1}, "outputs": [{"name": "y"}],
        "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4.5]]},
                   {"name": "s", "shape": [], "datatype": "INT64", "data": [3]}]}"#;
    let request = parse_request(json).unwrap();
    assert_eq!(request.id.as_deref(), Some("7"));
    assert_eq!(request.outputs, ["y"]);
    assert_eq!(request.inputs[0].1.shape(), [2, 2]);
    assert_eq!(request.inputs[0].1.elements::<f32>().unwrap().as_ref(), [1.0, 2.0, 3.0, 4.5]);
    assert_eq!(request.inputs[1].1.shape(), [0usize; 0]);
}

#[test]
fn flat_data_take_the_shape() {
    let request = parse_request(&tensor_json("UINT8", "[2, 2]", "[1, 2, 3, 4]")).unwrap();
    assert_eq!(request.inputs[0].1.shape(), [2, 2]);
}

#[test]
fn shapes_and_data_must_agree() {
    assert_eq!(
        refusal(&tensor_json("FP32", "[2, 3]", "[1, 2, 3, 4, 5]")),
        "tensor `x`: shape [2,3] holds 6 elements, but `data` has 5"
    );
    assert_eq!(
        refusal(&tensor_json("FP32", "[2, 3]", "[[1, 2], [3, 4], [5, 6]]")),
        "tensor `x`: `data` is nested as [3,2], but `shape` is [2,3]"
    );
    assert_eq!(
        refusal(&tensor_json("FP32", "[2, -1]", "[1]")),
        "tensor `x`: shape [2,-1] has a negative size"
    );
    assert!(
        refusal(&tensor_json("FP32", "[4294967296, 4294967296]", "[1]"))
            .contains("more elements than memory can address")
    );
}

#[test]
fn tensors_are_named_in_errors() {
    assert_eq!(
        refusal(&tensor_json("INT8", "[2]", "[1, 300]")),
        "tensor `x`: element 1: 300 is outside INT8, which goes from -128 to 127"
    );
    assert!(
        refusal(&tensor_json("FLOAT", "[1]", "[1]")).starts_with("tensor `x`: unknown datatype `FLOAT`;")
    );
    let twice = r#"{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1]},
                               {"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}]}"#;
    assert_eq!(refusal(twice), "tensor `x` is given twice");
    let none = r#"{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1]}]}"#;
    assert_eq!(refusal(none), "tensor `x`: it has no `data`");
}

#[test]
fn other_json_is_no_request() {
    for json in ["", "[]", "{}", r#"{"inputs": 1}"#, r#"{"instances": []}"#] {
        let message = refusal(json);
        assert!(message.starts_with("this is no request of the Open Inference Protocol: "), "{message}");
        assert!(message.contains("\nhint: it looks like `{\"inputs\""), "{message}");
    }
}

#[test]
fn bytes_may_come_in_base64() {
    let json = |parameters: &str, data: &str| {
        format!(
            r#"{{"inputs": [{{"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {parameters}, "data": [{data}]}}]}}"#
        )
    };
    let request = parse_request(&json(r#"{"content_type": "base64"}"#, r#""/wA=""#)).unwrap();
    assert_eq!(request.inputs[0].1.byte_strings().unwrap(), [&[0xff, 0][..]]);
    assert!(
        refusal(&json(r#"{"content_type": "base64"}"#, r#""?""#))
            .starts_with("tensor `x`, element 0: it is not base64: ")
    );
    let hinted = parse_request(&json(r#"{"content_type": "str", "else": [1]}"#, r#""a""#)).unwrap();
    assert_eq!(hinted.inputs[0].1.byte_strings().unwrap(), [b"a"]);
    assert!(refusal(&json(r#"{"binary_data_size": 3}"#, r#""a""#)).contains("which only HTTP has"));
}
