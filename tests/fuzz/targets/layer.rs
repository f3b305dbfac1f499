//! A layer of an image, a tar.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samara_package::fuzzing::layer(bytes));
