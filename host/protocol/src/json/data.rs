//! The `data` of a tensor: JSON arrays, nested or flat, to elements.

use std::cell::RefCell;
use std::fmt;

use half::{bf16, f16};
use samara_nn::{Datatype, Tensor, TensorError};
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::element::FromJson;
use super::fast;

/// Elements with the shape that their nesting shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The sizes of the nested arrays, outermost first; empty for a value
    /// without brackets.
    pub shape: Vec<usize>,
    /// The elements in one row.
    pub tensor: Tensor,
}

/// What is wrong with the data of a tensor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataProblem {
    #[error("{0}")]
    Syntax(String),
    #[error("element {index}: {reason}")]
    Element { index: usize, reason: String },
    #[error("rows differ in length: {found} where the first has {expected}, before element {index}")]
    Ragged { index: usize, expected: usize, found: usize },
    #[error("some elements are nested deeper than others, at element {index}")]
    Uneven { index: usize },
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Parses a JSON value, or arrays of them, as elements of `datatype`.
///
/// # Errors
/// The first element that does not fit, by its index in row-major order, or
/// rows of different length.
pub fn parse_values(json: &str, datatype: Datatype) -> Result<Values, DataProblem> {
    match datatype {
        Datatype::Bool => {
            let (shape, values) = collect::<bool>(json)?;
            Ok(Values { shape, tensor: Tensor::from_bools([values.len()], &values)? })
        }
        Datatype::Bytes => {
            let (shape, values) = collect::<String>(json)?;
            Ok(Values { shape, tensor: Tensor::from_elements([values.len()], &values)? })
        }
        Datatype::Uint8 => numbers::<u8>(json),
        Datatype::Uint16 => numbers::<u16>(json),
        Datatype::Uint32 => numbers::<u32>(json),
        Datatype::Uint64 => numbers::<u64>(json),
        Datatype::Int8 => numbers::<i8>(json),
        Datatype::Int16 => numbers::<i16>(json),
        Datatype::Int32 => numbers::<i32>(json),
        Datatype::Int64 => numbers::<i64>(json),
        Datatype::Fp16 => numbers::<f16>(json),
        Datatype::Bf16 => numbers::<bf16>(json),
        Datatype::Fp32 => numbers::<f32>(json),
        Datatype::Fp64 => numbers::<f64>(json),
    }
}

fn numbers<T: FromJson + samara_nn::Element>(json: &str) -> Result<Values, DataProblem> {
    let (shape, values) = match fast::numbers::<T>(json.as_bytes()) {
        Some(read) => read,
        None => collect::<T>(json)?,
    };
    Ok(Values { shape, tensor: Tensor::from_vec([values.len()], values)? })
}

fn collect<T: FromJson>(json: &str) -> Result<(Vec<usize>, Vec<T>), DataProblem> {
    let state = RefCell::new(State { values: Vec::new(), sizes: Vec::new(), leaf: None, problem: None });
    let mut parser = serde_json::Deserializer::from_str(json);
    let parsed = Node { state: &state, depth: 0 }.deserialize(&mut parser).and_then(|()| parser.end());
    let State { values, sizes, problem, .. } = state.into_inner();
    match (parsed, problem) {
        (Ok(()), _) => Ok((sizes.into_iter().map(|size| size.unwrap_or(0)).collect(), values)),
        (Err(_), Some(problem)) => Err(problem),
        (Err(error), None) => Err(DataProblem::Syntax(error.to_string())),
    }
}

/// What has been read so far.
struct State<T> {
    values: Vec<T>,
    /// Per depth, how many entries an array has; known from the first one that
    /// ended.
    sizes: Vec<Option<usize>>,
    /// The depth at which elements stand.
    leaf: Option<usize>,
    /// Why parsing was given up, where that is not the JSON's fault.
    problem: Option<DataProblem>,
}

/// A value at some depth: an element or an array.
struct Node<'s, T> {
    state: &'s RefCell<State<T>>,
    depth: usize,
}

impl<T: FromJson> Node<'_, T> {
    fn element<E: de::Error>(&self, value: Result<T, String>) -> Result<(), E> {
        let mut state = self.state.borrow_mut();
        let index = state.values.len();
        if *state.leaf.get_or_insert(self.depth) != self.depth || state.sizes.len() > self.depth {
            return Err(state.give_up(DataProblem::Uneven { index }));
        }
        match value {
            Ok(value) => {
                state.values.push(value);
                Ok(())
            }
            Err(reason) => Err(state.give_up(DataProblem::Element { index, reason })),
        }
    }

    fn open_array<E: de::Error>(&self) -> Result<(), E> {
        let mut state = self.state.borrow_mut();
        if state.leaf.is_some_and(|leaf| leaf <= self.depth) {
            let index = state.values.len();
            return Err(state.give_up(DataProblem::Uneven { index }));
        }
        if state.sizes.len() == self.depth {
            state.sizes.push(None);
        }
        Ok(())
    }

    fn close_array<E: de::Error>(&self, found: usize) -> Result<(), E> {
        let mut state = self.state.borrow_mut();
        let index = state.values.len();
        let expected = *state.sizes[self.depth].get_or_insert(found);
        if expected != found {
            return Err(state.give_up(DataProblem::Ragged { index, expected, found }));
        }
        Ok(())
    }
}

impl<T> State<T> {
    fn give_up<E: de::Error>(&mut self, problem: DataProblem) -> E {
        self.problem = Some(problem);
        E::custom("given up")
    }
}

impl<'de, T: FromJson> DeserializeSeed<'de> for Node<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: FromJson> Visitor<'de> for Node<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of elements")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.element(T::from_bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.element(T::from_u64(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.element(T::from_i64(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.element(T::from_f64(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.element(T::from_str(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.element(Err("`null` is no value; a float that is none is written \"NaN\"".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        self.open_array()?;
        let mut count = 0;
        while array.next_element_seed(Node { state: self.state, depth: self.depth + 1 })?.is_some() {
            count += 1;
        }
        self.close_array(count)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.element(Err("an object is no value".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str, datatype: Datatype) -> String {
        parse_values(json, datatype).unwrap_err().to_string()
    }

    #[test]
    fn nesting_gives_the_shape() {
        let values = parse_values("[[1, 2, 3], [4, 5, 6]]", Datatype::Int32).unwrap();
        assert_eq!(values.shape, [2, 3]);
        assert_eq!(values.tensor.elements::<i32>().unwrap().as_ref(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(parse_values("7", Datatype::Uint8).unwrap().shape, [0usize; 0]);
        assert_eq!(parse_values("[]", Datatype::Fp32).unwrap().shape, [0]);
        assert_eq!(parse_values("[[], []]", Datatype::Fp32).unwrap().shape, [2, 0]);
    }

    #[test]
    fn every_datatype_is_read() {
        for datatype in Datatype::ALL {
            let json = match datatype {
                Datatype::Bool => "[true, false]",
                Datatype::Bytes => "[\"a\", \"b\"]",
                _ => "[1, 0]",
            };
            let values = parse_values(json, datatype).unwrap();
            assert_eq!((values.tensor.datatype(), values.tensor.len()), (datatype, 2));
        }
    }

    #[test]
    fn elements_that_do_not_fit_are_named() {
        assert_eq!(
            problem("[0, 256]", Datatype::Uint8),
            "element 1: 256 is outside UINT8, which goes from 0 to 255"
        );
        assert_eq!(
            problem("[[0], [-1]]", Datatype::Uint64),
            "element 1: -1 is outside UINT64, which goes from 0 to 18446744073709551615"
        );
        assert_eq!(
            problem("[18446744073709551616]", Datatype::Uint64),
            "element 0: 18446744073709552000 is outside UINT64, which goes from 0 to 18446744073709551615"
        );
        assert_eq!(
            problem("[1, 2.5]", Datatype::Int64),
            "element 1: 2.5 is a float, and INT64 holds integers"
        );
        assert_eq!(problem("[2.0]", Datatype::Int64), "element 0: 2.0 is a float, and INT64 holds integers");
        assert_eq!(
            problem("[1e39]", Datatype::Fp32),
            "element 0: 1000000000000000000000000000000000000000 is outside FP32, which goes from \
             -340282350000000000000000000000000000000 to 340282350000000000000000000000000000000"
        );
        assert_eq!(
            problem("[65520]", Datatype::Fp16),
            "element 0: 65520 is outside FP16, which goes from -65504 to 65504"
        );
        assert_eq!(problem("[\"1\"]", Datatype::Fp32), "element 0: \"1\" is a string, and FP32 holds floats");
        assert_eq!(problem("[2]", Datatype::Bool), "element 0: 2 is neither `true` nor `false`");
        assert_eq!(problem("[2]", Datatype::Bytes), "element 0: 2 is a number, and BYTES holds strings");
        assert_eq!(
            problem("[null]", Datatype::Fp32),
            "element 0: `null` is no value; a float that is none is written \"NaN\""
        );
        assert_eq!(problem("[{}]", Datatype::Fp32), "element 0: an object is no value");
    }

    #[test]
    fn uneven_rows_are_found() {
        assert_eq!(
            problem("[[1, 2], [3]]", Datatype::Int32),
            "rows differ in length: 1 where the first has 2, before element 3"
        );
        assert_eq!(
            problem("[1, [2]]", Datatype::Int32),
            "some elements are nested deeper than others, at element 1"
        );
        assert_eq!(
            problem("[[1], 2]", Datatype::Int32),
            "some elements are nested deeper than others, at element 1"
        );
        assert_eq!(
            problem("[[], 2]", Datatype::Int32),
            "some elements are nested deeper than others, at element 0"
        );
    }

    #[test]
    fn broken_json_is_said_to_be() {
        assert!(problem("[1, ", Datatype::Int32).starts_with("EOF while parsing"));
        assert!(problem("[NaN]", Datatype::Fp32).starts_with("expected value"));
        assert!(problem("[1] 2", Datatype::Int32).starts_with("trailing characters"));
        let deep = "[".repeat(100_000);
        assert!(problem(&deep, Datatype::Int32).starts_with("recursion limit exceeded"));
    }

    #[test]
    fn floats_that_json_lacks_are_strings() {
        let values = parse_values("[\"NaN\", \"-Infinity\"]", Datatype::Fp32).unwrap().tensor;
        let values = values.elements::<f32>().unwrap();
        assert!(values[0].is_nan());
        assert_eq!(values[1], f32::NEG_INFINITY);
    }
}
