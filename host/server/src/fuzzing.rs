//! The decoders of what comes from outside, for the fuzzer: whatever the bytes,
//! they answer or refuse.

/// A message `ModelInferRequest` of gRPC, and what it holds as an answer.
pub fn grpc_infer_request(bytes: &[u8]) {
    crate::grpc::fuzz_infer_request(bytes);
}
