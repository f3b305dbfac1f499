//! An image whose parts are as its documents say, and what it holds.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samara_package::fuzzing::image(bytes));
