//! What the SDK asks of its host: `wasi:nn` in a component, a stand-in with
//! the same items elsewhere, so that functions run in plain `cargo test`.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub use native::*;
#[cfg(target_arch = "wasm32")]
pub use wasm::*;
