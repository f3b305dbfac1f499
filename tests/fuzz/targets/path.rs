//! The path of a request, with its escapes.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| samara_protocol::fuzzing::path(text));
