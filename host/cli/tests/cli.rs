//! The binary as users meet it: standard output, standard error, exit code.
//! These cases need no engine; `models.rs` has those that run a model.

mod support;

use std::fs;

use support::Place;

#[test]
fn a_wrong_command_is_answered_with_the_nearest() {
    let run = Place::new().samara(&["insepct"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("a similar subcommand exists: 'inspect'"), "{}", run.err);
    assert_eq!(Place::new().samara(&[]).code, 2);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let run = Place::new().samara(&["run", "--help"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.contains("--allow-http") && run.out.contains("Exit codes:"), "{}", run.out);
    assert!(Place::new().samara(&["--version"]).out.starts_with("samara 0."));
}

#[test]
fn malformed_flags_are_wrong_usage() {
    let cases: [(&[&str], &str); 5] = [
        (&["run", ".", "--model", "digits.onnx"], "write `NAME=FILE`"),
        (&["run", ".", "--allow-dir", "data"], "write `HOST::GUEST` or `HOST::GUEST:rw`"),
        (&["run", ".", "--allow-env", "=x"], "write `NAME` or `NAME=VALUE`"),
        (&["run", ".", "--target", "tpu"], "unknown target `tpu`; use `cpu`, `gpu`, `gpu:N` or `gpu-or-cpu`"),
        (&["run", ".", "--input", "x=@"], "a file's name belongs after `@`"),
    ];
    for (args, words) in cases {
        let run = Place::new().samara(args);
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.err.contains(words), "{}", run.err);
    }
}

#[test]
fn a_new_project_is_written_once() {
    let place = Place::new();
    let run = place.samara(&["new", "my-fn"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert!(run.err.contains("samara run my-fn"), "{}", run.err);
    for file in ["samara.toml", "Cargo.toml", ".cargo/config.toml", "src/lib.rs", "sdk/wit/function.wit"] {
        assert!(place.path("my-fn").join(file).is_file(), "{file}");
    }
    let run = place.samara(&["new", "my-fn"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.err, "error: `my-fn` exists already\nhint: choose another name, or remove it first\n");
}

#[test]
fn a_new_project_needs_a_good_name_and_flags_that_agree() {
    let place = Place::new();
    let run = place.samara(&["new", "My Fn"]);
    assert_eq!(run.code, 1);
    assert!(run.err.starts_with("error: `My Fn` is no name for a function: "), "{}", run.err);
    let run = place.samara(&["new", "f", "--template", "rust", "--model", "m.onnx"]);
    assert_eq!(run.code, 2);
    let run = place.samara(&["new", "f", "--model", "nowhere.onnx"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err.starts_with("error: cannot read `nowhere.onnx`\n  caused by: No such file"),
        "{}",
        run.err
    );
    fs::write(place.path("model.pt"), b"PK\x03\x04 and then archive/data.pkl").unwrap();
    let run = place.samara(&["new", "f", "--model", "model.pt"]);
    assert!(run.err.contains("it is a model of PyTorch"), "{}", run.err);
    assert!(run.err.contains("samara reads ONNX (`.onnx`), TFLite"), "{}", run.err);
    assert!(!place.path("f").exists());
}

#[test]
fn what_cannot_be_run_is_told_apart() {
    let place = Place::new();
    place.write("notes.md", "");
    fs::create_dir(place.path("empty")).unwrap();
    let cases = [
        ("nowhere.wasm", "error: `nowhere.wasm` does not exist\n"),
        (
            "digits:1",
            "error: `digits:1` is no file here and no image in the store\nhint: `samara images` lists",
        ),
        (
            "Digits:1",
            "error: `Digits:1` does not exist, and can be no image: the repository must be lower-case",
        ),
        // Reserved never to have an address: RFC 6761.
        ("registry.invalid/digits:1", "no address is known for the host `registry.invalid`"),
        ("notes.md", "error: `notes.md` is neither a folder with `samara.toml`, nor a component"),
        (
            "empty",
            "error: `empty` is neither the folder of a function, which has a file `samara.toml`, nor that of an NNEF model, which has a file `graph.nnef`\nhint: make a new",
        ),
    ];
    for (what, words) in cases {
        let run = place.samara(&["run", what]);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{what}");
        assert!(run.err.contains(words), "{}", run.err);
    }
}

#[test]
fn a_wrong_manifest_is_shown_with_its_place() {
    let place = Place::new();
    place.write("f/samara.toml", "[function]\nname = \"f\"\ncompnent = \"f.wasm\"\n");
    let run = place.samara(&["run", "f"]);
    assert_eq!(run.code, 1);
    assert_eq!(
        run.err,
        "error: cannot use the folder `f`\n  caused by: f/samara.toml:3:1: unknown key `compnent` in \
         `[function]`; did you mean `component`?\n"
    );
}

#[test]
fn files_that_are_no_components_are_refused() {
    let place = Place::new();
    place.write("text.wasm", "hello");
    place.write("cut.wasm", "\0asm\x0d\0\x01\0\x07");
    place.write("model.wasm", "");
    for file in ["text.wasm", "cut.wasm", "model.wasm"] {
        let run = place.samara(&["run", file]);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{file}");
        assert!(run.err.starts_with("error: "), "{}", run.err);
    }
}

#[cfg(unix)]
mod building {
    use super::*;

    fn project(place: &Place, command: &str) {
        let build =
            if command.is_empty() { String::new() } else { format!("[build]\ncommand = \"{command}\"\n") };
        place.write("f/samara.toml", format!("[function]\nname = \"f\"\ncomponent = \"f.wasm\"\n{build}"));
    }

    #[test]
    fn what_the_command_says_goes_to_standard_error() {
        let place = Place::new();
        place.write("empty.wasm", "\0asm\x0d\0\x01\0");
        project(&place, "echo words; cp ../empty.wasm f.wasm");
        let run = place.samara(&["build", "f"]);
        assert_eq!((run.code, run.out.as_str()), (0, ""));
        assert_eq!(
            run.err,
            "  Building f (`echo words; cp ../empty.wasm f.wasm`)\nwords\n     Built f/f.wasm\n"
        );
        let run = place.samara(&["build", "f", "--output", "json", "-q"]);
        assert_eq!(run.json()["components"][0], "f/f.wasm");
        assert_eq!(run.err, "");
    }

    #[test]
    fn what_is_no_component_is_found_out_when_it_is_built() {
        let place = Place::new();
        project(&place, "echo hello > f.wasm");
        let run = place.samara(&["build", "f"]);
        assert_eq!((run.code, run.out.as_str()), (1, ""));
        assert!(run.err.contains("error: ") && run.err.contains("f/f.wasm"), "{}", run.err);
    }

    #[test]
    fn a_failing_command_fails_the_build() {
        let place = Place::new();
        project(&place, "echo no luck; exit 3");
        let run = place.samara(&["run", "f"]);
        assert_eq!(run.code, 1);
        assert!(
            run.err.contains("error: `echo no luck; exit 3` failed in `f`: exit status: 3"),
            "{}",
            run.err
        );
        let run = place.samara(&["build", "f", "-q"]);
        assert!(run.err.contains("failed in `f`") && run.err.contains("no luck"), "{}", run.err);
    }

    #[test]
    fn a_command_that_makes_no_component_is_found_out() {
        let place = Place::new();
        project(&place, "true");
        let run = place.samara(&["build", "f"]);
        assert_eq!(run.code, 1);
        assert!(run.err.contains("error: `true` succeeded, but made no `f/f.wasm`\nhint: "), "{}", run.err);
    }

    #[test]
    fn without_a_command_the_component_must_be_there() {
        let place = Place::new();
        project(&place, "");
        let run = place.samara(&["run", "f"]);
        assert_eq!(run.code, 1);
        assert!(
            run.err.starts_with(
                "error: `f/f.wasm` does not exist, and `f/samara.toml` has no `[build]` command"
            ),
            "{}",
            run.err
        );
    }
}

#[test]
fn tests_must_exist_to_pass() {
    let place = Place::new();
    place.write("f/samara.toml", "[function]\nname = \"f\"\n[model.m]\npath = \"m.onnx\"\n");
    let run = place.samara(&["test", "f"]);
    assert_eq!(run.code, 1);
    assert!(run.err.starts_with("error: `f` has no tests\nhint: add one: "), "{}", run.err);
}

#[test]
fn missing_model_files_are_named() {
    let place = Place::new();
    place.write("f/samara.toml", "[function]\nname = \"f\"\n[model.m]\npath = \"m.onnx\"\n");
    let run = place.samara(&["run", "f"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err.starts_with(
            "error: cannot load `[model.m]` of `samara.toml`\n  caused by: cannot read `f/m.onnx`\n  caused by: No such"
        ),
        "{}",
        run.err
    );
}

#[test]
fn grants_must_make_sense() {
    let place = Place::new();
    place.write("f.wasm", "");
    let run = place.samara(&["run", "f.wasm", "--allow-dir", "nowhere::/data"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.err, "error: `nowhere` is no directory, so the function cannot be given it as `/data`\n");
    let run = place.samara(&["run", "f.wasm", "--allow-env", "SAMARA_TEST_UNSET"]);
    assert!(run.err.contains("the variable is not set here\nhint: "), "{}", run.err);
}

#[test]
fn doctor_says_what_to_do() {
    let place = Place::new();
    let run = place.samara(&["doctor", "--output", "json"]);
    let checks = run.json();
    assert_eq!((run.code, checks["ok"].as_bool()), (0, Some(true)));
    assert_eq!(checks["checks"][0]["check"], "store");
    place.write("file", "");
    let run = place.samara(&["doctor", "--store", "file/store"]);
    assert_eq!(run.code, 1);
    assert!(run.out.starts_with("fail store        `file/store` cannot be written: "), "{}", run.out);
    assert!(run.out.contains("name another folder with `--store DIR` or `SAMARA_STORE`"), "{}", run.out);
}

#[test]
fn completions_are_scripts_and_a_closed_pipe_is_no_error() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = place.samara(&["completions", shell]);
        assert!(run.code == 0 && run.out.contains("samara"), "{shell}");
    }
    let run = place.samara_without_reader(&["completions", "zsh"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
}

#[test]
fn colours_are_there_when_asked_for() {
    let place = Place::new();
    let plain = place.samara(&["run", "nowhere.wasm"]);
    assert!(!plain.err.contains('\u{1b}'));
    let coloured = place.samara(&["run", "nowhere.wasm", "--color", "always"]);
    assert!(coloured.err.contains('\u{1b}'), "{}", coloured.err);
}
