//! The JSON of images and registries: manifests, indexes, configurations, what
//! is signed, and the answers of registries.
#![no_main]

use samara_package::fuzzing::{bodies, documents, payload};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    documents(bytes);
    payload(bytes);
    bodies(bytes);
});
