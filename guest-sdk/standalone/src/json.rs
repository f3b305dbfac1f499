//! Requests and answers of the Open Inference Protocol, as JSON.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use crate::contract::{Datatype, Signature, Tensor, TensorSpec};
use crate::tensor::{datatype_name, datatype_of};

#[derive(Deserialize)]
pub(crate) struct Request {
    id: Option<String>,
    inputs: Vec<Input>,
    /// The outputs that are wanted; all where it is empty.
    #[serde(default)]
    outputs: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    data: Value,
}

#[derive(Deserialize)]
struct Wanted {
    name: String,
}

impl Request {
    /// Takes the inputs out.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn take_inputs(&mut self) -> Result<Vec<Tensor>, String> {
        self.inputs.drain(..).map(Input::read).collect()
    }

    /// The answer as one line of JSON.
    ///
    /// # Errors
    /// Where an output is wanted that is not there.
    pub(crate) fn answer(&self, model: &str, outputs: &[Tensor]) -> Result<String, String> {
        let chosen = match self.outputs.as_slice() {
            [] => outputs.iter().collect(),
            wanted => wanted.iter().map(|wanted| find(wanted, outputs)).collect::<Result<Vec<_>, _>>()?,
        };
        let mut text = format!("{{\"model_name\":{}", quoted(model));
        if let Some(id) = &self.id {
            push(&mut text, format_args!(",\"id\":{}", quoted(id)));
        }
        text.push_str(",\"outputs\":[");
        for (index, tensor) in chosen.into_iter().enumerate() {
            text.push_str(if index == 0 { "" } else { "," });
            let (name, datatype) = (quoted(&tensor.name), datatype_name(tensor.datatype));
            push(
                &mut text,
                format_args!(
                    "{{\"name\":{name},\"datatype\":\"{datatype}\",\"shape\":{:?},\"data\":[",
                    tensor.shape
                ),
            );
            elements(&mut text, tensor);
            text.push_str("]}");
        }
        text.push_str("]}");
        Ok(text)
    }
}

/// What the model takes and gives, as one line of JSON.
pub(crate) fn metadata(model: &str, signature: &Signature) -> String {
    let spec = |spec: &TensorSpec| {
        let (name, datatype) = (quoted(&spec.name), datatype_name(spec.datatype));
        format!("{{\"name\":{name},\"datatype\":\"{datatype}\",\"shape\":{:?}}}", spec.shape)
    };
    let specs = |specs: &[TensorSpec]| specs.iter().map(spec).collect::<Vec<_>>().join(",");
    let (inputs, outputs) = (specs(&signature.inputs), specs(&signature.outputs));
    format!("{{\"name\":{},\"inputs\":[{inputs}],\"outputs\":[{outputs}]}}", quoted(model))
}

fn find<'a>(wanted: &Wanted, outputs: &'a [Tensor]) -> Result<&'a Tensor, String> {
    outputs
        .iter()
        .find(|output| output.name == wanted.name)
        .ok_or_else(|| format!("there is no output `{}`", wanted.name))
}

impl Input {
    fn read(self) -> Result<Tensor, String> {
        let place = |reason: String| format!("input `{}`: {reason}", self.name);
        let datatype = datatype_of(&self.datatype)
            .ok_or_else(|| place(format!("no datatype is called `{}`", self.datatype)))?;
        let mut data = Vec::new();
        let mut count = 0u64;
        read_elements(datatype, &self.data, &mut data, &mut count).map_err(place)?;
        let expected = self.shape.iter().try_fold(1u64, |count, &size| count.checked_mul(size));
        if expected != Some(count) {
            return Err(place(format!("the shape {:?} is not that of {count} elements", self.shape)));
        }
        Ok(Tensor { name: self.name, datatype, shape: self.shape, data })
    }
}

/// Reads elements, in nested lists or one flat list.
fn read_elements(
    datatype: Datatype,
    value: &Value,
    data: &mut Vec<u8>,
    count: &mut u64,
) -> Result<(), String> {
    if let Value::Array(values) = value {
        return values.iter().try_for_each(|value| read_elements(datatype, value, data, count));
    }
    let wrong = || format!("element {count}: {value} is no {}", datatype_name(datatype));
    match datatype {
        Datatype::Fp32 => data.extend((float(value).ok_or_else(wrong)? as f32).to_le_bytes()),
        Datatype::Bool => data.push(u8::from(value.as_bool().ok_or_else(wrong)?)),
        _ => {
            let number = value.as_i64().ok_or_else(wrong)?;
            match datatype {
                Datatype::Int64 => data.extend(number.to_le_bytes()),
                Datatype::Int32 => data.extend(i32::try_from(number).map_err(|_| wrong())?.to_le_bytes()),
                Datatype::Int8 => data.extend(i8::try_from(number).map_err(|_| wrong())?.to_le_bytes()),
                Datatype::Uint8 => data.push(u8::try_from(number).map_err(|_| wrong())?),
                _ => {
                    return Err(format!(
                        "{} is a datatype that this runner has not",
                        datatype_name(datatype)
                    ));
                }
            }
        }
    }
    *count += 1;
    Ok(())
}

/// A float, or one of the three that JSON cannot write.
fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => value.as_f64(),
    }
}

fn elements(text: &mut String, tensor: &Tensor) {
    let data = tensor.data.as_slice();
    match tensor.datatype {
        Datatype::Fp32 => {
            join(text, data.as_chunks().0.iter().map(|&chunk| float_text(f32::from_le_bytes(chunk))))
        }
        Datatype::Int64 => {
            join(text, data.as_chunks().0.iter().map(|&chunk| i64::from_le_bytes(chunk).to_string()))
        }
        Datatype::Int32 => {
            join(text, data.as_chunks().0.iter().map(|&chunk| i32::from_le_bytes(chunk).to_string()))
        }
        Datatype::Int8 => join(text, data.iter().map(|&byte| byte.cast_signed().to_string())),
        Datatype::Bool => join(text, data.iter().map(|&byte| (byte != 0).to_string())),
        _ => join(text, data.iter().map(ToString::to_string)),
    }
}

/// The shortest digits that are this number again.
fn float_text(value: f32) -> String {
    match value {
        value if value.is_nan() => "\"NaN\"".to_owned(),
        f32::INFINITY => "\"Infinity\"".to_owned(),
        f32::NEG_INFINITY => "\"-Infinity\"".to_owned(),
        value if value == 0.0 || (1e-5..1e16).contains(&value.abs()) => value.to_string(),
        value => format!("{value:e}"),
    }
}

fn join(text: &mut String, elements: impl Iterator<Item = String>) {
    for (index, element) in elements.enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(&element);
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(more);
}
