//! NNEF, packed into archives of every kind, and archives that are none.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    Choice, ErrorKind, Format, LoadOptions, Model, ModelSource, Result, RunContext, Tensor, TensorSpec,
};

const GRAPH: &str = "version 1.0;
graph layer( x ) -> ( y ) {
  x = external<scalar>(shape = [2, 3]);
  w = variable<scalar>(shape = [2, 3], label = 'w');
  b = variable<scalar>(shape = [1, 2], label = 'b');
  y = linear(x, w, b);
}
";

fn load(bytes: Vec<u8>) -> Result<Arc<dyn Model>> {
    let source = ModelSource {
        name: "layer".to_owned(),
        identity: "layer".to_owned(),
        format: Format::Nnef,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    let registry = registry(&RegistryOptions::default());
    registry.load(&source, &Choice::Auto, &LoadOptions::default()).map(|(_, model)| model)
}

/// A tensor file: its header, and its numbers.
fn tensor(shape: &[u32], values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0x4e, 0xef, 1, 0];
    bytes.extend((4 * values.len() as u32).to_le_bytes());
    bytes.extend((shape.len() as u32).to_le_bytes());
    for axis in 0..8 {
        bytes.extend(shape.get(axis).unwrap_or(&0).to_le_bytes());
    }
    bytes.extend(32u32.to_le_bytes());
    bytes.resize(128, 0);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn layer() -> Vec<u8> {
    archive(&[
        ("graph.nnef", GRAPH.as_bytes()),
        ("w.dat", &tensor(&[2, 3], &[1.0, 2.0, 3.0, 0.5, 0.0, -1.0])),
        ("b.dat", &tensor(&[1, 2], &[10.0, 20.0])),
    ])
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_model_runs_whether_it_is_compressed_or_not() {
    for bytes in [layer(), compressed(&layer())] {
        let model = load(bytes).unwrap();
        let named = |specs: &[TensorSpec]| -> Vec<(String, Vec<i64>)> {
            specs.iter().map(|spec| (spec.name.clone(), spec.shape.clone())).collect()
        };
        assert_eq!(named(&model.signature().inputs), [("x".to_owned(), vec![2, 3])]);
        assert_eq!(named(&model.signature().outputs), [("y".to_owned(), vec![2, 2])]);
        let input = Tensor::from_vec([2, 3], vec![1.0f32, 1.0, 1.0, 0.0, 1.0, 2.0]).unwrap();
        let answer = model.session().unwrap().run(&[input], &RunContext::default()).unwrap();
        assert_eq!(answer[0].elements::<f32>().unwrap().as_ref(), [16.0, 19.5, 18.0, 18.0]);
    }
}

#[test]
fn archives_that_are_no_models_are_refused() {
    let whole = compressed(&layer());
    let huge = tensor(&[u32::MAX, u32::MAX], &[1.0]);
    let graph = ("graph.nnef", GRAPH.as_bytes());
    let cases: [(Vec<u8>, &str); 5] = [
        (archive(&[("notes.txt", b"words")]), "an archive without a file `graph.nnef`"),
        (archive(&[graph, ("w.dat", b"short")]), "`w.dat` has no header of a tensor"),
        (archive(&[graph, ("w.dat", &huge)]), "`w.dat` brings 4 bytes, fewer than its shape takes"),
        (whole[..whole.len() / 2].to_vec(), "it is cut off or damaged"),
        (vec![0x1f, 0x8b, 8], "it is cut off or damaged"),
    ];
    for (bytes, words) in cases {
        let error = load(bytes).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let nonsense =
        load(archive(&[("graph.nnef", b"version 1.0; graph g( x ) -> ( y ) { y = sparkle(x); }")]));
    assert_eq!(nonsense.err().unwrap().kind(), ErrorKind::Unsupported);
    // Of nothing but zeros, which is an archive without files.
    let zeros = compressed(&vec![0; 1 << 20]);
    assert!(load(zeros).is_err());
}
