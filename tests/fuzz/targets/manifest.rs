//! The manifest of a function, `samara.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| samara_package::fuzzing::manifest(text));
