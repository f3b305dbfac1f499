//! Answers as `ModelInferResponse`.

use samara_protocol::grpc::proto::ModelInferResponse;
use samara_protocol::grpc::request::Form;
use samara_protocol::grpc::response;

use crate::classification::classify;
use crate::error::Result;
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
    let mut response = response::write(tensors, form)?;
    response.model_name.clone_from(&served.name);
    response.model_version.clone_from(&served.version);
    response.id = id;
    Ok(response)
}

fn labels<'s>(served: &'s Served, output: &str) -> &'s [String] {
    served.labels.get(output).map_or(&[], Vec::as_slice)
}
