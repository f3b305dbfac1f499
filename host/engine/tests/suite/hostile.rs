//! Functions that misbehave: each call fails alone, with a message that says
//! why, and the next call is served.

use std::time::Duration;

use samara_engine::{Error, ErrorKind, Function, FunctionSource, Host, Limits};
use samara_nn::Tensor;
use samara_test::onnx::ready as onnx;

use crate::support::*;

/// Loads a guest with limits that it is meant to run into.
fn bounded(host: &Host, name: &str, limits: Limits) -> Function {
    load(host, FunctionSource { limits, ..guest(name) }).unwrap()
}

fn generous() -> Limits {
    Limits { deadline: Duration::from_secs(60), ..Limits::default() }
}

/// Calls a function that must fail, then another that must not.
fn failure(host: &Host, function: &Function, inputs: Vec<(&str, Tensor)>) -> Error {
    let error = call(function, inputs).unwrap_err();
    let next = load(host, guest("function_echo")).unwrap();
    let input = next.signature().unwrap().inputs[0].name.clone();
    assert_eq!(as_floats(&call(&next, vec![(&input, floats(&[7.0]))]).unwrap()), [7.0]);
    error
}

#[test]
fn an_endless_loop_ends_at_its_deadline() {
    let host = host();
    let limits = Limits { deadline: Duration::from_millis(200), ..generous() };
    let function = bounded(&host, "function_loop", limits);
    let error = failure(&host, &function, vec![("x", floats(&[1.0]))]);
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.to_string(), "`function_loop` ran longer than its deadline of 200ms");
}

#[test]
fn an_endless_description_ends_the_load() {
    let host = host();
    let limits = Limits { deadline: Duration::from_millis(200), ..generous() };
    let error = load(&host, FunctionSource { limits, ..guest("function_loop_describe") }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn the_callers_own_deadline_holds_too() {
    let host = host();
    let function = bounded(&host, "function_loop", generous());
    let options =
        samara_engine::CallOptions { deadline: Some(Duration::from_millis(100)), ..Default::default() };
    let error = block_on(function.infer(vec![("x".to_owned(), floats(&[1.0]))], options)).unwrap_err();
    assert_eq!(error.to_string(), "`function_loop` ran longer than its deadline of 100ms");
}

#[test]
fn a_slow_model_ends_at_the_deadline() {
    let host = host();
    let limits = Limits { deadline: Duration::from_millis(100), ..generous() };
    let mut source = with_model(source("slow"), "slow", onnx::slow(512, 400));
    source.stages.push(model_stage("slow"));
    source.limits = limits;
    let function = load(&host, source).unwrap();
    let spec = &function.signature().unwrap().inputs[0];
    let shape: Vec<usize> = spec.shape.iter().map(|&size| usize::try_from(size).unwrap_or(512)).collect();
    let x = Tensor::from_vec(shape.clone(), vec![0.5f32; shape.iter().product()]).unwrap();
    let error = call(&function, vec![("", x)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[test]
fn a_memory_bomb_is_refused_memory() {
    let host = host();
    let limits = Limits { memory: 8 << 20, ..generous() };
    let function = bounded(&host, "function_grow", limits);
    let error = failure(&host, &function, vec![("mebibytes_at_once", int(1))]);
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let message = error.to_string();
    assert!(
        message.starts_with("`function_grow` needs more than its limit of 8MiB on linear memory"),
        "{message}"
    );
    assert!(message.ends_with("hint: raise `memory` under `[limits]` in samara.toml"), "{message}");
}

#[test]
fn a_guest_that_starts_larger_than_its_limit_is_refused() {
    let host = host();
    let limits = Limits { memory: 64 << 10, ..generous() };
    let error = load(&host, FunctionSource { limits, ..guest("function_echo") }).unwrap_err();
    assert!(error.to_string().contains("limit of 64KiB on linear memory"), "{error}");
}

#[test]
fn a_tensor_beyond_the_quota_ends_the_guest() {
    let host = host();
    let limits = Limits { tensor_memory: 2 << 20, ..generous() };
    let function = bounded(&host, "function_huge_output", limits);
    let error = failure(&host, &function, vec![("mebibytes", int(4))]);
    assert!(error.to_string().contains("limit of 2MiB on tensor memory"), "{error}");
}

#[test]
fn an_output_beyond_the_limit_is_refused() {
    let host = host();
    let limits = Limits { output: 2 << 20, ..generous() };
    let function = bounded(&host, "function_huge_output", limits);
    let error = failure(&host, &function, vec![("mebibytes", int(4))]);
    assert!(error.to_string().contains("limit of 2MiB on output size"), "{error}");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(call(&function, vec![("mebibytes", int(1))]).is_ok());
}

#[test]
fn a_panic_a_trap_and_an_exit_are_told_apart() {
    let host = host();
    let panicking = bounded(&host, "function_panic", generous());
    let input = panicking.signature().unwrap().inputs[0].clone();
    let error = failure(&host, &panicking, vec![(&input.name, sample(&input))]).to_string();
    assert!(error.contains("`function_panic` trapped: ") && error.contains("its last words:"), "{error}");
    assert!(error.contains("panicked at"), "{error}");

    let trapping = bounded(&host, "function_trap", generous());
    let input = trapping.signature().unwrap().inputs[0].clone();
    let error = failure(&host, &trapping, vec![(&input.name, sample(&input))]).to_string();
    assert_eq!(error, "`function_trap` trapped: wasm `unreachable` instruction executed");

    let exiting = bounded(&host, "function_exit", generous());
    let code = Tensor::from_vec([1], vec![3i32]).unwrap();
    let error = failure(&host, &exiting, vec![("code", code)]);
    assert_eq!(error.to_string(), "`function_exit` called exit(1) instead of returning");
    assert_eq!(error.kind(), ErrorKind::FunctionFailed);
}

#[test]
fn endless_recursion_ends_in_a_trap() {
    let host = host();
    let function = bounded(&host, "function_stack", generous());
    let error = failure(&host, &function, vec![("x", int(0))]);
    assert_eq!(error.kind(), ErrorKind::FunctionFailed, "{error}");
}

#[test]
fn outputs_that_the_signature_does_not_say_are_refused() {
    let host = host();
    let function = bounded(&host, "function_wrong_output", generous());
    for (how, complaint) in [
        ("name", "unknown tensor `z`; the signature has `y`"),
        ("datatype", "tensor `y`: the signature asks for FP32, got INT64"),
        ("raw", "tensor `y`: the signature asks for FP32, got UINT8"),
        ("rank", "tensor `y`: the signature asks for shape [2], got [1]"),
        ("shape", "tensor `y`: the signature asks for shape [2], got [3]"),
        ("missing", "tensor `y FP32[2]` is missing"),
        ("extra", "unknown tensor `z`; the signature has `y`"),
    ] {
        let error = call(&function, vec![("how", text(how))]).unwrap_err();
        let expected =
            format!("`function_wrong_output` returned what its signature does not say: {complaint}");
        assert_eq!(error.to_string(), expected, "{how}");
        assert_eq!(error.kind(), ErrorKind::FunctionFailed);
    }
    assert!(call(&function, vec![("how", text("right"))]).is_ok());
}

#[test]
fn wrong_inputs_never_reach_the_guest() {
    let host = host();
    let function = bounded(&host, "function_sum", generous());
    let refusal = |inputs| {
        let error = call(&function, inputs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    assert_eq!(refusal(vec![("a", floats(&[1.0]))]), "tensor `b FP32[-1]` is missing");
    assert_eq!(refusal(vec![("c", floats(&[1.0]))]), "unknown tensor `c`; the signature has `a`, `b`");
    assert_eq!(refusal(vec![("a", int(1))]), "tensor `a`: the signature asks for FP32, got INT64");
    let matrix = Tensor::from_vec([1, 1], vec![1f32]).unwrap();
    assert_eq!(refusal(vec![("a", matrix)]), "tensor `a`: the signature asks for shape [-1], got [1,1]");
}

#[test]
fn a_functions_own_refusals_keep_their_kind() {
    let host = host();
    let function = bounded(&host, "function_error", generous());
    for (kind, expected) in [
        ("invalid-input", ErrorKind::InvalidInput),
        ("not-found", ErrorKind::NotFound),
        ("unsupported", ErrorKind::Unsupported),
        ("timeout", ErrorKind::Timeout),
        ("too-large", ErrorKind::TooLarge),
        ("internal", ErrorKind::FunctionFailed),
    ] {
        let error = call(&function, vec![("kind", text(kind))]).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert_eq!(error.to_string(), format!("`function_error` answered: asked for {kind}"));
    }
}

#[test]
fn a_full_sandbox_pool_refuses_at_once_and_serves_again() {
    let host = host_of(1);
    let limits = Limits { deadline: Duration::from_millis(500), ..generous() };
    let looping = bounded(&host, "function_loop", limits);
    let echo = load(&host, guest("function_sum")).unwrap();
    block_on(async {
        let busy = {
            let inputs = vec![("x".to_owned(), floats(&[1.0]))];
            let looping = looping.clone();
            tokio::spawn(async move { looping.infer(inputs, Default::default()).await })
        };
        let inputs = || vec![("a".to_owned(), floats(&[1.0])), ("b".to_owned(), floats(&[2.0]))];
        // The loop takes its sandbox some time between now and its deadline.
        let mut refused = false;
        while !refused && !busy.is_finished() {
            match echo.infer(inputs(), Default::default()).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
                    refused = true;
                }
            }
        }
        assert!(busy.await.unwrap().is_err());
        assert!(echo.infer(inputs(), Default::default()).await.is_ok());
    });
}

fn sample(spec: &samara_nn::TensorSpec) -> Tensor {
    let shape: Vec<usize> = spec.shape.iter().map(|&size| usize::try_from(size).unwrap_or(1)).collect();
    let count: usize = shape.iter().product();
    match spec.datatype.size() {
        Some(size) => Tensor::new(spec.datatype, shape, vec![0; count * size]).unwrap(),
        None => Tensor::from_elements(shape, vec!["x"; count]).unwrap(),
    }
}
