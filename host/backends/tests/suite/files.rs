//! Weights that lie in files beside the model.

use std::collections::BTreeMap;

use bytes::Bytes;
use samara_nn::{Beside, ErrorKind, ModelSource, Tensor};
use samara_test::onnx::{hostile, ready};

use crate::{Subject, floats, run, source};

const VALUES: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

fn weights() -> Vec<u8> {
    let mut bytes = vec![0xff; 8];
    bytes.extend(VALUES.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

pub(crate) fn weights_beside_the_model_are_read(subject: &Subject) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(directory.path().join("data/w.bin"), weights()).unwrap();
    let path = directory.path().join("model.onnx");
    let model =
        subject.load_source(&source("external", ready::external("data/w.bin", 8, 16), Some(&path))).unwrap();
    assert_eq!(run(&*model, &[floats(&[4], &[10.0; 4])]), [floats(&[4], &[11.0, 12.0, 13.0, 14.0])]);
}

pub(crate) fn weights_that_came_along_are_read(subject: &Subject) {
    let file = Bytes::from(weights());
    let load = |name: &str, bytes: Vec<u8>, files: &[&str]| {
        let files = files.iter().map(|name| ((*name).to_owned(), file.clone())).collect();
        subject.load_source(&ModelSource { beside: Beside::Files(files), ..source(name, bytes, None) })
    };
    let model = load("along", ready::external("data/w.bin", 8, 16), &["data/w.bin", "other"]).unwrap();
    assert_eq!(run(&*model, &[floats(&[4], &[10.0; 4])]), [floats(&[4], &[11.0, 12.0, 13.0, 14.0])]);
    let constant = load("constant", ready::external_constant("w.bin", 8, 16), &["w.bin"]).unwrap();
    assert_eq!(run(&*constant, &[floats(&[4], &[0.0; 4])]), [floats(&[4], &VALUES)]);
    let refuse = |name: &str, bytes: Vec<u8>, reason: &str| {
        let words = load(name, bytes, &["w.bin", "../w.bin", "*/w.bin"]).err().unwrap().to_string();
        assert!(words.contains(reason) && words.contains("`w`"), "{words}");
    };
    refuse("missing", ready::external("data/w.bin", 8, 16), "which is not there");
    refuse("short", ready::external("w.bin", 12, 16), "where 12 are left");
    refuse("escape", ready::external("../w.bin", 8, 16), "which is not inside the model's directory");
    refuse("address", ready::external("*/w.bin", 8, 16), "a name that engines keep for themselves");
}

pub(crate) fn weights_of_inner_graphs_come_along_or_are_refused(subject: &Subject) {
    let files = BTreeMap::from([("w.bin".to_owned(), Bytes::from(weights()))]);
    let bytes = ready::external_branches("w.bin", 8);
    let source = ModelSource { beside: Beside::Files(files), ..source("branches", bytes, None) };
    match subject.load_source(&source) {
        Ok(model) => {
            let yes = Tensor::from_bools([], &[true]).unwrap();
            let answer = run(&*model, &[yes, floats(&[2], &[0.0; 2])]);
            assert_eq!(answer, [floats(&[2], &VALUES[..2])]);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(
                ["a graph inside of it", "`If`"].iter().any(|words| error.to_string().contains(words)),
                "{error}"
            );
        }
    }
}

pub(crate) fn weights_outside_the_directory_are_refused(subject: &Subject) {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("model");
    std::fs::create_dir_all(inside.join("weights")).unwrap();
    std::fs::write(directory.path().join("secret"), weights()).unwrap();
    let path = inside.join("model.onnx");
    let refuse = |location: &str| {
        let source = source("escape", ready::external(location, 8, 16), Some(&path));
        let error = subject.load_source(&source).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
        let words = error.to_string();
        assert!(words.contains(location) && words.contains("`w`"), "{words}");
    };
    hostile::ESCAPES.into_iter().for_each(refuse);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret", inside.join("link")).unwrap();
        std::os::unix::fs::symlink(directory.path(), inside.join("out")).unwrap();
        refuse("link");
        refuse("out/secret");
    }
    refuse("missing.bin");
    refuse("weights");
}

pub(crate) fn weight_files_that_are_too_short_are_refused(subject: &Subject) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("w.bin"), weights()).unwrap();
    let path = directory.path().join("model.onnx");
    for (offset, length) in [(12, 16), (1000, 16), (0, 1 << 40)] {
        let source = source("short", ready::external("w.bin", offset, length), Some(&path));
        let error = subject.load_source(&source).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
        assert!(error.to_string().contains("`w`"), "{error}");
    }
}
