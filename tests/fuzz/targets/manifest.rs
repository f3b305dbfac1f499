//! The manifest of a function, `samara.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = samara_package::Manifest::parse(text, std::path::Path::new("samara.toml")) {
        assert!(!error.to_string().is_empty());
    }
});
