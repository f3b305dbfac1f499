//! How tensors look.

use super::*;

fn lines(named: Vec<(&str, Tensor)>) -> String {
    let named: Vec<NamedTensor> = named.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    anstream::adapter::strip_str(&tensors(&named, &BTreeMap::new())).to_string()
}

#[test]
fn small_tensors_are_whole() {
    let digit = Tensor::from_vec([1], vec![3i64]).unwrap();
    let pair = Tensor::from_vec([2], vec![0.1f32, -2.0]).unwrap();
    let rows = Tensor::from_vec([2, 2], vec![1u8, 20, 3, 4]).unwrap();
    assert_eq!(
        lines(vec![("digit", digit), ("pair", pair), ("a", rows)]),
        "digit  INT64[1]  3\npair   FP32[2]  [0.1, -2.0]\na      UINT8[2,2]\n  [ 1, 20]\n  [ 3,  4]\n"
    );
    let flags = Tensor::from_bools([2], &[true, false]).unwrap();
    assert_eq!(lines(vec![("f", flags)]), "f  BOOL[2]  [true, false]\n");
    let none = Tensor::from_vec([0, 3], Vec::<f32>::new()).unwrap();
    assert_eq!(lines(vec![("n", none)]), "n  FP32[0,3]  no elements\n");
}

#[test]
fn planes_are_apart() {
    let cube = Tensor::from_vec([2, 1, 2], vec![1i32, 2, 3, 4]).unwrap();
    assert_eq!(lines(vec![("x", cube)]), "x  INT32[2,1,2]\n  [1, 2]\n  \n  [3, 4]\n");
}

#[test]
fn big_tensors_are_summarised() {
    let mut values: Vec<f32> = (0..1000).map(|value| value as f32).collect();
    values[1] = f32::NAN;
    values[2] = 0.123_456;
    let shown = lines(vec![("x", Tensor::from_vec([10, 100], values).unwrap())]);
    assert_eq!(
        shown,
        "x  FP32[10,100]\n  min 0  max 999  mean 500\n  not finite: 1 of 1000 (1 NaN)\n  first [0, NaN, 0.12346, 3, 4, 5, …]\n"
    );
}

#[test]
fn probabilities_are_bars() {
    let tensor = Tensor::from_vec([1, 3], vec![0.25f32, 0.7, 0.05]).unwrap();
    assert_eq!(
        lines(vec![("p", tensor)]),
        "p  FP32[1,3]\n  1   70.00%  █████████████████████\n  0   25.00%  ███████▌\n  2    5.00%  █▌\n"
    );
    let many = Tensor::from_vec([1000], vec![0.001f64; 1000]).unwrap();
    let shown = lines(vec![("p", many)]);
    assert!(shown.contains("… and 990 more classes with 99.00% together"), "{shown}");
    let sure = Tensor::from_vec([5], vec![1.0f32, 0.0, 0.0, 0.0, 0.0]).unwrap();
    assert!(lines(vec![("p", sure)]).ends_with("… and 2 more classes with 0.00% together\n"));
    let two = Tensor::from_vec([5, 2], vec![0.5f32; 10]).unwrap();
    let shown = lines(vec![("p", two)]);
    assert!(shown.contains("  row 3\n    0   50.00%"), "{shown}");
    assert!(shown.ends_with("… and 1 more rows\n"), "{shown}");
}

#[test]
fn bars_have_labels() {
    let tensor = Tensor::from_vec([1, 3], vec![0.25f32, 0.7, 0.05]).unwrap();
    let shown = |labels: &[&str]| {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let labels = BTreeMap::from([("p".to_owned(), labels)]);
        let named = [("p".to_owned(), tensor.clone())];
        anstream::adapter::strip_str(&tensors(&named, &labels)).to_string()
    };
    assert_eq!(
        shown(&["cat", "dog", "heron"]),
        "p  FP32[1,3]\n  dog     70.00%  █████████████████████\n  cat     25.00%  ███████▌\n  heron    5.00%  █▌\n"
    );
    // One that is missing is its place, and none steers the terminal.
    let long = "l".repeat(40);
    let odd = shown(&["a\n\u{1b}[2J", &long]);
    assert!(odd.contains("  a \\u{1b}[2J") && odd.contains(&format!("{}…  ", &long[..31])), "{odd}");
    assert!(odd.contains("\n  2      "), "{odd}");
}

#[test]
fn what_is_no_distribution_is_numbers() {
    for values in [vec![0.5f32, 0.6], vec![1.5, -0.5], vec![f32::NAN, 1.0]] {
        let shown = lines(vec![("x", Tensor::from_vec([2], values).unwrap())]);
        assert!(!shown.contains('%'), "{shown}");
    }
}

#[test]
fn text_is_shown_and_cannot_steer_the_terminal() {
    let text = Tensor::from_elements([1], ["tea \u{1b}[31mpot"]).unwrap();
    assert_eq!(lines(vec![("t", text)]), "t  BYTES[1]  tea \\u{1b}[31mpot\n");
    let two = Tensor::from_elements([2], [&b"a\nb"[..], &[0xff, 0]]).unwrap();
    assert_eq!(lines(vec![("t", two)]), "t  BYTES[2]\n  a\\nb\n  2 bytes, not text\n");
    let long = Tensor::from_elements([1], ["line\nline"]).unwrap();
    assert_eq!(lines(vec![("t", long)]), "t  BYTES[1]\n  line\n  line\n");
}

#[test]
fn sizes_have_units() {
    assert_eq!(size_text(1023), "1023 bytes");
    assert_eq!(size_text(1536), "1.5 KiB");
    assert_eq!(size_text(64 << 20), "64.0 MiB");
    assert_eq!(size_text(3 << 30), "3.0 GiB");
}
