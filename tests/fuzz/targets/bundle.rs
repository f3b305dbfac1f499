//! A function and its model in one file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samara_package::fuzzing::bundle(bytes));
