//! What a manifest says, and what every mistake in one is answered with.

use super::*;

const FULL: &str = r#"
[function]
name = "digits"
version = "0.2.0"
component = "./target/digits.wasm"
reuse = { calls = 100 }

[build]
command = "cargo build --release"

[model.digits]
path = "models/digits.onnx"
target = "gpu:1"
backend = "tract"
batch = { max = 32, delay = "500us" }
threads = 2
sessions = 4
gpu-memory = "2GiB"
precision = "fp16"

[limits]
memory = "64MiB"
table = 500
deadline = "1.5s"
tensor-memory = "500kB"
output = "1GiB"

[capabilities]
http = ["api.example.com", "localhost:8080"]
directories = [{ host = "data", guest = "/data", writable = true }, { host = "/srv", guest = "/srv" }]
environment = ["LOG_LEVEL"]

[[test]]
name = "a three"
inputs = "tests/three.json"
expect = "tests/three.expected.json"
tolerance = 1e-4
"#;

fn parse(text: &str) -> Result<Manifest, Error> {
    Manifest::parse(text, Path::new("samara.toml"))
}

/// The message for `text`, which must be refused for a reason of `kind`.
fn refusal(kind: ErrorKind, text: &str) -> String {
    let error = parse(text).expect_err("the manifest must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

/// The message for a one-component function with `rest` after it, which
/// begins at line 4.
fn refusal_after(kind: ErrorKind, rest: &str) -> String {
    refusal(kind, &format!("[function]\nname = \"f\"\ncomponent = \"f.wasm\"\n{rest}"))
}

#[test]
fn every_key_arrives() {
    let manifest = parse(FULL).unwrap();
    assert_eq!(manifest.function.name, "digits");
    assert_eq!(manifest.function.version, "0.2.0");
    assert_eq!(manifest.function.reuse, Some(Reuse { calls: 100 }));
    assert_eq!(manifest.components(), [Path::new("target/digits.wasm")]);
    assert_eq!(manifest.build, Some(Build { command: "cargo build --release".to_owned() }));
    let model = Model {
        path: ModelPath::File("models/digits.onnx".into()),
        target: "gpu:1".to_owned(),
        backend: "tract".to_owned(),
        batch: Some(Batch { max: 32, delay: Duration::from_micros(500) }),
        threads: Some(2),
        sessions: Some(4),
        gpu_memory: Some(2 << 30),
        precision: "fp16".to_owned(),
    };
    assert_eq!(manifest.models, BTreeMap::from([("digits".to_owned(), model)]));
    let limits = Limits {
        memory: 64 << 20,
        table: 500,
        deadline: Duration::from_millis(1500),
        tensor_memory: 500_000,
        output: 1 << 30,
    };
    assert_eq!(manifest.limits, limits);
    assert_eq!(manifest.capabilities.http, ["api.example.com", "localhost:8080"]);
    assert_eq!(manifest.capabilities.directories.len(), 2);
    assert!(manifest.capabilities.directories[0].writable);
    assert!(!manifest.capabilities.directories[1].writable);
    assert_eq!(manifest.capabilities.environment, ["LOG_LEVEL"]);
    assert_eq!(manifest.tests[0].tolerance, 1e-4);
}

#[test]
fn silence_means_the_documented_defaults() {
    let manifest = parse("[function]\nname = \"m\"\n[model.m]\npath = \"m.onnx\"\n").unwrap();
    assert_eq!(manifest.function.version, "0.1.0");
    assert_eq!(manifest.function.reuse, None);
    assert_eq!(manifest.limits, Limits::DEFAULT);
    assert_eq!(manifest.models["m"].target, "cpu");
    assert_eq!(manifest.models["m"].backend, "auto");
    assert_eq!(manifest.models["m"].precision, "exact");
    assert_eq!(manifest.capabilities, Capabilities::default());
}

#[test]
fn a_precision_is_one_of_two() {
    let of = |precision: &str| {
        format!("[function]\nname = \"m\"\n[model.m]\npath = \"m.onnx\"\nprecision = \"{precision}\"\n")
    };
    for precision in ["exact", "fp16"] {
        assert_eq!(parse(&of(precision)).unwrap().models["m"].precision, precision);
    }
    assert_eq!(
        refusal(ErrorKind::BadValue, &of("half")),
        "samara.toml:5:13: `precision = \"half\"`: a precision is `exact`, the model's own datatypes, or `fp16`"
    );
}

#[test]
fn a_pipeline_keeps_its_order() {
    let text = "[function]\nname = \"p\"\n[model.net]\npath = \"net.onnx\"\n\
                [[stage]]\nname = \"decode\"\ncomponent = \"decode.wasm\"\n\
                [[stage]]\nname = \"net\"\nmodel = \"net\"\nrename = { input = \"pixels\" }\n";
    let manifest = parse(text).unwrap();
    assert_eq!(manifest.stages[0].run, StageRun::Component("decode.wasm".into()));
    assert_eq!(manifest.stages[1].run, StageRun::Model("net".to_owned()));
    assert_eq!(manifest.stages[1].rename["input"], "pixels");
    assert_eq!(manifest.components(), [Path::new("decode.wasm")]);
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_known_one() {
    assert_eq!(
        refusal(ErrorKind::UnknownKey, "[function]\nname = \"f\"\ncompnent = \"f.wasm\"\n"),
        "samara.toml:3:1: unknown key `compnent` in `[function]`; did you mean `component`?"
    );
    assert_eq!(
        refusal_after(ErrorKind::UnknownKey, "[limit]\nmemory = \"1MiB\"\n"),
        "samara.toml:4:2: unknown key `limit` in the manifest; did you mean `limits`?"
    );
    assert_eq!(
        refusal_after(ErrorKind::UnknownKey, "[model.m]\npath = \"m.onnx\"\nbatch = { maximum = 3 }\n"),
        "samara.toml:6:11: unknown key `maximum` in `batch`; did you mean `max`?"
    );
    assert_eq!(
        refusal_after(ErrorKind::UnknownKey, "[build]\nqqq = 1\n"),
        "samara.toml:5:1: unknown key `qqq` in `[build]`; known are `command`"
    );
}

#[test]
fn wrong_types_say_what_came() {
    assert_eq!(
        refusal(ErrorKind::WrongType, "[function]\nname = 7\n"),
        "samara.toml:2:8: `name` must be a string, not the integer 7"
    );
    assert_eq!(
        refusal_after(ErrorKind::WrongType, "[limits]\nmemory = 64\n"),
        "samara.toml:5:10: `memory` must be a string, not the integer 64"
    );
    assert_eq!(
        refusal_after(ErrorKind::WrongType, "[capabilities]\nhttp = \"api.example.com\"\n"),
        "samara.toml:5:8: `http` must be an array, not the string \"api.example.com\""
    );
    assert_eq!(
        refusal_after(ErrorKind::WrongType, "[stage]\nname = \"a\"\n"),
        "samara.toml:4:1: `stage` must be an array, not a table"
    );
    assert_eq!(
        refusal(ErrorKind::WrongType, "model = 3\n[function]\nname = \"f\"\n"),
        "samara.toml:1:9: `model` must be a table, not the integer 3"
    );
}

#[test]
fn senseless_values_are_refused() {
    assert_eq!(
        refusal_after(ErrorKind::BadValue, "[limits]\nmemory = \"64\"\n"),
        "samara.toml:5:10: `memory = \"64\"`: a size is a number above 0 with a unit, such as \"64MiB\", \
         \"1.5GiB\" or \"500kB\""
    );
    assert_eq!(
        refusal_after(ErrorKind::BadValue, "[limits]\ndeadline = \"0s\"\n"),
        "samara.toml:5:12: `deadline = \"0s\"`: a duration is a number above 0 with a unit, such as \"500us\", \
         \"20ms\", \"2s\" or \"1min\""
    );
    let bad = [
        "[limits]\ntable = -3\n",
        "[limits]\nmemory = \"-1MiB\"\n",
        "[limits]\nmemory = \"99999999999GiB\"\n",
        "[model.m]\npath = \"m.onnx\"\nthreads = 0\n",
        "[model.m]\npath = \"m.onnx\"\ntarget = \"tpu\"\n",
        "[model.\"m/n\"]\npath = \"m.onnx\"\n",
        "[build]\ncommand = \" \"\n",
        "[capabilities]\nhttp = [\"https://api.example.com/\"]\n",
        "[capabilities]\nenvironment = [\"A=1\"]\n",
        "[capabilities]\ndirectories = [{ host = \"d\", guest = \"data\" }]\n",
        "[[test]]\nname = \"two\\nlines\"\ninputs = \"a\"\nexpect = \"b\"\n",
        "[[test]]\nname = \"t\"\ninputs = \"a\"\nexpect = \"b\"\ntolerance = -1.0\n",
        "[[test]]\nname = \"t\"\ninputs = \"a\"\nexpect = \"b\"\ntolerance = inf\n",
    ];
    for text in bad {
        refusal_after(ErrorKind::BadValue, text);
    }
    refusal(ErrorKind::BadValue, "[function]\nname = \"Digits!\"\ncomponent = \"f.wasm\"\n");
    refusal(ErrorKind::BadValue, "[function]\nname = \"f\"\nversion = \"1\"\ncomponent = \"f.wasm\"\n");
    refusal(ErrorKind::BadValue, "[function]\nname = \"f\"\ncomponent = \"f.wasm\"\nreuse = { calls = 0 }\n");
}

#[test]
fn a_model_may_lie_in_an_image() {
    let path = |text: &str| {
        parse(&format!("[function]\nname = \"m\"\n[model.m]\npath = \"{text}\"\n")).unwrap().models["m"]
            .path
            .clone()
    };
    let expected =
        ModelPath::Image { reference: "r.io/zoo:1".parse().unwrap(), part: Some("a/b.onnx".to_owned()) };
    assert_eq!(path("oci://r.io/zoo:1#a/b.onnx"), expected);
    assert_eq!(path("oci://r.io/zoo:1#a/b.onnx").to_string(), "oci://r.io/zoo:1#a/b.onnx");
    assert_eq!(path("oci://r.io/zoo").to_string(), "oci://r.io/zoo:latest");
    assert_eq!(path("oci://r.io/zoo").file(), None);
    assert_eq!(path("./m.onnx").file(), Some(Path::new("m.onnx")));
    for (text, reason) in [
        ("oci://", "no image reference"),
        ("oci://R.io/Zoo", "repository must be lower-case"),
        ("oci://r.io/zoo#", "behind `#` stands the name"),
        ("https://r.io/m.onnx", "or `oci://` and an image's reference"),
    ] {
        let manifest = format!("[model.m]\npath = \"{text}\"\n");
        let message = refusal_after(ErrorKind::BadValue, &manifest);
        assert!(message.starts_with("samara.toml:5:8: ") && message.contains(reason), "{message}");
    }
}

#[test]
fn paths_stay_inside_the_folder() {
    for path in ["/etc/passwd", "../f.wasm", "a/../../f.wasm", "", "a\\\\b.wasm"] {
        let message =
            refusal(ErrorKind::BadValue, &format!("[function]\nname = \"f\"\ncomponent = \"{path}\"\n"));
        assert!(message.contains("no absolute path, no `..`"), "{message}");
    }
    let message = refusal_after(ErrorKind::BadValue, "[model.m]\npath = \"../m.onnx\"\n");
    assert!(message.starts_with("samara.toml:5:8: `path = \"../m.onnx\"`: "), "{message}");
}

#[test]
fn missing_keys_say_what_they_are_for() {
    assert_eq!(
        refusal(ErrorKind::Missing, "[model.m]\npath = \"m.onnx\"\n"),
        "samara.toml:1:1: the manifest needs the key `function`, a table with the function's name"
    );
    assert_eq!(
        refusal(ErrorKind::Missing, "\n[function]\n"),
        "samara.toml:2:1: `[function]` needs the key `name`, what the function is called"
    );
    assert_eq!(
        refusal_after(ErrorKind::Missing, "[[test]]\nname = \"t\"\n"),
        "samara.toml:4:1: `[[test]]` needs the key `inputs`, the file with the request"
    );
}

#[test]
fn contradictions_are_found() {
    assert_eq!(
        refusal_after(ErrorKind::Conflict, "[[stage]]\nname = \"a\"\ncomponent = \"a.wasm\"\n"),
        "samara.toml:3:13: a function has either a `component` or `[[stage]]` entries, not both"
    );
    let stages = |rest: &str| format!("[function]\nname = \"p\"\n[model.net]\npath = \"net.onnx\"\n{rest}");
    assert_eq!(
        refusal(ErrorKind::BadValue, &stages("[[stage]]\nname = \"a\"\nmodel = \"nett\"\n")),
        "samara.toml:7:9: `model = \"nett\"`: the manifest has no `[model.nett]`; its models are: `net`"
    );
    assert_eq!(
        refusal(
            ErrorKind::Conflict,
            &stages("[[stage]]\nname = \"a\"\nmodel = \"net\"\ncomponent = \"a.wasm\"\n")
        ),
        "samara.toml:7:9: stage `a` has both `component` and `model`; a stage is one of them"
    );
    assert_eq!(
        refusal(ErrorKind::Conflict, &stages("[[stage]]\nname = \"a\"\n")),
        "samara.toml:5:1: stage `a` needs `component` or `model`"
    );
    let twice = "[[stage]]\nname = \"a\"\nmodel = \"net\"\n[[stage]]\nname = \"a\"\nmodel = \"net\"\n";
    assert_eq!(
        refusal(ErrorKind::Conflict, &stages(twice)),
        "samara.toml:8:1: two stages are called `a`; give one of them another name"
    );
    let twice = "[[test]]\nname = \"t\"\ninputs = \"a\"\nexpect = \"b\"\n".repeat(2);
    assert_eq!(
        refusal_after(ErrorKind::Conflict, &twice),
        "samara.toml:8:1: two tests are called `t`; give one of them another name"
    );
    let message = refusal(ErrorKind::Conflict, "[function]\nname = \"f\"\n");
    assert!(message.starts_with("samara.toml:1:1: the function has nothing to run"), "{message}");
    let message = refusal(
        ErrorKind::Conflict,
        "[function]\nname = \"f\"\n[model.a]\npath = \"a\"\n[model.b]\npath = \"b\"\n",
    );
    assert!(message.contains("has 2 models"), "{message}");
}

#[test]
fn broken_toml_has_a_place() {
    let message = refusal(ErrorKind::Syntax, "[function]\nname = \"f\nversion = 1\n");
    assert!(message.starts_with("samara.toml:2:"), "{message}");
    let message = refusal(ErrorKind::Syntax, "[function]\nname = \"f\"\nname = \"g\"\n");
    assert!(message.starts_with("samara.toml:3:1: duplicate key"), "{message}");
}

#[test]
fn a_missing_manifest_is_named() {
    let error = Manifest::load(Path::new("/nowhere/at/all")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "`/nowhere/at/all` has no `samara.toml`");
}

#[test]
fn sizes_and_durations_have_units() {
    assert_eq!(parse_size("1.5KiB"), Ok(1536));
    assert_eq!(parse_size("12B"), Ok(12));
    assert!(parse_size("1 MiB").is_err());
    assert!(parse_size("MiB").is_err());
    assert_eq!(parse_duration("2min"), Ok(Duration::from_secs(120)));
    assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    assert!(parse_duration("1e3s").is_err());
    assert!(parse_duration("2").is_err());
}

#[test]
fn a_manifest_of_somebody_else_steers_no_terminal() {
    let text = "\"\\u001b[2Jx\\nhint: \\u202edo\" = 1\n";
    let message = refusal_after(ErrorKind::UnknownKey, text);
    assert!(message.contains("`\\u{1b}[2Jx hint: \\u{202e}do`"), "{message}");
}

#[test]
fn outputs_may_have_words_for_their_indices() {
    let text = "[function]\nname = \"f\"\ndescription = \"What it is for\"\n[labels]\ny = [\"cat\", \"dog\"]\n[model.f]\npath = \"f.onnx\"\n";
    let manifest = Manifest::parse(text, Path::new("samara.toml")).unwrap();
    assert_eq!(manifest.function.description.as_deref(), Some("What it is for"));
    assert_eq!(manifest.labels["y"], ["cat", "dog"]);
    let wrong = text.replace("[\"cat\", \"dog\"]", "\"cat\"");
    let error = Manifest::parse(&wrong, Path::new("samara.toml")).unwrap_err().to_string();
    assert!(error.contains("`y` must be an array"), "{error}");
}
