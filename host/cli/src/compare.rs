//! Whether a function answered what a test expects.

use half::{bf16, f16};
use samara_nn::{Datatype, Element, NamedTensor, Tensor, format_shape};

/// The first difference between the expected outputs and the ones that came,
/// if there is one. Floats may differ by `tolerance`; outputs that are not
/// expected by name are not looked at.
pub(crate) fn difference(expected: &[NamedTensor], found: &[NamedTensor], tolerance: f64) -> Option<String> {
    expected.iter().find_map(|(name, expected)| {
        match found.iter().find(|(found, _)| found == name) {
            Some((_, found)) => tensor_difference(expected, found, tolerance),
            None => Some("the function has no such output".to_owned()),
        }
        .map(|what| format!("output `{name}`: {what}"))
    })
}

fn tensor_difference(expected: &Tensor, found: &Tensor, tolerance: f64) -> Option<String> {
    if expected.datatype() != found.datatype() {
        return Some(format!("expected {}, got {}", expected.datatype(), found.datatype()));
    }
    if expected.shape() != found.shape() {
        return Some(format!(
            "expected shape {}, got {}",
            format_shape(expected.shape()),
            format_shape(found.shape())
        ));
    }
    match expected.datatype() {
        Datatype::Fp16 => floats::<f16>(expected, found, tolerance),
        Datatype::Bf16 => floats::<bf16>(expected, found, tolerance),
        Datatype::Fp32 => floats::<f32>(expected, found, tolerance),
        Datatype::Fp64 => floats::<f64>(expected, found, tolerance),
        _ if expected.data() == found.data() => None,
        _ => exact(expected, found),
    }
}

fn floats<T: Element + Into<f64>>(expected: &Tensor, found: &Tensor, tolerance: f64) -> Option<String> {
    let (expected, found) = (expected.elements::<T>().ok()?, found.elements::<T>().ok()?);
    let pairs = expected.iter().zip(found.iter()).map(|(&expected, &found)| (expected.into(), found.into()));
    pairs.enumerate().find_map(|(index, (expected, found)): (usize, (f64, f64))| {
        let same = expected == found || (expected.is_nan() && found.is_nan());
        let off = (expected - found).abs();
        let close = same || off <= tolerance;
        (!close).then(|| {
            format!("element {index}: expected {expected}, got {found}, which is {off:.3e} off and {tolerance:e} may be")
        })
    })
}

/// The first element that differs, of datatypes that must be equal.
fn exact(expected: &Tensor, found: &Tensor) -> Option<String> {
    let texts = |tensor: &Tensor| -> Vec<String> {
        match tensor.byte_strings() {
            Ok(strings) => {
                strings.iter().map(|string| format!("{:?}", String::from_utf8_lossy(string))).collect()
            }
            Err(_) => crate::output::element_texts(tensor),
        }
    };
    let (expected, found) = (texts(expected), texts(found));
    let different = expected.iter().zip(&found).position(|(expected, found)| expected != found);
    match different {
        Some(index) => Some(format!("element {index}: expected {}, got {}", expected[index], found[index])),
        None => Some("the bytes differ".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(expected: Tensor, found: Tensor) -> Option<String> {
        difference(&[("y".to_owned(), expected)], &[("y".to_owned(), found)], 1e-3)
    }

    #[test]
    fn floats_may_be_a_little_off() {
        let floats = |values: &[f32]| Tensor::from_vec([values.len()], values.to_vec()).unwrap();
        assert_eq!(compare(floats(&[1.0, f32::NAN]), floats(&[1.0005, f32::NAN])), None);
        assert_eq!(compare(floats(&[f32::INFINITY]), floats(&[f32::INFINITY])), None);
        assert_eq!(
            compare(floats(&[1.0, 2.0]), floats(&[1.0, 2.5])).unwrap(),
            "output `y`: element 1: expected 2, got 2.5, which is 5.000e-1 off and 1e-3 may be"
        );
        assert!(compare(floats(&[1.0]), floats(&[f32::NAN])).is_some());
        assert!(compare(floats(&[f32::INFINITY]), floats(&[f32::NEG_INFINITY])).is_some());
    }

    #[test]
    fn all_else_must_be_equal() {
        let integers = |values: &[i64]| Tensor::from_vec([values.len()], values.to_vec()).unwrap();
        assert_eq!(compare(integers(&[3]), integers(&[3])), None);
        assert_eq!(
            compare(integers(&[3, 4]), integers(&[3, 5])).unwrap(),
            "output `y`: element 1: expected 4, got 5"
        );
        assert_eq!(
            compare(integers(&[3]), integers(&[3, 5])).unwrap(),
            "output `y`: expected shape [1], got [2]"
        );
        let floats = Tensor::from_vec([1], vec![3f32]).unwrap();
        assert_eq!(compare(integers(&[3]), floats).unwrap(), "output `y`: expected INT64, got FP32");
        let text = |text: &str| Tensor::from_elements([1], [text]).unwrap();
        assert_eq!(
            compare(text("a"), text("b")).unwrap(),
            "output `y`: element 0: expected \"a\", got \"b\""
        );
        let missing = difference(&[("z".to_owned(), text("a"))], &[("y".to_owned(), text("a"))], 0.0);
        assert_eq!(missing.unwrap(), "output `z`: the function has no such output");
    }
}
