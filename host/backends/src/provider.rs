//! Which of ONNX Runtime's execution providers reaches GPUs.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What ONNX Runtime runs models on where a GPU is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    Cuda,
    /// With CUDA for what TensorRT does not take.
    TensorRt,
    /// A library with a provider of its own, such as that of the PyPI package
    /// `onnxruntime-ep-webgpu`.
    Plugin(PathBuf),
}

/// A text that names no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider `{0}`; known are `cuda`, `tensorrt`, and the path of a plugin's library")]
pub struct UnknownProvider(String);

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Provider::Cuda => f.pad("cuda"),
            Provider::TensorRt => f.pad("tensorrt"),
            Provider::Plugin(library) => library.display().fmt(f),
        }
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        match text {
            "cuda" => Ok(Provider::Cuda),
            "tensorrt" => Ok(Provider::TensorRt),
            path if path.contains(['/', '\\', '.']) => Ok(Provider::Plugin(path.into())),
            other => Err(UnknownProvider(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_named_or_are_libraries() {
        for (text, provider) in [
            ("cuda", Provider::Cuda),
            ("tensorrt", Provider::TensorRt),
            ("./libp_webgpu.so", Provider::Plugin("./libp_webgpu.so".into())),
        ] {
            assert_eq!(text.parse::<Provider>().unwrap(), provider);
            assert_eq!(provider.to_string(), text);
        }
        let error = "rocm".parse::<Provider>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown provider `rocm`; known are `cuda`, `tensorrt`, and the path of a plugin's library"
        );
    }
}
