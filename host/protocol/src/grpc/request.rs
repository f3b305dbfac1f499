//! `ModelInferRequest` as the neutral core reads it.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use samara_nn::{Datatype, NamedTensor, format_shape};

use super::contents;
use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::{InferParameter, ModelInferRequest};
use crate::error::{Error, Result};
use crate::inference::Inference;

/// A request that was read.
#[derive(Debug)]
pub struct Asked {
    pub inference: Inference,
    pub form: Form,
    /// For the outputs that are asked for, in their order: how many classes
    /// instead of the tensor.
    pub classes: Vec<Option<usize>>,
}

/// How tensors travel in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In `raw_output_contents`: what clients that send raw inputs read.
    Raw,
    /// In `contents`: what clients that send those read.
    Typed,
}

type Parameters = BTreeMap<String, InferParameter>;

/// Reads the tensors and settings of a request.
///
/// # Errors
/// [`Error::Malformed`] naming the tensor or setting that is wrong.
pub fn read(request: ModelInferRequest) -> Result<Asked> {
    let timeout = timeout(&request.parameters)?;
    let (outputs, classes) = outputs(request.outputs)?;
    let form = if request.inputs.iter().any(|input| input.contents.is_some())
        && request.raw_input_contents.is_empty()
    {
        Form::Typed
    } else {
        Form::Raw
    };
    let mut raw = match &request.raw_input_contents[..] {
        [] => None,
        raw if raw.len() == request.inputs.len() => Some(request.raw_input_contents.into_iter()),
        raw => {
            return malformed(format!(
                "`raw_input_contents` has {} entries for {} inputs; it needs one for each",
                raw.len(),
                request.inputs.len()
            ));
        }
    };
    let mut names = HashSet::new();
    let mut inputs = Vec::with_capacity(request.inputs.len());
    for input in request.inputs {
        if !names.insert(input.name.clone()) {
            return malformed(format!("input `{}` is given twice", input.name));
        }
        inputs.push(tensor(input, raw.as_mut().and_then(Iterator::next))?);
    }
    Ok(Asked { inference: Inference { inputs, outputs, timeout }, form, classes })
}

fn tensor(input: InferInputTensor, raw: Option<bytes::Bytes>) -> Result<NamedTensor> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    refuse_shared_memory("input", &name, &parameters)?;
    let datatype: Datatype =
        datatype.parse().map_err(|error| Error::Malformed(format!("input `{name}`: {error}")))?;
    let sizes = shape.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
    let Ok(sizes) = sizes else {
        return malformed(format!("input `{name}`: shape {} has a negative size", format_shape(&shape)));
    };
    let tensor = match raw {
        Some(_) if contents.as_ref().is_some_and(contents::has_elements) => {
            return malformed(format!(
                "input `{name}` has `contents` beside `raw_input_contents`; send either the one or the other"
            ));
        }
        Some(bytes) => contents::read_raw(datatype, sizes, bytes),
        None => contents::read(datatype, sizes, contents),
    };
    match tensor {
        Ok(tensor) => Ok((name, tensor)),
        Err(problem) => malformed(format!("input `{name}`: {problem}")),
    }
}

fn outputs(asked: Vec<InferRequestedOutputTensor>) -> Result<(Vec<String>, Vec<Option<usize>>)> {
    let (mut names, mut classes) = (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
    let mut seen = HashSet::new();
    for output in asked {
        if !seen.insert(output.name.clone()) {
            return malformed(format!("output `{}` is asked for twice", output.name));
        }
        refuse_shared_memory("output", &output.name, &output.parameters)?;
        let count = whole_number(&output.parameters, "classification")
            .map_err(|words| Error::Malformed(format!("output `{}`: {words}", output.name)))?;
        classes
            .push(count.filter(|&count| count > 0).map(|count| usize::try_from(count).unwrap_or(usize::MAX)));
        names.push(output.name);
    }
    Ok((names, classes))
}

/// In microseconds; 0 stands for none.
fn timeout(parameters: &Parameters) -> Result<Option<Duration>> {
    let given = whole_number(parameters, "timeout").map_err(Error::Malformed)?;
    Ok(given.filter(|&given| given > 0).map(Duration::from_micros))
}

fn whole_number(parameters: &Parameters, name: &str) -> Result<Option<u64>, String> {
    let Some(parameter) = parameters.get(name) else { return Ok(None) };
    let number = match &parameter.parameter_choice {
        Some(ParameterChoice::Int64Param(number)) => u64::try_from(*number).ok(),
        Some(ParameterChoice::Uint64Param(number)) => Some(*number),
        _ => None,
    };
    number
        .map(Some)
        .ok_or_else(|| format!("parameter `{name}` is {}, not a whole number of 0 or more", shown(parameter)))
}

fn shown(parameter: &InferParameter) -> String {
    match &parameter.parameter_choice {
        Some(ParameterChoice::BoolParam(value)) => value.to_string(),
        Some(ParameterChoice::Int64Param(value)) => value.to_string(),
        Some(ParameterChoice::Uint64Param(value)) => value.to_string(),
        Some(ParameterChoice::DoubleParam(value)) => value.to_string(),
        Some(ParameterChoice::StringParam(value)) => format!("{value:?}"),
        None => "empty".to_owned(),
    }
}

fn refuse_shared_memory(what: &str, name: &str, parameters: &Parameters) -> Result<()> {
    match parameters.contains_key("shared_memory_region") {
        true => malformed(format!(
            "{what} `{name}` is in shared memory, which this server does not use; send its bytes"
        )),
        false => Ok(()),
    }
}

fn malformed<T>(words: String) -> Result<T> {
    Err(Error::Malformed(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::grpc::proto::InferTensorContents;

    fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
        InferInputTensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
            ..InferInputTensor::default()
        }
    }

    fn floats(values: &[f32]) -> InferTensorContents {
        InferTensorContents { fp32_contents: values.to_vec(), ..InferTensorContents::default() }
    }

    fn request(inputs: Vec<InferInputTensor>, raw: Vec<Vec<u8>>) -> ModelInferRequest {
        let raw_input_contents = raw.into_iter().map(Into::into).collect();
        ModelInferRequest { inputs, raw_input_contents, ..ModelInferRequest::default() }
    }

    fn parameter(name: &str, choice: ParameterChoice) -> Parameters {
        BTreeMap::from([(name.to_owned(), InferParameter { parameter_choice: Some(choice) })])
    }

    fn refusal(request: ModelInferRequest) -> String {
        let error = read(request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    }

    #[test]
    fn raw_bytes_are_not_copied() {
        let bytes = vec![0; 8];
        let place = bytes.as_ptr();
        let asked = read(request(vec![input("x", "FP32", &[2])], vec![bytes])).unwrap();
        let (name, tensor) = &asked.inference.inputs[0];
        assert_eq!((name.as_str(), tensor.data().as_ptr()), ("x", place));
        assert_eq!(asked.form, Form::Raw);
    }

    #[test]
    fn typed_contents_ask_for_typed_ones() {
        let mut typed = input("x", "FP32", &[1, 2]);
        typed.contents = Some(floats(&[1.0, 2.0]));
        let asked = read(request(vec![typed], vec![])).unwrap();
        assert_eq!(asked.inference.inputs[0].1.elements::<f32>().unwrap().as_ref(), [1.0, 2.0]);
        assert_eq!(asked.form, Form::Typed);
    }

    #[test]
    fn what_contradicts_itself_is_told_by_tensor() {
        let x = || input("x", "FP32", &[2]);
        let mut both = x();
        both.contents = Some(floats(&[1.0, 2.0]));
        assert!(
            refusal(request(vec![both], vec![vec![0; 8]])).starts_with("input `x` has `contents` beside")
        );
        assert_eq!(
            refusal(request(vec![x()], vec![vec![0; 7]])),
            "input `x`: a FP32 tensor of shape [2] takes 8 bytes, not 7"
        );
        assert!(refusal(request(vec![x()], vec![])).starts_with("input `x`: it has neither"));
        assert_eq!(
            refusal(request(vec![x()], vec![vec![], vec![]])),
            "`raw_input_contents` has 2 entries for 1 inputs; it needs one for each"
        );
        assert_eq!(refusal(request(vec![x(), x()], vec![vec![0; 8]; 2])), "input `x` is given twice");
        assert_eq!(
            refusal(request(vec![input("x", "FP32", &[-1, 2])], vec![vec![0; 8]])),
            "input `x`: shape [-1,2] has a negative size"
        );
        assert!(refusal(request(vec![input("x", "FLOAT", &[1])], vec![vec![]])).contains("`FLOAT`"));
        assert!(
            refusal(request(vec![input("x", "BYTES", &[1])], vec![vec![9, 0, 0, 0, 1]]))
                .contains("element 0 claims 9 bytes where 1 are left")
        );
        let mut shared = x();
        shared.parameters = parameter("shared_memory_region", ParameterChoice::StringParam("r".to_owned()));
        assert!(refusal(request(vec![shared], vec![vec![0; 8]])).contains("shared memory"));
    }

    #[test]
    fn settings_are_whole_numbers() {
        let with = |choice| ModelInferRequest {
            parameters: parameter("timeout", choice),
            ..ModelInferRequest::default()
        };
        let timeout = |choice| read(with(choice)).unwrap().inference.timeout;
        assert_eq!(timeout(ParameterChoice::Int64Param(1500)), Some(Duration::from_micros(1500)));
        assert_eq!(timeout(ParameterChoice::Uint64Param(u64::MAX)), Some(Duration::from_micros(u64::MAX)));
        assert_eq!(timeout(ParameterChoice::Int64Param(0)), None);
        for wrong in [ParameterChoice::Int64Param(-1), ParameterChoice::StringParam("1s".to_owned())] {
            assert!(refusal(with(wrong)).starts_with("parameter `timeout` is "));
        }
    }

    #[test]
    fn outputs_may_be_asked_for_as_classes() {
        let output =
            |name: &str, parameters| InferRequestedOutputTensor { name: name.to_owned(), parameters };
        let top = parameter("classification", ParameterChoice::Int64Param(3));
        let outputs = vec![output("y", top), output("z", Parameters::new())];
        let asked = read(ModelInferRequest { outputs, ..ModelInferRequest::default() }).unwrap();
        assert_eq!(asked.inference.outputs, ["y", "z"]);
        assert_eq!(asked.classes, [Some(3), None]);
        let twice = vec![output("y", Parameters::new()), output("y", Parameters::new())];
        let twice = ModelInferRequest { outputs: twice, ..ModelInferRequest::default() };
        assert_eq!(refusal(twice), "output `y` is asked for twice");
    }
}
