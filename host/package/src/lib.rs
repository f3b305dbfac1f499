//! What a function is made of, and how it travels: the manifest
//! `samara.toml`, the OCI image that carries it with its models, the store
//! that keeps images, the registries they come from, and the signatures that
//! say whose they are.
//!
//! This crate knows bytes, paths, digests and text only. It must not know
//! tensors, engines or wasmtime: whoever loads a function gives meaning to
//! what is read here.

#![deny(unsafe_code)]

pub mod bom;
pub mod bundle;
mod digest;
#[doc(hidden)]
pub mod fuzzing;
pub mod image;
pub mod layout;
pub mod manifest;
mod mapping;
pub mod media_types;
pub mod models;
mod reference;
mod referrer;
pub mod registry;
pub mod sign;
pub mod spec;
pub mod store;
pub mod sweep;
mod text;

pub use digest::{Digest, InvalidDigest, Sha256};
pub use manifest::Manifest;
pub use mapping::map;
pub use reference::{InvalidReference, Reference};
pub use store::Store;
pub use sweep::Sweep;
pub use text::tame;
