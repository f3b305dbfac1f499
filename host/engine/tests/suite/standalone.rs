//! Models inside components: called with tensors, and run as commands by a host that
//! has WASI 0.2 and nothing else.

use samara_backends::StandaloneModel;
use samara_engine::{
    DirectoryGrant, ErrorKind, FunctionSource, Kind, Standalone, standalone_component, standalone_payload,
};
use samara_nn::{Datatype, Format, ModelSource, Signature, Tensor, TensorSpec};
use samara_test::onnx::{FP32, INT64, Model};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::support::*;

/// `y = 2 x`, and integers as they are.
fn model() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["n", "2"])
        .input("i", INT64, &["n"])
        .floats("twos", &[300], &[2.0; 300])
        .ints("from", &[1], &[0])
        .ints("to", &[1], &[1])
        .node("Slice", &["twos", "from", "to"], &["two"])
        .node("Mul", &["x", "two"], &["y"])
        .node("Identity", &["i"], &["j"])
        .output("y", FP32, &["n", "2"])
        .output("j", INT64, &["n"])
        .bytes()
}

fn signature() -> Signature {
    let spec = |name: &str, datatype, shape: &[i64]| TensorSpec::new(name, datatype, shape.to_vec());
    let specs =
        |float, integer| vec![spec(float, Datatype::Fp32, &[-1, 2]), spec(integer, Datatype::Int64, &[-1])];
    Signature { inputs: specs("x", "i"), outputs: specs("y", "j") }
}

/// The model as the engine inside gets it.
fn written() -> StandaloneModel {
    let source = ModelSource {
        name: "pair".to_owned(),
        identity: "pair".to_owned(),
        format: Format::Onnx,
        bytes: model().into(),
        beside: samara_nn::Beside::Nothing,
    };
    samara_backends::standalone_model(&source).unwrap()
}

fn parts<'a>(name: &'a str, signature: &'a Signature, model: &'a StandaloneModel) -> Standalone<'a> {
    Standalone { name, signature, file: &model.file, weights: &model.weights }
}

fn component_of_model() -> Vec<u8> {
    let runner = std::fs::read(samara_test::standalone_runner()).unwrap();
    standalone_component(&runner, &parts("pair", &signature(), &written())).unwrap()
}

fn rows(values: &[f32]) -> Tensor {
    Tensor::from_vec([values.len() / 2, 2], values.to_vec()).unwrap()
}

#[test]
fn a_model_inside_a_component_is_a_function() {
    let host = host();
    let function = load(&host, component("pair", component_of_model())).unwrap();
    assert_eq!(function.kind(), Kind::Function);
    assert_eq!(function.signature(), Some(&signature()));
    let outputs = call(&function, vec![("i", int(-7)), ("x", rows(&[0.5, -1.5]))]).unwrap();
    assert_eq!(as_floats(&outputs), [1.0, -3.0]);
    assert_eq!(outputs[1].1.elements::<i64>().unwrap(), [-7].as_slice());

    // An integer that the engine inside has no room for is refused, not wrapped.
    let wide = call(&function, vec![("i", int(1 << 40)), ("x", rows(&[0.0, 0.0]))]).unwrap_err();
    assert_eq!(wide.kind(), ErrorKind::InvalidInput);
    let wide = wide.to_string();
    assert!(wide.contains("input `i`, element 0: 1099511627776 does not fit"), "{wide}");
    let short = call(&function, vec![("x", rows(&[0.0, 0.0]))]).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_runner_without_a_model_says_so() {
    let host = host();
    let bytes = std::fs::read(samara_test::standalone_runner()).unwrap();
    let error = load(&host, component("empty", bytes)).unwrap_err().to_string();
    assert!(error.contains("there is no model in this component"), "{error}");
}

/// A runner that reads this payload.
fn fed(payload: &[u8]) -> (FunctionSource, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("payload"), payload).unwrap();
    let mut source = component("fed", std::fs::read(samara_test::standalone_runner()).unwrap());
    source.grants.environment = vec![("SAMARA_STANDALONE_PAYLOAD".to_owned(), "/model/payload".to_owned())];
    source.grants.directories =
        vec![DirectoryGrant { host: folder.path().to_owned(), guest: "/model".to_owned(), writable: false }];
    (source, folder)
}

#[test]
fn what_a_payload_claims_is_held_against_it() {
    let host = host();
    let answer = |payload: &[u8]| {
        let (source, _folder) = fed(payload);
        let function = load(&host, source)?;
        call(&function, vec![("i", int(1)), ("x", rows(&[0.5, -1.5]))])
    };
    let model = written();
    let honest = standalone_payload(&parts("fed", &signature(), &model));
    assert_eq!(as_floats(&answer(&honest).unwrap()), [1.0, -3.0]);

    let cut = answer(&honest[..20]).unwrap_err().to_string();
    assert!(cut.contains("the model in this component is cut short"), "{cut}");
    let none = StandaloneModel { file: b"no model".to_vec(), weights: Vec::new() };
    let damaged = answer(&standalone_payload(&parts("fed", &signature(), &none))).unwrap_err();
    // The weights of the model are cut.
    assert!(model.weights.len() >= 1024);
    let short = StandaloneModel { weights: model.weights[4..].to_vec(), ..model.clone() };
    let short = answer(&standalone_payload(&parts("fed", &signature(), &short))).unwrap_err();
    assert!(short.to_string().contains("the model does not load"), "{short}");
    assert_eq!(damaged.kind(), ErrorKind::FunctionFailed);
    assert!(damaged.to_string().contains("the model does not load"), "{damaged}");

    let lie = |change: fn(&mut TensorSpec)| {
        let mut signature = signature();
        change(&mut signature.outputs[0]);
        answer(&standalone_payload(&parts("fed", &signature, &model))).unwrap_err().to_string()
    };
    let named = lie(|output| output.name = "z".to_owned());
    assert!(named.contains("it has no value `z`"), "{named}");
    let typed = lie(|output| output.datatype = Datatype::Int64);
    assert!(typed.contains("output `y` INT64 [-1, 2] came as"), "{typed}");
    let shaped = lie(|output| output.shape = vec![-1, 3]);
    assert!(shaped.contains("returned what its signature does not say"), "{shaped}");
}

/// A host with WASI 0.2 alone.
struct Plain {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Plain {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What a command prints, what it complains of, and whether it ended well.
fn run(engine: &Engine, component: &Component, arguments: &[&str], stdin: &str) -> (String, String, bool) {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
    let (stdout, stderr) = (MemoryOutputPipe::new(1 << 20), MemoryOutputPipe::new(1 << 20));
    let wasi = WasiCtxBuilder::new()
        .arg("pair.wasm")
        .args(arguments)
        .stdin(MemoryInputPipe::new(stdin.to_owned()))
        .stdout(stdout.clone())
        .stderr(stderr.clone())
        .build();
    let mut store = Store::new(engine, Plain { wasi, table: ResourceTable::new() });
    let command = Command::instantiate(&mut store, component, &linker).unwrap();
    let ended = command.wasi_cli_run().call_run(&mut store).unwrap();
    drop(store);
    let text = |pipe: MemoryOutputPipe| String::from_utf8(pipe.contents().to_vec()).unwrap();
    (text(stdout), text(stderr), ended.is_ok())
}

#[test]
fn any_host_of_wasi_runs_it_as_a_command() {
    let engine = Engine::default();
    let component = Component::new(&engine, component_of_model()).unwrap();
    let run = |arguments: &[&str], stdin: &str| run(&engine, &component, arguments, stdin);

    let first = r#"{"id": "a", "inputs": [
        {"name": "i", "shape": [2], "datatype": "INT64", "data": [1, -2147483648]},
        {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[0.1, 2], [1e30, "-Infinity"]]}]}"#;
    let second = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1e-9,"NaN"]},
        {"name":"i","shape":[1],"datatype":"INT64","data":[0]}],"outputs":[{"name":"y"}]}"#;
    let (stdout, stderr, well) = run(&[], &format!("{first}\n{second}\n"));
    assert_eq!((stderr.as_str(), well), ("", true));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "{\"model_name\":\"pair\",\"id\":\"a\",\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2, 2],\"data\":[0.2,4,2e30,\"-Infinity\"]},{\"name\":\"j\",\"datatype\":\"INT64\",\"shape\":[2],\"data\":[1,-2147483648]}]}",
            "{\"model_name\":\"pair\",\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[1, 2],\"data\":[2e-9,\"NaN\"]}]}",
        ]
    );

    let (stdout, _, well) = run(&["--describe"], "");
    let described = "{\"name\":\"pair\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1, 2]},{\"name\":\"i\",\"datatype\":\"INT64\",\"shape\":[-1]}],\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1, 2]},{\"name\":\"j\",\"datatype\":\"INT64\",\"shape\":[-1]}]}\n";
    assert_eq!((stdout.as_str(), well), (described, true));
    let (stdout, _, well) = run(&["--help"], "");
    assert!(well && stdout.contains("Inputs:\n  `x` FP32 [-1, 2]\n  `i` INT64 [-1]\nOutputs:"), "{stdout}");

    let x = r#"{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}"#;
    let i = r#"{"name":"i","shape":[1],"datatype":"INT64","data":[1]}"#;
    let wrongs = [
        (String::new(), "no request came on standard input"),
        ("\"x\": 1".to_owned(), "request 1: no request of the protocol: invalid type: string"),
        ("{\"inputs\":".to_owned(), "request 1: no request of the protocol: EOF"),
        (format!(r#"{{"inputs":[{x}]}}"#), "the input `i` INT64 [-1] is missing"),
        (format!(r#"{{"inputs":[{x},{i},{i}]}}"#), "there is no further input `i`; the inputs are `x`, `i`"),
        (
            format!(r#"{{"inputs":[{i},{}]}}"#, x.replace("FP32", "INT32")),
            "input `x` FP32 [-1, 2] is declared, not INT32 [1, 2]",
        ),
        (
            format!(r#"{{"inputs":[{i},{}]}}"#, x.replace("[1,2],\"d", "[2,1],\"d")),
            "input `x` FP32 [-1, 2] is declared, not FP32 [2, 1]",
        ),
        (
            format!(r#"{{"inputs":[{i},{}]}}"#, x.replace("[1,2]}", "[1]}")),
            "input `x`: the shape [1, 2] is not that of 1 elements",
        ),
        (
            format!(r#"{{"inputs":[{i},{}]}}"#, x.replace("[1,2]}", "[1,true]}")),
            "input `x`: element 1: true is no FP32",
        ),
        (
            format!(r#"{{"inputs":[{x},{}]}}"#, i.replace("[1]}", "[2147483648]}")),
            "element 0: 2147483648 does not fit the 32 bits",
        ),
        (
            format!(r#"{{"inputs":[{x},{i}]}} {{"inputs":[{x},{i}],"outputs":[{{"name":"z"}}]}}"#),
            "request 2: there is no output `z`",
        ),
    ];
    for (stdin, complaint) in wrongs {
        let (_, stderr, well) = run(&[], &stdin);
        assert!(!well && stderr.contains(complaint), "{stdin}: {stderr}");
    }
    let (_, stderr, well) = run(&["--verbose"], "");
    assert!(!well && stderr.contains("`--describe` or `--help`, not `--verbose`"), "{stderr}");
}
