//! The decoders of what comes from outside, for the fuzzer: whatever the bytes,
//! they answer or refuse.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use prost::Message;
use samara_nn::{ANY_SIZE, Datatype, Signature, TensorSpec};

use crate::Traceparent;
use crate::grpc::proto::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::grpc::request::{self, Asked, Form};
use crate::grpc::{bounds, client, response, timeout};
use crate::headers;
use crate::json::{Inputs, parse_request, parse_tensors};
use crate::rest::decode::{self, Decoded};
use crate::rest::path::{MOST_PARTS, decoded, split};

/// A request of REST for inference, of which so many bytes are JSON, or all.
pub fn rest_infer_request(json_length: Option<usize>, body: &[u8]) {
    let inputs = vec![TensorSpec::new("x", Datatype::Fp32, [ANY_SIZE, 2])];
    let signature = Signature { inputs, outputs: Vec::new() };
    match decode::request(json_length, Bytes::copy_from_slice(body)) {
        Ok(Decoded::Request(request)) => drop(signature.conform_inputs(request.inputs)),
        Ok(Decoded::Raw(body)) => drop(decode::raw(&signature, body)),
        Err(wrong) => drop(wrong.of(&signature).to_string()),
    }
}

/// A message `ModelInferRequest` of gRPC. Its lists become no more than is
/// counted before it is read; tensors come back the same when they are answered,
/// in both forms, and when they are sent again.
///
/// # Panics
/// Where they do not.
pub fn grpc_infer_request(bytes: &[u8]) {
    let Ok(lists) = bounds::check(bytes) else { return };
    let Ok(message) = ModelInferRequest::decode(bytes) else { return };
    let held = message.inputs.iter().filter_map(|input| input.contents.as_ref()).map(held).sum::<usize>();
    assert!(held as u64 <= lists, "{held} bytes where {lists} were counted");
    let Ok(Asked { inference, .. }) = request::read(message) else { return };
    let inputs = inference.inputs;
    for form in [Form::Raw, Form::Typed] {
        let Ok(answer) = response::write(inputs.clone(), form) else { continue };
        let answer = ModelInferResponse::decode(answer.encode_to_vec().as_slice()).map(client::outputs);
        assert!(answer.is_ok_and(|outputs| outputs.is_ok_and(|outputs| outputs == inputs)));
    }
    let again = request::read(client::request(&inputs, &inference.outputs));
    assert!(again.is_ok_and(|again| again.inference.inputs == inputs));
}

/// A message `ModelInferResponse` of gRPC, as a client reads it.
pub fn grpc_infer_response(bytes: &[u8]) {
    let Ok(answer) = ModelInferResponse::decode(bytes) else { return };
    if let Err(error) = client::outputs(answer) {
        assert!(!error.to_string().is_empty());
    }
}

/// Bytes that lists take.
fn held(lists: &InferTensorContents) -> usize {
    size_of_val(lists.bool_contents.as_slice())
        + size_of_val(lists.int_contents.as_slice())
        + size_of_val(lists.int64_contents.as_slice())
        + size_of_val(lists.uint_contents.as_slice())
        + size_of_val(lists.uint64_contents.as_slice())
        + size_of_val(lists.fp32_contents.as_slice())
        + size_of_val(lists.fp64_contents.as_slice())
        + size_of_val(lists.bytes_contents.as_slice())
}

/// Tensors as JSON. What was read comes back the same when it is written and
/// read again.
///
/// # Panics
/// Where it does not.
pub fn tensor_json(text: &str) {
    let _ = parse_tensors(text);
    let Ok(request) = parse_request(text) else { return };
    // Bytes that are no text and numbers that are none have no form in JSON.
    let Ok(written) = serde_json::to_string(&Inputs { inputs: &request.inputs }) else { return };
    let again = parse_request(&written).map(|again| again.inputs);
    assert!(again.as_ref().is_ok_and(|again| *again == request.inputs), "{written}: {again:?}");
}

/// The headers that requests may have, one `NAME: VALUE` in a line.
///
/// # Panics
/// Where an id or a trace context that was taken over cannot be sent on.
pub fn headers(bytes: &[u8]) {
    let mut map = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    let _ = (headers::patience(&map), timeout::read(&map), decode::json_length(&map), headers::bearer(&map));
    if let Some(id) = headers::id(&map) {
        assert!(id.header().is_some(), "{id}");
    }
    let traceparent = map.get("traceparent").and_then(|value| value.to_str().ok());
    if let Some(known) = traceparent.and_then(Traceparent::parse) {
        assert_eq!(Traceparent::parse(&known.to_string()), Some(known));
    }
}

/// The path of a request.
pub fn path(text: &str) {
    let Ok(uri) = text.parse::<Uri>() else { return };
    let mut parts = [""; MOST_PARTS];
    for part in split(uri.path(), &mut parts).unwrap_or_default() {
        let _ = decoded(part);
    }
}

#[cfg(test)]
mod tests {
    use samara_test::{Random, whatever_comes, whatever_text_comes};

    use super::*;

    const ROUNDS: usize = 5_000;

    #[test]
    fn requests_of_rest() {
        let mut random = Random::new(11);
        let seed = br#"{"id":"1","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1,2.5e1]]}],"outputs":[{"name":"y","parameters":{"classification":2}}]}"#;
        for _ in 0..20_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.below(256) as u8;
            }
            bytes.truncate(random.below(2 * seed.len() as u64) as usize);
            let length = [None, Some(0), Some(random.below(200) as usize)][random.below(3) as usize];
            rest_infer_request(length, &bytes);
        }
    }

    #[test]
    fn requests_of_grpc() {
        use crate::grpc::proto::model_infer_request::InferInputTensor;

        let input = InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 2],
            ..InferInputTensor::default()
        };
        let request = ModelInferRequest {
            model_name: "f".to_owned(),
            id: "1".to_owned(),
            inputs: vec![input],
            raw_input_contents: vec![vec![0; 8].into()],
            ..ModelInferRequest::default()
        };
        whatever_comes(ROUNDS, &[&request.encode_to_vec()], grpc_infer_request);
    }

    #[test]
    fn tensors_as_json() {
        let seeds = [
            r#"{"id":"1","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2.5e-3],[3,4]]}],"outputs":[{"name":"y"}]}"#,
            r#"{"inputs":[{"name":"x","shape":[2],"datatype":"BYTES","data":["a\u00e9","b"]},{"name":"b","shape":[1],"datatype":"BOOL","data":[true]}]}"#,
            r#"{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[-9223372036854775808]},{"name":"h","shape":[1],"datatype":"FP16","data":[0.5]}]}"#,
        ];
        whatever_text_comes(ROUNDS, &seeds, tensor_json);
    }

    #[test]
    fn headers_of_requests() {
        let seed = b"x-request-id: a-1\nx-request-timeout-ms: 250\ngrpc-timeout: 5S\nauthorization: Bearer t\ninference-header-content-length: 9\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        whatever_comes(ROUNDS, &[seed], headers);
    }

    #[test]
    fn paths_of_requests() {
        let seeds =
            ["/v2/models/a%2Fb/versions/1/infer", "/page/main.js?x=%41", "/v2/repository/models/a/load"];
        whatever_text_comes(ROUNDS, &seeds, path);
    }
}
