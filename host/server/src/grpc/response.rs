//! Answers as `ModelInferResponse`.

use bytes::Bytes;
use samara_nn::Tensor;

use super::LARGEST_ANSWER;
use super::contents;
use super::proto::ModelInferResponse;
use super::proto::model_infer_response::InferOutputTensor;
use super::request::Form;
use crate::classification::classify;
use crate::error::{Error, Result};
use crate::functions::Served;
use crate::infer::Answer;

/// The message for an answer, in the form that its request came in; raw where
/// a datatype has no other.
///
/// # Errors
/// Classes of an output that has none.
pub(super) fn write(
    answer: Answer,
    id: String,
    form: Form,
    classes: &[Option<usize>],
) -> Result<ModelInferResponse> {
    let Answer { served, outputs, .. } = answer;
    let mut tensors = Vec::with_capacity(outputs.len());
    for (index, (name, tensor)) in outputs.into_iter().enumerate() {
        let tensor = match classes.get(index).copied().flatten() {
            Some(top) => classify(&name, &tensor, top, labels(&served, &name))?,
            None => tensor,
        };
        tensors.push((name, tensor));
    }
    let mut response = message(tensors, form)?;
    response.model_name.clone_from(&served.name);
    response.model_version.clone_from(&served.version);
    response.id = id;
    Ok(response)
}

fn labels<'s>(served: &'s Served, output: &str) -> &'s [String] {
    served.labels.get(output).map_or(&[], Vec::as_slice)
}

/// Outputs as a message, without whose they are.
///
/// # Errors
/// [`Error::TooLarge`] for more than one message can hold.
pub(super) fn message(outputs: Vec<(String, Tensor)>, form: Form) -> Result<ModelInferResponse> {
    if outputs.iter().map(|(_, tensor)| tensor.data().len()).sum::<usize>() > LARGEST_ANSWER {
        return Err(Error::TooLarge { what: "the answer", limit: LARGEST_ANSWER as u64 });
    }
    let is_typed =
        form == Form::Typed && outputs.iter().all(|(_, tensor)| contents::field(tensor.datatype()).is_some());
    let mut response = ModelInferResponse::default();
    let mut raw: Vec<Bytes> = Vec::new();
    for (name, tensor) in outputs {
        let contents = match is_typed {
            true => contents::write(&tensor)
                .map_err(|error| Error::Internal(format!("output `{name}`: {error}")))?,
            false => {
                raw.push(tensor.data().clone());
                None
            }
        };
        response.outputs.push(InferOutputTensor {
            name,
            datatype: tensor.datatype().name().to_owned(),
            // Sizes of what is in memory always fit.
            shape: tensor.shape().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect(),
            contents,
            ..InferOutputTensor::default()
        });
    }
    response.raw_output_contents = raw;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use samara_nn::Datatype;

    use super::*;

    fn outputs(last: Tensor) -> Vec<(String, Tensor)> {
        let first = Tensor::from_vec([2], vec![1i32, 2]).unwrap();
        vec![("a".to_owned(), first), ("b".to_owned(), last)]
    }

    #[test]
    fn raw_answers_share_the_bytes_of_their_tensors() {
        let last = Tensor::from_elements([1], ["x"]).unwrap();
        let place = last.data().as_ptr();
        let message = message(outputs(last), Form::Raw).unwrap();
        assert_eq!(message.raw_output_contents[1].as_ptr(), place);
        assert_eq!(
            (message.outputs[0].datatype.as_str(), &message.outputs[0].shape[..]),
            ("INT32", &[2][..])
        );
        assert!(message.outputs.iter().all(|output| output.contents.is_none()));
    }

    #[test]
    fn typed_answers_are_raw_where_one_output_has_no_other_form() {
        let typed = message(outputs(Tensor::from_vec([1], vec![2.5f32]).unwrap()), Form::Typed).unwrap();
        assert_eq!(typed.outputs[1].contents.as_ref().unwrap().fp32_contents, [2.5]);
        assert!(typed.raw_output_contents.is_empty());
        let half = Tensor::new(Datatype::Fp16, [1], vec![0, 0x3c]).unwrap();
        let raw = message(outputs(half), Form::Typed).unwrap();
        assert_eq!(raw.raw_output_contents.len(), 2);
        assert!(raw.outputs.iter().all(|output| output.contents.is_none()));
    }
}
