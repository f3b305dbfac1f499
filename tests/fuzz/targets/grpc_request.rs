//! The message of a gRPC request for inference.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samara_protocol::fuzzing::grpc_infer_request(bytes));
