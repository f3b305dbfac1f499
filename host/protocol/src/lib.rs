//! The Open Inference Protocol's messages and codecs: JSON, and the binary
//! tensors behind it.
//!
//! This crate knows tensors, bytes and text only. It must not know engines,
//! servers or sockets: whatever comes in is read here, and answered elsewhere.

pub mod json;
