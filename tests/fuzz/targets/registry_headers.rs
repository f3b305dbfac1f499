//! What stands in the headers of a registry's answers, and names of images.
#![no_main]

use samara_package::fuzzing::{headers, reference};

libfuzzer_sys::fuzz_target!(|text: &str| {
    headers(text);
    reference(text);
});
