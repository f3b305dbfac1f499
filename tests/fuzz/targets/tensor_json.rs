//! Tensors as JSON, as the command line reads requests and responses.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| samara_protocol::fuzzing::tensor_json(text));
