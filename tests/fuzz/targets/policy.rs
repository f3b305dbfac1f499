//! What says whose images may run: policies and keys; and lock files.
#![no_main]

use samara_package::fuzzing::{lock, policy, public_key};

libfuzzer_sys::fuzz_target!(|text: &str| {
    policy(text);
    public_key(text);
    lock(text);
});
