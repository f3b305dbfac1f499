//! The protocol over HTTP: paths, and bodies of JSON with tensors behind it.

pub mod decode;
pub mod path;
