//! A model file, as it is checked before any engine sees it.
#![no_main]

use samara_nn::{Format, ModelSource};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let format = match Format::recognise(bytes, "m.onnx") {
        Ok(format) => format,
        Err(error) => {
            assert!(error.to_string().contains("samara reads ONNX"));
            return;
        }
    };
    let source = ModelSource {
        name: "m".to_owned(),
        identity: String::new(),
        format,
        bytes: bytes.to_vec().into(),
        beside: samara_nn::Beside::Nothing,
    };
    if let Err(error) = samara_backends::check(&source) {
        assert!(!error.to_string().is_empty());
    }
});
