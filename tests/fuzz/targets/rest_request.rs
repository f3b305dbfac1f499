//! A request of REST: JSON, and tensors behind it. The fuzzer chooses how much
//! of the body is JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (Option<u16>, &[u8])| {
    let (json_length, body) = input;
    samara_protocol::fuzzing::rest_infer_request(json_length.map(usize::from), body);
});
