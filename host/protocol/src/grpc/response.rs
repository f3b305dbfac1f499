//! Outputs as `ModelInferResponse`.

use bytes::Bytes;
use samara_nn::NamedTensor;

use super::proto::ModelInferResponse;
use super::proto::model_infer_response::InferOutputTensor;
use super::request::Form;
use super::{LARGEST_MESSAGE, contents};
use crate::error::{Error, Result};

/// The message for outputs, raw where a datatype has no other form. Whose they
/// are is left open.
///
/// # Errors
/// [`Error::TooLarge`] for more than one message can hold.
pub fn write(outputs: Vec<NamedTensor>, form: Form) -> Result<ModelInferResponse> {
    if outputs.iter().map(|(_, tensor)| tensor.data().len()).sum::<usize>() > LARGEST_MESSAGE {
        return Err(Error::TooLarge { what: "the answer", limit: LARGEST_MESSAGE as u64 });
    }
    let is_typed =
        form == Form::Typed && outputs.iter().all(|(_, tensor)| contents::field(tensor.datatype()).is_some());
    let mut response = ModelInferResponse::default();
    let mut raw: Vec<Bytes> = Vec::new();
    for (name, tensor) in outputs {
        let contents = match is_typed {
            true => {
                contents::write(&tensor).map_err(|source| Error::Output { output: name.clone(), source })?
            }
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
    use samara_nn::{Datatype, Tensor};

    use super::*;

    fn outputs(last: Tensor) -> Vec<(String, Tensor)> {
        let first = Tensor::from_vec([2], vec![1i32, 2]).unwrap();
        vec![("a".to_owned(), first), ("b".to_owned(), last)]
    }

    #[test]
    fn raw_answers_share_the_bytes_of_their_tensors() {
        let last = Tensor::from_elements([1], ["x"]).unwrap();
        let place = last.data().as_ptr();
        let message = write(outputs(last), Form::Raw).unwrap();
        assert_eq!(message.raw_output_contents[1].as_ptr(), place);
        assert_eq!(
            (message.outputs[0].datatype.as_str(), &message.outputs[0].shape[..]),
            ("INT32", &[2][..])
        );
        assert!(message.outputs.iter().all(|output| output.contents.is_none()));
    }

    #[test]
    fn typed_answers_are_raw_where_one_output_has_no_other_form() {
        let typed = write(outputs(Tensor::from_vec([1], vec![2.5f32]).unwrap()), Form::Typed).unwrap();
        assert_eq!(typed.outputs[1].contents.as_ref().unwrap().fp32_contents, [2.5]);
        assert!(typed.raw_output_contents.is_empty());
        let half = Tensor::new(Datatype::Fp16, [1], vec![0, 0x3c]).unwrap();
        let raw = write(outputs(half), Form::Typed).unwrap();
        assert_eq!(raw.raw_output_contents.len(), 2);
        assert!(raw.outputs.iter().all(|output| output.contents.is_none()));
    }
}
