//! Images as one file, a tar of an OCI layout.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samara_package::fuzzing::archive(bytes));
