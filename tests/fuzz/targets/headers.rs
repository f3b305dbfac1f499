//! The headers that every request may have: id, deadline, trace context.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samara_protocol::fuzzing::headers(bytes));
