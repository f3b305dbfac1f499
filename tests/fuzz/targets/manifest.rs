//! The manifest of a function, `samara.toml`.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use samara_package::Manifest;

fuzz_target!(|text: &str| {
    if let Err(error) = Manifest::parse(text, Path::new("samara.toml")) {
        assert!(!error.to_string().is_empty());
    }
});
