//! Programs written for other hosts: core modules of WASI preview 1 with
//! `wasi_ephemeral_nn`, and components of the earlier `wasi:nn`.

use std::time::Duration;

use samara_engine::{
    CommandOutput, CommandRun, DirectoryGrant, Error, ErrorKind, FunctionSource, Host, Kind, Limits, Wasi,
};
use samara_test::onnx::{FP16, FP32, FP64, INT32, INT64, Model, UINT8};

use crate::observed::listening;
use crate::support::*;

#[test]
fn a_module_with_a_start_is_a_command() {
    let host = host();
    let function = load(&host, program("nn_run")).unwrap();
    assert_eq!(function.kind(), Kind::Command(Wasi::V0_1));
    let failed = output(&host, program("nn_run"), &["neither"]);
    assert_eq!(failed.code, 1);
    assert_eq!(failed.stderr, "Error: \"a model is `name:NAME` or `file:PATH`\"\n");
    let exits = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 7))))"#;
    assert_eq!(output(&host, module(exits), &[]).code, 7);
}

#[test]
fn models_come_by_name_and_from_bytes() {
    let host = host();
    let named = with_model(program("nn_run"), "double", double());
    let by_name = output(&host, named, &["name:double", "f32:3:0.5,-1,4", "--", "f32:3"]);
    assert_eq!((by_name.code, by_name.stdout.as_str()), (0, "1 -2 8\n"), "{}", by_name.stderr);

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("double.onnx"), double()).unwrap();
    let models =
        DirectoryGrant { host: folder.path().to_owned(), guest: "/models".to_owned(), writable: false };
    let mut granted = program("nn_run");
    granted.grants.directories = vec![models];
    let arguments = ["file:/models/double.onnx", "f32:3:0.5,-1,4", "--", "f32:3"];
    assert_eq!(output(&host, granted, &arguments), by_name);
    let without = output(&host, program("nn_run"), &arguments);
    assert_eq!((without.code, without.stdout.as_str()), (1, ""));
}

#[test]
fn every_type_that_the_interface_names_passes() {
    let host = host();
    for (datatype, name, value, twice) in [
        (FP16, "f16", "15360", "16384"),
        (FP32, "f32", "0.25", "0.5"),
        (FP64, "f64", "1e300", "2"),
        (UINT8, "u8", "100", "200"),
        (INT32, "i32", "-1000000", "-2000000"),
        (INT64, "i64", "4611686018427387903", "9223372036854775806"),
    ] {
        let sum = Model::new()
            .input("a", datatype, &["n"])
            .input("b", datatype, &["n"])
            .node("Add", &["a", "b"], &["c"])
            .node("Identity", &["a"], &["d"])
            .output("c", datatype, &["n"])
            .output("d", datatype, &["n"])
            .bytes();
        let source = with_model(program("nn_run"), "sum", sum);
        let input = format!("{name}:1:{value}");
        let answer = output(
            &host,
            source,
            &["name:sum", &input, &input, "--", &format!("{name}:1"), &format!("{name}:1")],
        );
        assert_eq!(answer.code, 0, "{name}: {}{}", answer.stdout, answer.stderr);
        let lines: Vec<&str> = answer.stdout.lines().collect();
        let twice = if name == "f64" { "2".to_owned() + &"0".repeat(300) } else { twice.to_owned() };
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], twice, "{name}");
        let back = if name == "f64" { "1".to_owned() + &"0".repeat(300) } else { value.to_owned() };
        assert_eq!(lines[1], back, "{name}");
    }
}

#[test]
fn mistakes_are_numbers_to_the_guest_and_words_in_the_log() {
    let sum = Model::new()
        .input("a", FP32, &["n"])
        .input("b", FP32, &["n"])
        .node("Add", &["a", "b"], &["c"])
        .output("c", FP32, &["n"])
        .bytes();
    let source = with_model(with_model(program("nn_mistakes"), "double", double()), "sum", sum);
    let (source, lines) = listening(source);
    let answer = output(&host(), source, &[]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let argument = "Caller module passed an invalid argument";
    let expected = [
        ("no such name", "Not Found"),
        ("no model", "Invalid Encoding"),
        ("two buffers", argument),
        ("another format", "Invalid Encoding"),
        ("another device", "Unsupported Operation"),
        ("nothing is set", argument),
        ("nothing has run", "Runtime Error"),
        ("another type", argument),
        ("another rank", argument),
        ("another size", argument),
        ("no such input", argument),
        ("a small buffer", "Too Large"),
        ("no such output", argument),
    ];
    let mut expected: Vec<String> = expected
        .iter()
        .map(|(what, why)| format!("{what}: Backend Error: WASI-NN Backend Error: {why}"))
        .collect();
    expected.push("12 [2.0, 4.0, 6.0]".to_owned());
    expected.push(format!("half is set: Backend Error: WASI-NN Backend Error: {argument}"));
    expected.extend(["[20.0]", "[42.0]", "[2.0, 4.0, 6.0]"].map(str::to_owned));
    assert_eq!(answer.stdout.lines().collect::<Vec<_>>(), expected);

    let lines = lines.lock().unwrap().join("\n");
    for said in [
        "no model `treble` is granted to this function (granted: `double`, `sum`)",
        "exactly one buffer; here are 2",
        "goes as f32 (1), not as type 2",
        "has 1 axes, not 2",
        "the model has no input 1; it has 1",
        "output 0 is 12 bytes; the buffer has room for 8",
    ] {
        assert!(lines.contains(said), "{said} is not in {lines}");
    }
}

/// What a call of each function is answered, where every pointer leads out of
/// the memory, and where only the tensor's do. Digits are errno's.
const HOSTILE: &str = r#"(module
    (import "wasi_ephemeral_nn" "load" (func $load (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_ephemeral_nn" "load_by_name" (func $load_by_name (param i32 i32 i32) (result i32)))
    (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
    (import "wasi_ephemeral_nn" "set_input" (func $set_input (param i32 i32 i32) (result i32)))
    (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
    (import "wasi_ephemeral_nn" "get_output" (func $get_output (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "double")
    ;; At 64, a buffer that ends outside; at 80, one that has no end.
    (data (i32.const 64) "\00\ff\00\00\ff\ff\00\00" "\00\00\00\00" "\00\00\00\00" "\ff\ff\ff\ff\ff\ff\ff\ff")
    ;; At 96: dimensions outside. At 128: bytes outside. At 160: too many dimensions.
    (data (i32.const 96) "\fc\ff\ff\ff\01\00\00\00\01\00\00\00\00\00\00\00\04\00\00\00")
    (data (i32.const 128) "\c0\00\00\00\01\00\00\00\01\00\00\00\fe\ff\00\00\04\00\00\00")
    (data (i32.const 160) "\00\00\00\00\ff\ff\ff\ff\01\00\00\00\00\00\00\00\04\00\00\00")
    ;; At 192: the size 1. At 200: a tensor that is right.
    (data (i32.const 192) "\01\00\00\00")
    (data (i32.const 200) "\c0\00\00\00\01\00\00\00\01\00\00\00\c0\00\00\00\04\00\00\00")
    (global $end (mut i32) (i32.const 1024))
    (func $note (param $errno i32)
        (i32.store8 (global.get $end) (i32.add (local.get $errno) (i32.const 48)))
        (global.set $end (i32.add (global.get $end) (i32.const 1))))
    (func (export "_start")
        (call $note (call $load (i32.const 0xfffffffc) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 512)))
        (call $note (call $load (i32.const 64) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 512)))
        (call $note (call $load (i32.const 80) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 512)))
        (call $note (call $load (i32.const 64) (i32.const -1) (i32.const 1) (i32.const 0) (i32.const 512)))
        (call $note (call $load (i32.const 64) (i32.const 1) (i32.const 77) (i32.const 0) (i32.const 512)))
        (call $note (call $load (i32.const 64) (i32.const 1) (i32.const 1) (i32.const 77) (i32.const 512)))
        (call $note (call $load_by_name (i32.const 0xfffffff0) (i32.const 6) (i32.const 512)))
        (call $note (call $load_by_name (i32.const 0) (i32.const 6) (i32.const 65533)))
        (call $note (call $init (i32.const 0) (i32.const 512)))
        (call $note (call $load_by_name (i32.const 0) (i32.const 6) (i32.const 512)))
        (call $note (call $init (i32.const 0) (i32.const -1)))
        (call $note (call $compute (i32.const 0)))
        (call $note (call $init (i32.const 0) (i32.const 512)))
        (call $note (call $set_input (i32.const 0) (i32.const 0) (i32.const -1)))
        (call $note (call $set_input (i32.const 0) (i32.const 0) (i32.const 96)))
        (call $note (call $set_input (i32.const 0) (i32.const 0) (i32.const 128)))
        (call $note (call $set_input (i32.const 0) (i32.const 0) (i32.const 160)))
        (call $note (call $set_input (i32.const 0) (i32.const -1) (i32.const 200)))
        (call $note (call $set_input (i32.const 0) (i32.const 0) (i32.const 200)))
        (call $note (call $compute (i32.const 0)))
        (call $note (call $get_output (i32.const 0) (i32.const 0) (i32.const 65534) (i32.const 4) (i32.const 512)))
        (call $note (call $get_output (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 4) (i32.const -4)))
        (call $note (call $get_output (i32.const 0) (i32.const -1) (i32.const 512) (i32.const 4) (i32.const 520)))
        (call $note (call $get_output (i32.const -1) (i32.const 0) (i32.const 512) (i32.const 4) (i32.const 520)))
        (call $note (call $get_output (i32.const 0) (i32.const 0) (i32.const 512) (i32.const -1) (i32.const 520)))
        (i32.store (i32.const 600) (i32.const 1024))
        (i32.store (i32.const 604) (i32.sub (global.get $end) (i32.const 1024)))
        (drop (call $write (i32.const 1) (i32.const 600) (i32.const 1) (i32.const 608)))))"#;

#[test]
fn pointers_that_lead_outside_are_refused() {
    let answer = output(&host(), with_model(module(HOSTILE), "double", double()), &[]);
    let (load, by_name, unknown) = ("117121", "11", "1");
    assert_eq!(answer.stdout, format!("{load}{by_name}{unknown}0110{}0011110", "11111"), "{}", answer.stderr);
}

#[test]
fn a_module_without_memory_is_told_so() {
    let text = r#"(module
        (import "wasi_ephemeral_nn" "load_by_name" (func $load_by_name (param i32 i32 i32) (result i32)))
        (func (export "_start")
            (br_if 0 (i32.eq
                (call $load_by_name (i32.const 0) (i32.const 6) (i32.const 512))
                (i32.const 3)))
            unreachable))"#;
    assert_eq!(output(&host(), module(text), &[]).code, 0);
}

#[test]
fn limits_hold_for_programs() {
    let host = host();
    let mut small = with_model(program("nn_run"), "double", double());
    small.limits = Limits { tensor_memory: 1100, ..small.limits };
    let (small, lines) = listening(small);
    let long = format!("f32:100:{}", vec!["1"; 100].join(","));
    let answer = output(&host, small, &["name:double", &long, "--", "f32:100"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("TooLarge"), "{}", answer.stderr);
    assert!(lines.lock().unwrap().join("\n").contains("input `x` does not fit the tensor-memory limit"));

    let grows = r#"(module (memory (export "memory") 1) (func (export "_start")
        (br_if 0 (i32.ne (memory.grow (i32.const 100)) (i32.const -1))) unreachable))"#;
    let mut grows = module(grows);
    grows.limits = Limits { memory: 1 << 20, ..grows.limits };
    let error = run(&host, grows, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");

    let endless = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;
    let function = load(&host, module(endless)).unwrap();
    let brief = CommandRun { deadline: Some(Duration::from_millis(50)), ..CommandRun::default() };
    assert_eq!(block_on(function.command_output(brief)).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_module_that_is_no_program_is_refused_with_all_that_is_missing() {
    let host = host();
    let refusal = |text: &str| load(&host, module(text)).unwrap_err();
    let library = refusal(r#"(module (func (export "add")) (func (export "_initialize")))"#);
    assert_eq!(library.kind(), ErrorKind::InvalidFunction);
    assert!(library.to_string().contains("it exports `add`, `_initialize`; expected a function `_start`"));
    let start = refusal(r#"(module (func (export "_start") (param i32)))"#);
    assert!(start.to_string().contains("`_start` without parameters"), "{start}");
    let wanting = refusal(
        r#"(module
            (import "env" "table" (table 1 funcref))
            (import "env" "emscripten\1b[2J" (func))
            (import "wasi_ephemeral_nn" "unload" (func (param i32) (result i32)))
            (import "wasi_snapshot_preview1" "sock_open" (func))
            (func (export "_start")))"#,
    );
    assert_eq!(
        wanting.to_string(),
        "`module` imports what this host does not provide:\n  \
         `env::table`, no function: programs may import `wasi_snapshot_preview1` and `wasi_ephemeral_nn` only\n  \
         `env::emscripten\\u{1b}[2J`: programs may import `wasi_snapshot_preview1` and `wasi_ephemeral_nn` only\n  \
         `wasi_ephemeral_nn::unload`: this host has load, load_by_name, init_execution_context, set_input, compute, get_output\n  \
         `wasi_snapshot_preview1::sock_open`: WASI preview 1 has no such function"
    );
    let other = refusal(
        r#"(module (import "wasi_ephemeral_nn" "compute" (func (result i32))) (func (export "_start")))"#,
    );
    assert!(matches!(other, Error::Link { .. }), "{other}");
}

#[test]
fn components_of_the_earlier_interfaces_run_unchanged() {
    let host = host();
    let august = output(&host, with_model(command("cli_nn_august"), "m", double()), &["1", "2.5"]);
    let lines: Vec<&str> = august.stdout.lines().collect();
    assert_eq!(august.code, 0, "{}", august.stdout);
    assert_eq!(lines.len(), 8, "{}", august.stdout);
    assert!(lines[0].starts_with("ErrorCode::NotFound: no model `no such` is granted"), "{}", lines[0]);
    assert!(lines[1].starts_with("ErrorCode::InvalidEncoding: "), "{}", lines[1]);
    assert!(lines[2].starts_with("ErrorCode::InvalidArgument: "), "{}", lines[2]);
    assert_eq!(lines[3], "ErrorCode::RuntimeError: output `y` is asked for before a run gave it");
    assert!(lines[4].starts_with("ErrorCode::InvalidArgument: "), "{}", lines[4]);
    assert_eq!(lines[5], "[2] TensorType::Fp32 [2.0, 5.0]");
    assert_eq!(lines[6], lines[5]);
    assert!(lines[7].starts_with("ErrorCode::InvalidArgument: "), "{}", lines[7]);

    let june = output(&host, with_model(command("cli_nn_june"), "m", double()), &[]);
    assert_eq!(june.stdout, "[0, 0, 40, 66]\nErrorCode::Security: made by the guest\n");
}

fn program(name: &str) -> FunctionSource {
    component(name, std::fs::read(samara_test::module(name)).unwrap())
}

fn module(text: &str) -> FunctionSource {
    component("module", wat::parse_str(text).unwrap())
}

fn output(host: &Host, source: FunctionSource, arguments: &[&str]) -> CommandOutput {
    run(host, source, arguments).unwrap()
}

fn run(host: &Host, source: FunctionSource, arguments: &[&str]) -> Result<CommandOutput, Error> {
    let function = load(host, source)?;
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    block_on(function.command_output(CommandRun { arguments, ..CommandRun::default() }))
}
