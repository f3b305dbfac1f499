//! ONNX models, written by the tests themselves: no test needs a file that
//! somebody else made.
//!
//! ```
//! use samara_test::onnx::{FP32, Model};
//!
//! let bytes = Model::new()
//!     .input("x", FP32, &["batch", "4"])
//!     .node("Relu", &["x"], &["y"])
//!     .output("y", FP32, &["batch", "4"])
//!     .bytes();
//! assert!(!bytes.is_empty());
//! ```

mod build;
pub mod families;
pub mod hostile;
mod net;
pub mod proto;
pub mod ready;

pub use build::{Attribute, Model, raw, tensor};

/// The numbers by which ONNX files name datatypes.
pub const FP32: i32 = 1;
pub const UINT8: i32 = 2;
pub const INT8: i32 = 3;
pub const UINT16: i32 = 4;
pub const INT16: i32 = 5;
pub const INT32: i32 = 6;
pub const INT64: i32 = 7;
pub const STRING: i32 = 8;
pub const BOOL: i32 = 9;
pub const FP16: i32 = 10;
pub const FP64: i32 = 11;
pub const UINT32: i32 = 12;
pub const UINT64: i32 = 13;
pub const BF16: i32 = 16;
