//! A layer of an image that another tool compressed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samara_package::fuzzing::compressed(bytes));
