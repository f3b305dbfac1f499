//! The kinds of component, and what is no component at all.

use std::time::Duration;

use samara_engine::{CommandRun, DirectoryGrant, ErrorKind, Kind, Wasi};

use crate::support::*;

#[test]
fn the_three_kinds_are_told_apart_by_their_exports() {
    let host = host();
    let kind = |source| load(&host, source).unwrap().kind();
    assert_eq!(kind(guest("function_echo")), Kind::Function);
    assert_eq!(kind(command("cli_args")), Kind::Command(Wasi::V0_2));
    assert_eq!(kind(guest("p3_hello")), Kind::Command(Wasi::V0_3));
    assert_eq!(kind(guest("http_hello")), Kind::Http(Wasi::V0_2));
}

#[test]
fn a_command_gives_its_exit_code() {
    let host = host();
    let function = load(&host, command("cli_exit")).unwrap();
    let run = |code: &str| block_on(function.run_command(&[code.to_owned()], None)).unwrap();
    // The exit of WASI 0.2 tells success from failure, and no more.
    assert_eq!([run("0"), run("3")], [0, 1]);
}

#[test]
fn a_command_can_be_recorded_with_variables_and_folders_of_one_run() {
    let host = host();
    let mut granted = command("cli_trial");
    granted.grants.environment = vec![("RATE".to_owned(), "1".to_owned())];
    let function = load(&host, granted).unwrap();
    let run = |arguments: &[&str]| CommandRun {
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        environment: vec![("RATE".to_owned(), "0.5".to_owned())],
        ..CommandRun::default()
    };
    let output = block_on(function.command_output(run(&["--depth=3"]))).unwrap();
    assert_eq!(output.code, 0);
    assert_eq!(output.stdout, "{\"epoch\":1}\n{\"depth\":3,\"env.RATE\":0.5}\nthat was all\n");
    let failed = block_on(function.command_output(run(&["--fail=no data"]))).unwrap();
    assert_eq!((failed.code, failed.stdout.as_str()), (1, ""));
    assert_eq!(failed.stderr, "before the end\nerror: no data\n");

    let folder = tempfile::tempdir().unwrap();
    let out = DirectoryGrant { host: folder.path().to_owned(), guest: "/out".to_owned(), writable: true };
    let into = CommandRun { directories: vec![out], ..run(&["--into=/out/r.json"]) };
    assert_eq!(block_on(function.command_output(into)).unwrap().stdout, "{\"epoch\":1}\n");
    let written = std::fs::read_to_string(folder.path().join("r.json")).unwrap();
    assert!(written.contains("\"env.RATE\":0.5"), "{written}");
}

#[test]
fn a_recorded_command_ends_at_its_deadline() {
    let host = host();
    let function = load(&host, command("cli_trial")).unwrap();
    let run = CommandRun {
        arguments: vec!["--loop=true".to_owned()],
        deadline: Some(Duration::from_millis(50)),
        ..CommandRun::default()
    };
    let error = block_on(function.command_output(run)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let function = load(&host, guest("function_echo")).unwrap();
    let error = block_on(function.command_output(CommandRun::default())).unwrap_err();
    assert!(error.to_string().contains("cannot be run as a command"), "{error}");
}

#[test]
fn a_command_for_wasi_0_3_runs() {
    let host = host();
    let function = load(&host, guest("p3_hello")).unwrap();
    assert_eq!(block_on(function.run_command(&[], Some(Duration::from_secs(60)))).unwrap(), 0);
    let recorded = block_on(function.command_output(CommandRun::default())).unwrap();
    assert_eq!((recorded.code, recorded.stdout.as_str()), (0, "hello from WASI 0.3\n"));
}

#[test]
fn a_command_uses_models() {
    let host = host();
    let function = load(&host, with_model(command("cli_model"), "m", double())).unwrap();
    assert_eq!(block_on(function.run_command(&[], None)).unwrap(), 0);
}

#[test]
fn a_command_is_not_called_with_tensors_nor_a_function_run() {
    let host = host();
    let command = load(&host, command("cli_args")).unwrap();
    let error = call(&command, vec![]).unwrap_err();
    assert_eq!(error.to_string(), "`cli_args` is a command, which cannot be called with tensors");
    let function = load(&host, guest("function_echo")).unwrap();
    let error = block_on(function.run_command(&[], None)).unwrap_err();
    assert_eq!(error.to_string(), "`function_echo` is a function, which cannot be run as a command");
    let http = load(&host, guest("http_hello")).unwrap();
    assert!(call(&http, vec![]).unwrap_err().to_string().contains("is an HTTP function"));
}

#[test]
fn a_component_that_exports_nothing_known_is_told_what_was_expected() {
    let host = host();
    let bytes =
        wat::parse_str("(component (instance $i) (export \"acme:db/query@1.0.0\" (instance $i)))").unwrap();
    let error = load(&host, component("odd", bytes)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidFunction);
    let message = error.to_string();
    assert!(
        message.contains("it exports `acme:db/query@1.0.0`; expected `samara:function/function@0.1.0`"),
        "{message}"
    );
}

#[test]
fn imports_that_this_host_does_not_have_are_listed() {
    let host = host();
    let text = "(component
        (import \"acme:db/query@1.0.0\" (instance))
        (import \"wasi:keyvalue/store@0.2.0\" (instance))
        (instance $i) (export \"wasi:cli/run@0.2.0\" (instance $i)))";
    let error = load(&host, component("needy", wat::parse_str(text).unwrap())).unwrap_err().to_string();
    assert!(error.starts_with("`needy` imports what this host does not provide:\n"), "{error}");
    assert!(
        error.contains("  `acme:db/query@1.0.0`: ") && error.contains("  `wasi:keyvalue/store@0.2.0`: "),
        "{error}"
    );
}

#[test]
fn a_model_given_as_a_component_is_told_so() {
    let host = host();
    let error = load(&host, component("model.onnx", double())).unwrap_err();
    assert!(error.to_string().contains("does not begin as WebAssembly does"), "{error}");
}
