//! The decoders of what comes from outside, for the fuzzer: whatever the bytes,
//! they answer or refuse.

/// A request of REST for inference, of which so many bytes are JSON, or all.
pub fn rest_infer_request(json_length: Option<usize>, body: &[u8]) {
    crate::rest::fuzz_infer_request(json_length, body);
}

/// A message `ModelInferRequest` of gRPC, and what it holds as an answer.
pub fn grpc_infer_request(message: &[u8]) {
    crate::grpc::fuzz_infer_request(message);
}
