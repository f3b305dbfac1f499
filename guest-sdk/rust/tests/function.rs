//! Functions made by the macro, called as the host calls them.

use samara_sdk::testing::{call, with_model};
use samara_sdk::{Bytes, Context, Datatype, Error, ErrorKind, Function, Result, Tensor, Tensors};

#[samara_sdk::function(output = "doubled")]
fn double(values: Vec<f32>) -> Vec<f32> {
    values.iter().map(|value| 2.0 * value).collect()
}

/// Everything an attribute can say.
#[samara_sdk::function(outputs(
    count,
    "the-rest"(datatype = INT16, shape = [-1, 2], media_type = "application/x-pairs"),
))]
pub fn everything(
    #[tensor(name = "top-k", shape = [1])] mut top_k: i64,
    #[tensor(datatype = INT16, shape = [-1, 2])] pairs: Tensor,
    #[tensor(media_type = "image/png")] picture: Bytes,
    r#type: Option2,
) -> std::result::Result<(i64, Tensor), String> {
    top_k += i64::try_from(picture.0.len()).map_err(|error| error.to_string())?;
    if r#type == "bad" {
        return Err("asked to fail".to_owned());
    }
    Ok((top_k, pairs))
}

/// A type's alias is as good as its name.
type Option2 = String;

#[samara_sdk::function]
fn no_inputs() -> bool {
    true
}

#[samara_sdk::function]
fn classify(x: Vec<f32>) -> Result<Vec<i16>> {
    samara_sdk::model("m")?.run([("x", x)])?.take("y")
}

#[samara_sdk::function(outputs(y(shape = [2])))]
fn lies(x: Vec<f32>) -> Vec<f32> {
    x
}

#[test]
fn the_signature_is_what_was_declared() {
    let signature = everything::describe();
    let inputs: Vec<_> = signature.inputs.iter().map(ToString::to_string).collect();
    assert_eq!(
        inputs,
        ["`top-k` INT64 [1]", "`pairs` INT16 [-1, 2]", "`picture` BYTES [1]", "`type` BYTES [1]"]
    );
    let media = |index: usize| signature.inputs[index].media_type.as_deref();
    assert_eq!((media(0), media(2), media(3)), (None, Some("image/png"), Some("text/plain")));
    let outputs: Vec<_> = signature.outputs.iter().map(ToString::to_string).collect();
    assert_eq!(outputs, ["`count` INT64 [1]", "`the-rest` INT16 [-1, 2]"]);
    assert_eq!(signature.outputs[1].media_type.as_deref(), Some("application/x-pairs"));
    assert_eq!(no_inputs::describe().outputs[0].to_string(), "`output` BOOL [1]");
}

fn inputs_of_everything(kind: &str) -> Tensors {
    let pairs = Tensor::from_vec([1, 2], vec![-1i16, 7]).unwrap();
    let tensors = Tensors::new().with("top-k", 3i64).unwrap().with("pairs", pairs).unwrap();
    tensors.with("picture", Bytes(vec![0; 4])).unwrap().with("type", kind.to_owned()).unwrap()
}

#[test]
fn a_call_converts_both_ways() {
    let mut outputs = call::<everything>(inputs_of_everything("good")).unwrap();
    assert_eq!(outputs.take::<i64>("count").unwrap(), 7);
    let rest: Tensor = outputs.take("the-rest").unwrap();
    assert_eq!((rest.datatype(), rest.as_slice::<i16>().unwrap()), (Datatype::Int16, &[-1, 7][..]));
    assert!(call::<no_inputs>(Tensors::new()).unwrap().take::<bool>("output").unwrap());
}

#[test]
fn the_fn_itself_stays() {
    assert_eq!(double(vec![1.0]), [2.0]);
}

#[test]
fn errors_of_the_function_are_internal() {
    let error = call::<everything>(inputs_of_everything("bad")).unwrap_err();
    assert_eq!(error, Error::internal("asked to fail"));
}

#[test]
fn wrong_inputs_are_named() {
    let wrong = |inputs: Tensors| {
        let error = call::<double>(inputs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        error.message().to_owned()
    };
    assert_eq!(wrong(Tensors::new()), "the input `values` FP32 [-1] is missing");
    let other = Tensors::new().with("valuse", 1.0f32).unwrap();
    assert_eq!(wrong(other), "there is no input `valuse`; the inputs are `values`");
    let integers = Tensors::new().with("values", vec![1i64]).unwrap();
    assert_eq!(wrong(integers), "input `values`: is INT64 [1], but FP32 [-1] is declared");
    let square = Tensor::from_vec([1, 1], vec![1.0f32]).unwrap();
    let square = Tensors::new().with("values", square).unwrap();
    assert_eq!(wrong(square), "input `values`: is FP32 [1, 1], but FP32 [-1] is declared");
    let mut text = inputs_of_everything("good");
    text.insert("type", Bytes(vec![b'a', 0xFF])).unwrap();
    let error = call::<everything>(text).unwrap_err();
    assert_eq!(
        error.message(),
        "input `type`: a text is not UTF-8 at byte 1; take it as `Bytes` if it is none"
    );
}

#[test]
fn an_output_that_is_not_as_declared_is_the_functions_fault() {
    let error = call::<lies>([("x", vec![1.0f32; 3])]).unwrap_err();
    assert_eq!(error, Error::internal("output `y`: is FP32 [3], but FP32 [2] is declared"));
}

#[test]
fn models_have_stand_ins() {
    let halves = |mut inputs: Tensors| {
        let x: Vec<f32> = inputs.take("x")?;
        Tensors::new().with("y", x.iter().map(|x| (x / 2.0) as i16).collect::<Vec<i16>>())
    };
    let mut outputs = with_model("m", halves, || call::<classify>([("x", vec![6.0f32, -4.0])])).unwrap();
    assert_eq!(outputs.take::<Vec<i16>>("output").unwrap(), [3, -2]);
}

#[test]
fn a_model_without_stand_in_is_not_found() {
    let error = call::<classify>([("x", vec![1.0f32])]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().starts_with("model `m`: no model `m`"), "{error}");
    let outer = with_model(
        "m",
        |_| Err(Error::timeout("slow")),
        || {
            let inner = with_model("m", Ok, || samara_sdk::model("m")?.run([("x", 1i64)]).context("inner"));
            assert!(inner.unwrap().get("x").is_some());
            samara_sdk::model("m")?.run([("x", 1i64)])
        },
    );
    assert_eq!(outer.unwrap_err(), Error::timeout("model `m`: slow"));
}

#[test]
fn outputs_that_are_missing_are_named() {
    let mut outputs = call::<double>([("values", vec![1.0f32])]).unwrap();
    let error = outputs.take::<Vec<f32>>("double").unwrap_err();
    assert_eq!(error, Error::not_found("there is no tensor `double`; there are: `doubled` FP32 [1]"));
    let error = outputs.take::<Vec<i64>>("doubled").unwrap_err();
    assert_eq!(error.message(), "tensor `doubled`: is FP32 [1], but INT64 was asked for");
}
