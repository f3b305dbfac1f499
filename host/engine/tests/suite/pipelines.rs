//! Functions of several stages.

use samara_engine::{ErrorKind, FunctionSource, StageSource};

use samara_test::onnx::ready;

use crate::support::*;

fn pipeline(stages: Vec<StageSource>) -> FunctionSource {
    FunctionSource { stages, ..source("pipeline") }
}

fn renamed(stage: StageSource, names: &[(&str, &str)]) -> StageSource {
    let names = names.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    match stage {
        StageSource::Component { name, bytes, .. } => StageSource::Component { name, bytes, rename: names },
        StageSource::Compiled { name, code, .. } => StageSource::Compiled { name, code, rename: names },
        StageSource::Model { name, model, .. } => StageSource::Model { name, model, rename: names },
    }
}

#[test]
fn code_and_models_are_stages_alike() {
    let host = host();
    let sum = guest_stage("function_sum");
    let model = renamed(model_stage("double"), &[("x", "sum"), ("y", "doubled")]);
    let source = with_model(pipeline(vec![sum, model]), "double", double());
    let function = load(&host, source).unwrap();
    assert_eq!(function.signature().unwrap().to_string(), "(a FP32[-1], b FP32[-1]) -> (doubled FP32[-1])");
    let outputs = call(&function, vec![("a", floats(&[1.0])), ("b", floats(&[2.0]))]).unwrap();
    assert_eq!(outputs[0].0, "doubled");
    assert_eq!(as_floats(&outputs), [6.0]);
}

#[test]
fn labels_of_a_model_go_through_the_components_that_pass_its_output_on() {
    let host = host();
    let labels = |stages: Vec<StageSource>, name: &str| {
        let source = with_model(pipeline(stages), name, ready::labelled());
        load(&host, source).unwrap().signature().unwrap().outputs[0].labels.clone()
    };
    let model = |name: &str| renamed(model_stage(name), &[("x", "pairs")]);
    assert_eq!(labels(vec![model("m")], "m"), ["no", "yes"]);
    // The component calls the model itself.
    assert_eq!(labels(vec![guest_stage("function_model")], "m"), ["no", "yes"]);
    let renamed = renamed(guest_stage("function_model"), &[("y", "z")]);
    assert_eq!(labels(vec![renamed], "m"), ["no", "yes"], "the pipeline calls it otherwise");
    assert!(labels(vec![guest_stage("function_text")], "m").is_empty());
}

#[test]
fn stages_that_do_not_fit_are_refused_at_load() {
    let host = host();
    let model = renamed(model_stage("double"), &[("x", "upper")]);
    let source = with_model(pipeline(vec![guest_stage("function_text"), model]), "double", double());
    let error = load(&host, source).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPipeline);
    let message = error.to_string();
    assert!(
        message.starts_with("pipeline `pipeline`, stage `double`: it takes `upper FP32[-1]`"),
        "{message}"
    );
    assert!(message.contains("but stage `function_text` makes `upper BYTES[1]"), "{message}");
}

#[test]
fn a_stage_names_the_model_that_is_missing() {
    let host = host();
    let error = load(&host, pipeline(vec![guest_stage("function_sum"), model_stage("nope")])).unwrap_err();
    assert_eq!(error.to_string(), "pipeline `pipeline`, stage `nope`: no model is called `nope`");
}

#[test]
fn a_failing_stage_is_named() {
    let host = host();
    let stages =
        vec![guest_stage("function_text"), renamed(guest_stage("function_error"), &[("kind", "upper")])];
    let function = load(&host, pipeline(stages)).unwrap();
    assert!(call(&function, vec![("text", text("x"))]).is_ok());
    let stages = vec![guest_stage("function_error"), guest_stage("function_text")];
    let function = load(&host, pipeline(stages)).unwrap();
    let error = call(&function, vec![("kind", text("internal")), ("text", text("x"))]).unwrap_err();
    assert_eq!(error.to_string(), "`pipeline/function_error` answered: asked for internal");
}

#[test]
fn a_command_is_no_stage() {
    let host = host();
    let bytes = std::fs::read(samara_test::command("cli_args")).unwrap();
    let stages = vec![guest_stage("function_sum"), component_stage("print", bytes)];
    let error = load(&host, pipeline(stages)).unwrap_err();
    assert_eq!(error.to_string(), "`pipeline/print` is a command, which cannot be a stage of a pipeline");
}
