//! Responses as JSON text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use half::{bf16, f16};
use samara_nn::{Datatype, NamedTensor, Tensor, TensorError};
use serde::Serialize;
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};

/// Facts about how a response came to be: numbers and words by name.
pub type Parameters = serde_json::Map<String, serde_json::Value>;

/// What a function answered.
#[derive(Debug)]
pub struct Response<'a> {
    pub model_name: &'a str,
    /// Left out where it is empty.
    pub model_version: &'a str,
    pub id: Option<&'a str>,
    pub parameters: Parameters,
    pub outputs: &'a [NamedTensor],
}

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model_name", self.model_name)?;
        if !self.model_version.is_empty() {
            map.serialize_entry("model_version", self.model_version)?;
        }
        if let Some(id) = self.id {
            map.serialize_entry("id", id)?;
        }
        if !self.parameters.is_empty() {
            map.serialize_entry("parameters", &self.parameters)?;
        }
        let outputs: Vec<Output<'_>> =
            self.outputs.iter().map(|(name, tensor)| Output { name, tensor }).collect();
        map.serialize_entry("outputs", &outputs)?;
        map.end()
    }
}

/// A request that asks for all outputs of these inputs.
#[derive(Debug)]
pub struct Inputs<'a> {
    pub inputs: &'a [NamedTensor],
}

impl Serialize for Inputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let inputs: Vec<Output<'_>> =
            self.inputs.iter().map(|(name, tensor)| Output { name, tensor }).collect();
        map.serialize_entry("inputs", &inputs)?;
        map.end()
    }
}

/// One output, its elements in the JSON.
pub struct Output<'a> {
    pub name: &'a str,
    pub tensor: &'a Tensor,
}

impl Serialize for Output<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let in_base64 = is_not_text(self.tensor).map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("datatype", self.tensor.datatype().name())?;
        map.serialize_entry("shape", self.tensor.shape())?;
        if in_base64 {
            map.serialize_entry("parameters", &serde_json::json!({"content_type": "base64"}))?;
        }
        map.serialize_entry("data", &Data { tensor: self.tensor, in_base64 })?;
        map.end()
    }
}

/// Whether a tensor holds bytes that a JSON string cannot carry.
fn is_not_text(tensor: &Tensor) -> Result<bool, TensorError> {
    if tensor.datatype() != Datatype::Bytes {
        return Ok(false);
    }
    Ok(tensor.byte_strings()?.into_iter().any(|element| std::str::from_utf8(element).is_err()))
}

struct Data<'a> {
    tensor: &'a Tensor,
    in_base64: bool,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.tensor.datatype() {
            Datatype::Bool => sequence(serializer, self.tensor.data().iter().map(|&byte| byte != 0)),
            Datatype::Uint8 => numbers::<u8, S>(self.tensor, serializer),
            Datatype::Uint16 => numbers::<u16, S>(self.tensor, serializer),
            Datatype::Uint32 => numbers::<u32, S>(self.tensor, serializer),
            Datatype::Uint64 => numbers::<u64, S>(self.tensor, serializer),
            Datatype::Int8 => numbers::<i8, S>(self.tensor, serializer),
            Datatype::Int16 => numbers::<i16, S>(self.tensor, serializer),
            Datatype::Int32 => numbers::<i32, S>(self.tensor, serializer),
            Datatype::Int64 => numbers::<i64, S>(self.tensor, serializer),
            Datatype::Fp16 => floats(self.tensor, serializer, |value: f16| Float::Single(value.to_f32())),
            Datatype::Bf16 => floats(self.tensor, serializer, |value: bf16| Float::Single(value.to_f32())),
            Datatype::Fp32 => floats(self.tensor, serializer, Float::Single),
            Datatype::Fp64 => floats(self.tensor, serializer, Float::Double),
            Datatype::Bytes => self.strings(serializer),
        }
    }
}

impl Data<'_> {
    fn strings<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let elements = self.tensor.byte_strings().map_err(S::Error::custom)?;
        match self.in_base64 {
            true => sequence(serializer, elements.into_iter().map(|element| BASE64.encode(element))),
            false => sequence(serializer, elements.into_iter().map(String::from_utf8_lossy)),
        }
    }
}

fn numbers<T, S>(tensor: &Tensor, serializer: S) -> Result<S::Ok, S::Error>
where
    T: samara_nn::Element + Serialize,
    S: Serializer,
{
    let elements = tensor.elements::<T>().map_err(S::Error::custom)?;
    sequence(serializer, elements.iter())
}

fn floats<T, S>(tensor: &Tensor, serializer: S, wrap: impl Fn(T) -> Float) -> Result<S::Ok, S::Error>
where
    T: samara_nn::Element,
    S: Serializer,
{
    let elements = tensor.elements::<T>().map_err(S::Error::custom)?;
    sequence(serializer, elements.iter().map(|&value| wrap(value)))
}

/// A float that is written with as few digits as bring it back, or as a word
/// where JSON has no number for it.
enum Float {
    Single(f32),
    Double(f64),
}

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match *self {
            Float::Single(value) => f64::from(value),
            Float::Double(value) => value,
        };
        match self {
            _ if value.is_nan() => serializer.serialize_str("NaN"),
            _ if value == f64::INFINITY => serializer.serialize_str("Infinity"),
            _ if value == f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            Float::Single(value) => serializer.serialize_f32(*value),
            Float::Double(value) => serializer.serialize_f64(*value),
        }
    }
}

fn sequence<S: Serializer, T: Serialize>(
    serializer: S,
    elements: impl ExactSizeIterator<Item = T>,
) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(elements.len()))?;
    for element in elements {
        sequence.serialize_element(&element)?;
    }
    sequence.end()
}

#[cfg(test)]
mod tests {
    use super::super::parse_tensors;
    use super::*;

    fn write(tensor: Tensor) -> String {
        let outputs = [("y".to_owned(), tensor)];
        let response = Response {
            model_name: "f",
            model_version: "0.1.0",
            id: None,
            parameters: Parameters::new(),
            outputs: &outputs,
        };
        serde_json::to_string(&response).unwrap()
    }

    #[test]
    fn a_response_has_the_protocols_fields() {
        assert_eq!(
            write(Tensor::from_vec([1, 2], vec![0.1f32, 2.0]).unwrap()),
            r#"{"model_name":"f","model_version":"0.1.0","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[0.1,2.0]}]}"#
        );
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let mut tensors = vec![
            Tensor::from_bools([2], &[true, false]).unwrap(),
            Tensor::from_vec([2], vec![u64::MAX, 0]).unwrap(),
            Tensor::from_vec([2], vec![i64::MIN, i64::MAX]).unwrap(),
            Tensor::from_vec([2], vec![f64::MIN_POSITIVE, f64::MAX]).unwrap(),
            Tensor::from_vec([3], vec![f16::MAX, f16::MIN_POSITIVE, f16::from_f32(0.1)]).unwrap(),
            Tensor::from_vec([2], vec![bf16::MAX, bf16::from_f32(0.3)]).unwrap(),
            Tensor::from_vec([2], vec![f32::INFINITY, f32::NEG_INFINITY]).unwrap(),
            Tensor::from_elements([2], ["a\n\"", ""]).unwrap(),
            Tensor::from_elements([1], [[0xffu8, 0, 1]]).unwrap(),
        ];
        // Bit patterns all over the range of FP32.
        let floats: Vec<f32> = (0u32..20_000)
            .map(|index| f32::from_bits(index.wrapping_mul(214_013).wrapping_mul(2_654_435_761)))
            .filter(|value| value.is_finite())
            .collect();
        tensors.push(Tensor::from_vec([floats.len()], floats).unwrap());
        for tensor in tensors {
            let read = parse_tensors(&write(tensor.clone())).unwrap();
            assert_eq!(read[0].1, tensor);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        let json = write(Tensor::from_elements([1], [[0xffu8, 0]]).unwrap());
        assert!(json.contains(r#""parameters":{"content_type":"base64"},"data":["/wA="]"#), "{json}");
        assert!(write(Tensor::from_vec([1], vec![f32::NAN]).unwrap()).contains(r#""data":["NaN"]"#));
    }
}
