//! What a function is made of, as files: the manifest `samara.toml`.
//!
//! This crate knows bytes, paths and text only. It must not know tensors,
//! engines or wasmtime: whoever loads a function gives meaning to what is read
//! here.

#![forbid(unsafe_code)]

pub mod manifest;

pub use manifest::Manifest;
