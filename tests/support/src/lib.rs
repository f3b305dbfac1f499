//! What the tests of every room share: ONNX models made in memory, guest
//! components built on demand, registries, and the Python that answers are compared with.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "only tests use this crate: a failure here is a failed test, and a skip is said on stderr"
)]

mod certificates;
pub mod client;
mod debian;
mod guests;
mod languages;
pub mod onnx;
mod random;
pub mod registry;
pub mod server;
mod tools;

pub use certificates::write_certificates;
pub use debian::{containerd_2, trixie, trixie_path};
pub use guests::{command, guest, module, standalone_runner, target};
pub use languages::{install_js, install_python};
pub use random::{Random, whatever_comes, whatever_text_comes};
pub use tools::{
    fixture, has_gpu, installer, litert_library, must_have_everything, node_modules, onnxruntime_library,
    program, python, python_environment, resident_bytes, samara, shim,
};
