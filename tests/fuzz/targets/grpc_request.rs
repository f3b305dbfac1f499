//! The messages of an inference over gRPC: the request, and the answer.
#![no_main]

use samara_protocol::fuzzing::{grpc_infer_request, grpc_infer_response};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    grpc_infer_request(bytes);
    grpc_infer_response(bytes);
});
