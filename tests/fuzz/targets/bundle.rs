//! A function and its model in one file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = samara_package::bundle::read(bytes.to_vec().into()) {
        assert!(!error.to_string().is_empty());
    }
});
