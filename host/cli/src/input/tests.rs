//! What flags and files become for the inputs they are given to.

use std::io::Write;

use super::*;

fn arg(text: &str) -> InputArg {
    text.parse().unwrap()
}

fn signature(specs: &[(&str, Datatype, &[i64])]) -> Signature {
    let inputs =
        specs.iter().map(|(name, datatype, shape)| TensorSpec::new(*name, *datatype, *shape)).collect();
    Signature { inputs, outputs: Vec::new() }
}

fn read_args(args: &[&str], signature: &Signature) -> Result<Vec<NamedTensor>> {
    let args: Vec<InputArg> = args.iter().map(|text| arg(text)).collect();
    read(&args, signature).map(|request| request.unwrap().inputs)
}

/// The lines that a user would see.
fn refusal(args: &[&str], signature: &Signature) -> String {
    format!("{:#}", read_args(args, signature).unwrap_err())
}

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn flags_are_taken_apart() {
    let text = |name: Option<&str>, value: &str| InputArg {
        name: name.map(str::to_owned),
        value: InputValue::Text(value.to_owned()),
    };
    assert_eq!(arg("x=1,2"), text(Some("x"), "1,2"));
    assert_eq!(arg("input:0=1"), text(Some("input:0"), "1"));
    assert_eq!(arg("1,2,3"), text(None, "1,2,3"));
    assert_eq!(arg("[\"a=b\"]"), text(None, "[\"a=b\"]"));
    assert_eq!(arg("is a = b"), text(None, "is a = b"));
    assert_eq!(arg("x=-"), text(Some("x"), "-"));
    assert_eq!(arg("-").value, InputValue::Stdin);
    assert_eq!(arg("x=@a.png").value, InputValue::File("a.png".into()));
    assert_eq!(arg("@a=b.png"), InputArg { name: None, value: InputValue::File("a=b.png".into()) });
    assert!("x=@".parse::<InputArg>().is_err());
}

#[test]
fn values_take_the_datatype_and_shape_that_is_asked_for() {
    let two = signature(&[("x", Datatype::Fp32, &[-1, 3]), ("flag", Datatype::Bool, &[1])]);
    let tensors = read_args(&["flag=true", "x=1,2.5,3"], &two).unwrap();
    assert_eq!(tensors[0].1, Tensor::from_bools([1], &[true]).unwrap());
    assert_eq!(tensors[1].1, Tensor::from_vec([1, 3], vec![1f32, 2.5, 3.0]).unwrap());
    let nested = read_args(&["x=[[1,2,3],[4,5,6]]"], &two).unwrap();
    assert_eq!(nested[0].1.shape(), [2, 3]);
    let scalar = signature(&[("n", Datatype::Int64, &[])]);
    assert_eq!(read_args(&["7"], &scalar).unwrap()[0].1.shape(), [0usize; 0]);
}

#[test]
fn text_goes_to_bytes_as_it_is() {
    let text = signature(&[("text", Datatype::Bytes, &[-1])]);
    let one = read_args(&["what, [is] this?"], &text).unwrap();
    assert_eq!(one[0].1.byte_strings().unwrap(), [b"what, [is] this?"]);
    let several = read_args(&["[\"a\", \"b\"]"], &text).unwrap();
    assert_eq!(several[0].1.byte_strings().unwrap(), [b"a", b"b"]);
    let brackets = read_args(&["[1]"], &text).unwrap();
    assert_eq!(brackets[0].1.byte_strings().unwrap(), [b"[1]"]);
    let (_folder, path) = file("note.txt", b"line\n");
    let whole = read_args(&[&format!("@{path}")], &text).unwrap();
    assert_eq!(whole[0].1.byte_strings().unwrap(), [b"line\n"]);
}

#[test]
fn an_array_that_is_not_all_strings_is_told_so() {
    let text = signature(&[("text", Datatype::Bytes, &[-1])]);
    assert!(refusal(&["[\"a\", 3]"], &text).contains("element 1"), "{}", refusal(&["[\"a\", 3]"], &text));
    let ragged = refusal(&["[[\"a\"], [\"b\", \"c\"]]"], &text);
    assert!(ragged.contains("row"), "{ragged}");
}

#[test]
fn files_go_to_inputs_by_what_these_declare() {
    let (_folder, png) = file("a.png", b"\x89PNG\r\n\x1a\n rest");
    let file_arg = format!("@{png}");
    let bytes = signature(&[("image", Datatype::Bytes, &[1])]);
    assert_eq!(read_args(&[&file_arg], &bytes).unwrap()[0].1.byte_strings().unwrap()[0].len(), 13);
    let raw = signature(&[("image", Datatype::Uint8, &[-1])]);
    assert_eq!(read_args(&[&file_arg], &raw).unwrap()[0].1.shape(), [13]);
    let pixels = signature(&[("image", Datatype::Fp32, &[1, 8, 8])]);
    assert!(refusal(&[&file_arg], &pixels).contains("for input `image`: the image is damaged"));
}

#[test]
fn declared_text_must_be_text() {
    let mut text = signature(&[("text", Datatype::Bytes, &[1])]);
    text.inputs[0].media_type = Some("text/plain".to_owned());
    let (_folder, path) = file("note", b"ab\xff");
    assert!(refusal(&[&format!("@{path}")], &text).ends_with("it is not UTF-8 text, at byte 2"));
}

#[test]
fn declared_json_is_taken_as_bytes() {
    let mut input = signature(&[("doc", Datatype::Bytes, &[1])]);
    let (_folder, path) = file("doc.json", b"[\"a\"]");
    let arg = format!("doc=@{path}");
    assert_eq!(read_args(&[&arg], &input).unwrap()[0].1.byte_strings().unwrap(), [b"a"]);
    input.inputs[0].media_type = Some("application/json".to_owned());
    assert_eq!(read_args(&[&arg], &input).unwrap()[0].1.byte_strings().unwrap(), [b"[\"a\"]"]);
}

#[test]
fn raw_numbers_are_little_endian() {
    let (_folder, path) = file("x.bin", &[1, 0, 2, 0]);
    let numbers = signature(&[("x", Datatype::Int16, &[2])]);
    let tensors = read_args(&[&format!("@{path}")], &numbers).unwrap();
    assert_eq!(tensors[0].1.elements::<i16>().unwrap().as_ref(), [1, 2]);
    let wide = signature(&[("x", Datatype::Int64, &[-1])]);
    assert!(
        refusal(&[&format!("@{path}")], &wide)
            .ends_with("4 bytes are no whole number of INT64 elements of 8 bytes")
    );
}

#[test]
fn a_json_file_may_be_a_whole_request() {
    let json = br#"{"inputs": [{"name": "x", "datatype": "INT16", "shape": [1], "data": [5]}]}"#;
    let (_folder, path) = file("request.json", json);
    let signature = signature(&[("x", Datatype::Int16, &[1])]);
    let tensors = read_args(&[&format!("@{path}")], &signature).unwrap();
    assert_eq!(tensors[0].1.elements::<i16>().unwrap().as_ref(), [5]);
    let (_folder, path) = file("array.json", b"[6]");
    let tensors = read_args(&[&format!("@{path}")], &signature).unwrap();
    assert_eq!(tensors[0].1.elements::<i16>().unwrap().as_ref(), [6]);
}

#[test]
fn names_that_do_not_exist_are_answered_with_those_that_do() {
    let two = signature(&[("pixels", Datatype::Fp32, &[2]), ("scale", Datatype::Fp32, &[1])]);
    assert_eq!(
        refusal(&["pixel=1,2"], &two),
        "unknown input `pixel`; the signature has `pixels`, `scale`\nhint: did you mean `pixels`?"
    );
    assert_eq!(
        refusal(&["1,2"], &two),
        "the function has 2 inputs, so each `--input` needs a name\nhint: write `--input NAME=VALUE`; the names are `pixels`, `scale`"
    );
    let text = signature(&[("text", Datatype::Bytes, &[1])]);
    assert!(refusal(&["q=5"], &text).ends_with("needs its input's name: `--input text=…`"));
    assert_eq!(refusal(&["1"], &signature(&[])), "the function takes no inputs");
}

#[test]
fn values_that_do_not_fit_say_why() {
    let pixels = signature(&[("x", Datatype::Uint8, &[2, 2])]);
    assert_eq!(
        refusal(&["1,2,300,4"], &pixels),
        "cannot read input `x`: element 2: 300 is outside UINT8, which goes from 0 to 255"
    );
    assert_eq!(
        refusal(&["1,2,3"], &pixels),
        "cannot read input `x`: 3 values do not make up the shape [2,2]"
    );
    assert_eq!(
        refusal(&["[[1,2],[3]]"], &pixels),
        "cannot read input `x`: rows differ in length: 1 where the first has 2, before element 3"
    );
    assert_eq!(refusal(&["[[1,2,3]]"], &pixels), "cannot read input `x`: the shape [1,3] does not fit [2,2]");
    assert!(refusal(&["@/nowhere.npy"], &pixels).contains("cannot read `/nowhere.npy`"));
}
