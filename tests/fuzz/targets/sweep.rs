//! A sweep file.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| samara_package::fuzzing::sweep(text));
