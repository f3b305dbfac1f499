//! Files that no engine may see, and models that the library cannot run.

use samara_nn::ErrorKind;

use crate::case::Cases;
use crate::{load, source};

#[test]
fn what_the_library_lacks_is_named() {
    let Some(cases) = Cases::read() else { return };
    for (name, words) in [
        ("custom", "unresolved custom op: Sparkle"),
        ("unknown-sizes", "the sizes of output `places` follow from the values of the inputs"),
    ] {
        let Some(loaded) = load(name, cases.model(name)) else { return };
        let error = loaded.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn without_the_library_the_error_says_how_to_have_it() {
    let Some(cases) = Cases::read() else { return };
    let backends = samara_backends::registry(&samara_backends::RegistryOptions::default());
    let model = source("mlp", cases.model("mlp"));
    let loaded = backends.load(&model, &samara_nn::Choice::Auto, &samara_nn::LoadOptions::default());
    let error = loaded.err().unwrap().to_string();
    assert!(error.contains("`samara backends add litert --from WHEEL`"), "{error}");
}

#[test]
fn damaged_files_are_refused_in_words() {
    let Some(cases) = Cases::read() else { return };
    let whole = cases.model("int8-classifier");
    samara_backends::check(&source("whole", whole.clone())).unwrap();
    let refused = |bytes: Vec<u8>| {
        let error = samara_backends::check(&source("m", bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
        error.to_string()
    };
    assert!(refused(Vec::new()).contains("no mark `TFL3`"));
    assert!(refused(b"\x08\0\0\0TFL3".to_vec()).contains("the file is cut off or damaged"));
    for length in (8..whole.len()).step_by(97) {
        refused(whole[..length].to_vec());
    }
}

#[test]
fn scales_that_do_not_convert_are_refused() {
    let Some(cases) = Cases::read() else { return };
    let mut bytes = cases.model("int8-classifier");
    let (scale, huge) = (0.02f32.to_le_bytes(), 2e36f32.to_le_bytes());
    let at = bytes.windows(4).position(|bytes| bytes == scale).unwrap();
    bytes[at..at + 4].copy_from_slice(&huge);
    let error = samara_backends::check(&source("m", bytes)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
    assert!(error.to_string().contains("of quantisation into"), "{error}");
}
