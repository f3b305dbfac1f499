//! Requests and answers of the Open Inference Protocol over REST as a client
//! writes and reads them: JSON, and tensors as bytes behind the JSON (the
//! protocol's binary tensor extension).

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use samara_nn::{Datatype, NamedTensor, Tensor};
use samara_protocol::json::{Parameters, Request, Response, parse_values};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A body, and where its JSON ends when tensors follow.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Body {
    pub bytes: Bytes,
    /// `None`: it is JSON as a whole.
    pub json_length: Option<usize>,
}

/// Writes a request as JSON.
///
/// # Errors
/// When a tensor cannot be written.
pub(super) fn to_json(request: &Request) -> Result<Body> {
    #[derive(Deserialize)]
    struct Tensors<'a> {
        #[serde(borrow)]
        outputs: &'a RawValue,
    }
    // The tensors of a request look just as those of a response.
    let response = Response {
        model_name: "",
        model_version: "",
        id: None,
        parameters: Parameters::new(),
        outputs: &request.inputs,
    };
    let text = serde_json::to_string(&response)?;
    let tensors: Tensors<'_> = serde_json::from_str(&text)?;
    let mut json = String::with_capacity(text.len());
    json.push('{');
    if let Some(id) = &request.id {
        json.push_str(&format!("\"id\":{},", Value::from(id.as_str())));
    }
    json.push_str(&format!("\"inputs\":{}", tensors.outputs.get()));
    if !request.outputs.is_empty() {
        let outputs: Vec<Value> = request.outputs.iter().map(|name| json!({ "name": name })).collect();
        json.push_str(&format!(",\"outputs\":{}", Value::from(outputs)));
    }
    json.push('}');
    Ok(Body { bytes: json.into(), json_length: None })
}

/// Writes a request with its tensors as bytes, which asks for the outputs in
/// the same way.
pub(super) fn to_binary(request: &Request) -> Body {
    let inputs: Vec<Value> = request
        .inputs
        .iter()
        .map(|(name, tensor)| {
            json!({
                "name": name,
                "datatype": tensor.datatype().name(),
                "shape": tensor.shape(),
                "parameters": { "binary_data_size": tensor.data().len() },
            })
        })
        .collect();
    let mut head = serde_json::Map::new();
    if let Some(id) = &request.id {
        head.insert("id".to_owned(), id.as_str().into());
    }
    head.insert("inputs".to_owned(), inputs.into());
    if request.outputs.is_empty() {
        head.insert("parameters".to_owned(), json!({ "binary_data_output": true }));
    } else {
        let output = |name: &String| json!({ "name": name, "parameters": { "binary_data": true } });
        head.insert("outputs".to_owned(), request.outputs.iter().map(output).collect());
    }
    let json = Value::Object(head).to_string();
    let json_length = Some(json.len());
    let mut bytes = json.into_bytes();
    for (_, tensor) in &request.inputs {
        bytes.extend_from_slice(tensor.data());
    }
    Body { bytes: bytes.into(), json_length }
}

/// Reads the outputs of an answer.
///
/// # Errors
/// What makes it no response of the protocol.
pub(super) fn read_answer(body: &Body) -> Result<Vec<NamedTensor>> {
    let json_length = body.json_length.unwrap_or(body.bytes.len());
    if json_length > body.bytes.len() {
        bail!("its JSON should have {json_length} bytes, and it has {} in all", body.bytes.len());
    }
    let answer: RawAnswer<'_> = serde_json::from_slice(&body.bytes[..json_length])?;
    let mut rest = body.bytes.slice(json_length..);
    let mut tensors = Vec::with_capacity(answer.outputs.len());
    for output in answer.outputs {
        let tensor =
            output.read(&mut rest).with_context(|| format!("cannot read its output `{}`", output.name))?;
        tensors.push((output.name, tensor));
    }
    if !rest.is_empty() {
        bail!("{} bytes follow its last output", rest.len());
    }
    Ok(tensors)
}

/// What a server says in the body of a refusal, in one short line.
pub(super) fn refusal(body: &[u8]) -> String {
    const LONGEST: usize = 300;
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let said = ["error", "detail", "message"].iter().find_map(|key| json.as_ref()?.get(key));
    let text = match said {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.trim().to_owned()
}

#[derive(Deserialize)]
struct RawAnswer<'a> {
    #[serde(borrow)]
    outputs: Vec<RawOutput<'a>>,
}

/// An output as any server writes it: what is unknown in it does not matter.
#[derive(Deserialize)]
struct RawOutput<'a> {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    #[serde(default)]
    parameters: Option<RawParameters>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawParameters {
    binary_data_size: Option<usize>,
    content_type: Option<Value>,
}

impl RawOutput<'_> {
    /// Reads the elements, from the front of `rest` if they are there.
    fn read(&self, rest: &mut Bytes) -> Result<Tensor> {
        let datatype: Datatype = self.datatype.parse()?;
        if let Some(size) = self.parameters.as_ref().and_then(|parameters| parameters.binary_data_size) {
            if size > rest.len() {
                bail!("it should have {size} bytes, and {} are left", rest.len());
            }
            return Ok(Tensor::new(datatype, self.shape.clone(), rest.split_to(size))?);
        }
        let data = self.data.ok_or_else(|| anyhow!("it has no `data`"))?;
        let mut tensor = parse_values(data.get(), datatype)?.tensor;
        if datatype == Datatype::Bytes && self.is_in_base64() {
            let decoded: Vec<Vec<u8>> = tensor
                .byte_strings()?
                .into_iter()
                .map(|text| BASE64.decode(text))
                .collect::<Result<_, _>>()?;
            tensor = Tensor::from_elements([decoded.len()], decoded)?;
        }
        Ok(tensor.reshaped(self.shape.clone())?)
    }

    fn is_in_base64(&self) -> bool {
        let content_type = self.parameters.as_ref().and_then(|parameters| parameters.content_type.as_ref());
        content_type.is_some_and(|content_type| content_type == "base64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_protocol::json::parse_request;

    fn request(outputs: &[&str]) -> Request {
        Request {
            id: Some("a\"1".to_owned()),
            inputs: vec![
                ("x".to_owned(), Tensor::from_vec([1, 2], vec![0.1f32, 2.0]).unwrap()),
                ("s".to_owned(), Tensor::from_elements([1], ["word"]).unwrap()),
            ],
            outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn text(body: &Body) -> &str {
        std::str::from_utf8(&body.bytes).unwrap()
    }

    #[test]
    fn a_request_in_json_reads_back_the_same() {
        for request in [request(&[]), request(&["y", "z"]), Request { id: None, ..request(&[]) }] {
            let body = to_json(&request).unwrap();
            assert_eq!(parse_request(text(&body)).unwrap(), request);
        }
    }

    #[test]
    fn a_binary_request_has_its_tensors_behind() {
        let body = to_binary(&request(&[]));
        let (head, tensors) = body.bytes.split_at(body.json_length.unwrap());
        let head: Value = serde_json::from_slice(head).unwrap();
        assert_eq!(head["inputs"][0]["parameters"]["binary_data_size"], 8);
        assert_eq!(head["inputs"][1]["parameters"]["binary_data_size"], 8);
        assert_eq!(head["parameters"]["binary_data_output"], true);
        let expected: Vec<u8> =
            [&0.1f32.to_le_bytes()[..], &2f32.to_le_bytes(), &4u32.to_le_bytes(), b"word"].concat();
        assert_eq!(tensors, expected);
        let body = to_binary(&request(&["y"]));
        let head: Value = serde_json::from_slice(&body.bytes[..body.json_length.unwrap()]).unwrap();
        assert_eq!(head["outputs"][0], json!({"name": "y", "parameters": {"binary_data": true}}));
    }

    #[test]
    fn answers_of_any_server_are_read() {
        let json = r#"{"model_name": "m", "new": 1, "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [1, 2.5], "parameters": {"content_type": "np"}},
            {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["/wA="], "parameters": {"content_type": "base64"}},
            {"name": "n", "datatype": "INT8", "shape": [1], "data": [[3]], "parameters": null}]}"#;
        let outputs = read_answer(&Body { bytes: json.into(), json_length: None }).unwrap();
        assert_eq!(outputs[0].1, Tensor::from_vec([2, 1], vec![1f32, 2.5]).unwrap());
        assert_eq!(outputs[1].1.byte_strings().unwrap(), [&[0xff, 0][..]]);
        assert_eq!(outputs[2].1.shape(), [1]);
    }

    #[test]
    fn binary_answers_are_read() {
        let head = r#"{"outputs":[{"name":"y","datatype":"INT16","shape":[2],"parameters":{"binary_data_size":4}}]}"#;
        let body =
            |tail: &[u8], json_length| Body { bytes: [head.as_bytes(), tail].concat().into(), json_length };
        let outputs = read_answer(&body(&[1, 0, 2, 0], Some(head.len()))).unwrap();
        assert_eq!(outputs[0].1.elements::<i16>().unwrap().as_ref(), [1, 2]);
        let refused = |body: Body| format!("{:#}", read_answer(&body).unwrap_err());
        assert_eq!(
            refused(body(&[1, 0], Some(head.len()))),
            "cannot read its output `y`: it should have 4 bytes, and 2 are left"
        );
        assert_eq!(refused(body(&[0; 5], Some(head.len()))), "1 bytes follow its last output");
        assert!(refused(body(&[], Some(1000))).starts_with("its JSON should have 1000 bytes"));
        assert!(refused(Body { bytes: "{}".into(), json_length: None }).contains("missing field `outputs`"));
    }

    #[test]
    fn refusals_are_one_line() {
        assert_eq!(refusal(br#"{"error": "no such\nmodel"}"#), "no such model");
        assert_eq!(refusal(br#"{"detail": {"a": 1}}"#), r#"{"a":1}"#);
        assert_eq!(refusal(b"<h1>gone</h1>\n"), "<h1>gone</h1>");
        assert_eq!(refusal(&[0xff; 1000]).chars().count(), 300);
    }
}
