//! What the macro says of wrong declarations, and at which token.

use proc_macro2::TokenStream;
use syn::ItemFn;

use crate::expand;
use crate::parse;

/// Each message with the source text that it points at.
fn problems(args: &str, item: &str) -> Vec<(String, String)> {
    let args: TokenStream = args.parse().unwrap();
    let mut item: ItemFn = syn::parse_str(item).unwrap();
    let Err(error) = parse::function(args, &mut item) else { return Vec::new() };
    error.into_iter().map(|error| (source_text(&error), error.to_string())).collect()
}

#[cfg(feature = "span-tests")]
fn source_text(error: &syn::Error) -> String {
    error.span().source_text().unwrap_or_default()
}

/// Without the feature, spans know no text.
#[cfg(not(feature = "span-tests"))]
fn source_text(_: &syn::Error) -> String {
    String::new()
}

/// The only problem.
fn problem(args: &str, item: &str) -> (String, String) {
    let mut found = problems(args, item);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[track_caller]
fn refused(args: &str, item: &str, at: &str, message: &str) {
    let (place, said) = problem(args, item);
    assert!(said.contains(message), "{said}");
    if cfg!(feature = "span-tests") {
        assert_eq!(place, at, "{said}");
    }
}

#[test]
fn what_is_right_has_no_problems() {
    for (args, item) in [
        ("", "fn f(x: f32) -> f32 { x }"),
        ("output = \"y\",", "fn f() -> Result<f32> { Ok(1.0) }"),
        ("outputs = [\"a\", \"b\"]", "fn f(x: f32, mut y: f32) -> io::Result<(f32, f32)> { todo }"),
        (
            "outputs(a, r#type, \"top-k\"(datatype = FP32, shape = [-1, 0]))",
            "fn f() -> (f32, f32, Tensor) { x }",
        ),
        (
            "",
            "pub(crate) fn f(#[tensor(name = \"a-b\", media_type = \"x/y\", shape = [])] x: Tensor) -> f32 { x }",
        ),
    ] {
        assert_eq!(problems(args, item), [], "{args} {item}");
    }
}

#[test]
fn signatures_that_cannot_be_called() {
    refused("", "async fn f() -> f32 { 1.0 }", "async", "not `async`");
    refused("", "unsafe fn f() -> f32 { 1.0 }", "unsafe", "not `unsafe`");
    refused("", "extern \"C\" fn f() -> f32 { 1.0 }", "extern \"C\"", "leave `extern` out");
    refused("", "fn f<T: Copy>(x: T) -> T { x }", "T: Copy", "not generic");
    refused("", "fn f(x: f32) -> f32 where f32: Copy { x }", "where f32: Copy", "not generic");
    refused("", "fn f(self) -> f32 { 1.0 }", "self", "plain `fn`");
}

#[test]
fn arguments_that_name_no_input() {
    refused("", "fn f((a, b): (f32, f32)) -> f32 { a }", "(a, b)", "plain name");
    refused("", "fn f(_: f32) -> f32 { 1.0 }", "_", "plain name");
    refused("", "fn f(x: &[f32]) -> f32 { 1.0 }", "&[f32]", "take the value itself");
    refused("", "fn f(x: impl Copy) -> f32 { 1.0 }", "impl Copy", "name the type");
    let item = "fn f(x: f32, #[tensor(name = \"x\")] y: f32) -> f32 { x }";
    refused("", item, "\"x\"", "two inputs are called `x`");
}

#[test]
fn outputs_that_do_not_match_the_result() {
    refused("", "fn f() { }", "f", "return it");
    refused("", "fn f() -> () { }", "()", "return it");
    refused("", "fn f() -> Result { x }", "Result", "say what the `Result` holds");
    refused("", "fn f() -> (f32, f32) { x }", "(f32, f32)", "name the outputs");
    let two = "outputs = [\"a\", \"b\"]";
    refused(
        two,
        "fn f() -> (f32, f32, i64) { x }",
        "(f32, f32, i64)",
        "2 outputs are declared, but the tuple has 3",
    );
    refused(two, "fn f() -> Result<f32> { x }", "f32", "2 outputs are declared: return a tuple");
    refused("outputs(a, a)", "fn f() -> (f32, f32) { x }", "a", "two outputs are called `a`");
    refused("output = \"\"", "fn f() -> f32 { x }", "\"\"", "has a name");
    refused("outputs()", "fn f() -> f32 { x }", "outputs", "at least one output");
}

#[test]
fn words_that_do_not_exist() {
    let item = "fn f() -> f32 { 1.0 }";
    refused("result = \"y\"", item, "result", "expected `output = \"name\"`");
    refused("output(y)", item, "output", "expected `output = \"name\"`");
    refused("output = \"y\" output", item, "output", "expected `output = \"name\"`");
    refused("outputs(y(datatype = FLOAT))", item, "FLOAT", "`FLOAT` is not a datatype; they are BOOL, UINT8");
    refused("outputs(y(datatype = \"FP32\"))", item, "\"FP32\"", "without quotes");
    refused("outputs(y(shape = [-2]))", item, "-2", "-1 for any size");
    refused("outputs(y(shape = [n]))", item, "n", "-1 for any size");
    refused("outputs(y(shapes = [1]))", item, "shapes", "`shape = [-1, 3]`");
    refused("outputs(y(shape = [1], shape = [2]))", item, "shape", "given twice");
    refused("outputs(y(name = \"z\"))", item, "\"z\"", "has its name already");
    refused("outputs(1)", item, "1", "the name of an output");
    let twice = "fn f(#[tensor(shape = [1])] #[tensor(datatype = FP32)] x: Tensor) -> f32 { x }";
    refused("", twice, "#[tensor(datatype = FP32)]", "one `#[tensor(…)]`");
}

#[test]
fn all_problems_of_a_signature_come_at_once() {
    let found = problems("what", "async fn f<T>((a, b): (T, T), c: &T) -> T { a }");
    let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    if cfg!(feature = "span-tests") {
        assert_eq!(places, ["(a, b)", "&T", "async", "T", "what"]);
    }
    assert_eq!(places.len(), 5);
}

#[test]
fn the_fn_survives_errors_without_our_attributes() {
    let item: TokenStream = "fn f(#[tensor(shape = [1])] x: &f32) -> f32 { 1.0 }".parse().unwrap();
    let code = expand::function(TokenStream::new(), item).to_string();
    assert!(code.contains("fn f (x : & f32)") && code.contains("compile_error"), "{code}");
    let other = expand::function(TokenStream::new(), "struct S;".parse().unwrap()).to_string();
    assert!(other.contains("struct S") && other.contains("is for a `fn`"), "{other}");
}
