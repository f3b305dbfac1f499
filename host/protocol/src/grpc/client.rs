//! The messages of an inference as a client writes and reads them.

use samara_nn::NamedTensor;

use super::contents;
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::{ModelInferRequest, ModelInferResponse};
use crate::error::{Error, Result};

/// A request for the outputs that are named, or for all where none is. Whom it
/// asks is left open. Tensors travel raw.
pub fn request(inputs: &[NamedTensor], outputs: &[String]) -> ModelInferRequest {
    let input = |(name, tensor): &NamedTensor| InferInputTensor {
        name: name.clone(),
        datatype: tensor.datatype().name().to_owned(),
        // Sizes of what is in memory always fit.
        shape: tensor.shape().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect(),
        ..InferInputTensor::default()
    };
    let output = |name: &String| InferRequestedOutputTensor {
        name: name.clone(),
        ..InferRequestedOutputTensor::default()
    };
    ModelInferRequest {
        inputs: inputs.iter().map(input).collect(),
        outputs: outputs.iter().map(output).collect(),
        raw_input_contents: inputs.iter().map(|(_, tensor)| tensor.data().clone()).collect(),
        ..ModelInferRequest::default()
    }
}

/// The outputs of an answer, in either form.
///
/// # Errors
/// [`Error::Malformed`] naming the output that is wrong.
pub fn outputs(answer: ModelInferResponse) -> Result<Vec<NamedTensor>> {
    let (count, raws) = (answer.outputs.len(), answer.raw_output_contents.len());
    if raws > 0 && raws != count {
        let words = format!("`raw_output_contents` has {raws} entries for {count} outputs");
        return Err(Error::Malformed(words));
    }
    let mut raws = answer.raw_output_contents.into_iter();
    let mut outputs = Vec::with_capacity(count);
    for output in answer.outputs {
        let wrong = |words: String| Error::Malformed(format!("output `{}`: {words}", output.name));
        let datatype = output.datatype.parse().map_err(|error| wrong(format!("{error}")))?;
        let sizes = output.shape.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
        let sizes = sizes.map_err(|_| wrong("its shape has a negative size".to_owned()))?;
        let tensor = match raws.next() {
            Some(bytes) => contents::read_raw(datatype, sizes, bytes),
            None => contents::read(datatype, sizes, output.contents),
        };
        let tensor = tensor.map_err(|problem| wrong(problem.to_string()))?;
        outputs.push((output.name, tensor));
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use samara_nn::{Datatype, Tensor};

    use super::*;
    use crate::grpc::request::{self as server, Form};
    use crate::grpc::response;

    fn tensors() -> Vec<NamedTensor> {
        vec![
            ("x".to_owned(), Tensor::from_vec([1, 2], vec![0.1f32, 2.0]).unwrap()),
            ("s".to_owned(), Tensor::from_elements([1], ["word"]).unwrap()),
        ]
    }

    #[test]
    fn what_a_client_writes_a_server_reads() {
        let asked = server::read(request(&tensors(), &["y".to_owned()])).unwrap();
        assert_eq!((asked.inference.inputs, asked.form), (tensors(), Form::Raw));
        assert_eq!(asked.inference.outputs, ["y"]);
    }

    #[test]
    fn what_a_server_writes_a_client_reads() {
        let half = ("h".to_owned(), Tensor::new(Datatype::Fp16, [1], vec![0, 0x3c]).unwrap());
        for form in [Form::Raw, Form::Typed] {
            assert_eq!(outputs(response::write(tensors(), form).unwrap()).unwrap(), tensors());
            let all = [tensors(), vec![half.clone()]].concat();
            assert_eq!(outputs(response::write(all.clone(), form).unwrap()).unwrap(), all);
        }
        assert_eq!(outputs(ModelInferResponse::default()).unwrap(), []);
    }

    #[test]
    fn answers_that_contradict_themselves_are_told_by_output() {
        let refused = |change: fn(&mut ModelInferResponse)| {
            let mut answer = response::write(tensors(), Form::Raw).unwrap();
            change(&mut answer);
            outputs(answer).unwrap_err().to_string()
        };
        let short = refused(|answer| answer.raw_output_contents[0].truncate(7));
        assert_eq!(short, "output `x`: a FP32 tensor of shape [1,2] takes 8 bytes, not 7");
        assert!(refused(|answer| answer.raw_output_contents.truncate(1)).contains("1 entries for 2 outputs"));
        assert!(
            refused(|answer| answer.raw_output_contents.clear()).starts_with("output `x`: it has neither")
        );
        assert!(
            refused(|answer| answer.outputs[1].shape = vec![-1]).contains("`s`: its shape has a negative")
        );
        assert!(refused(|answer| answer.outputs[1].datatype.clear()).starts_with("output `s`: "));
    }
}
