//! Answers: JSON, and behind it the bytes of outputs that are asked for so.

use std::time::Duration;

use samara_nn::{NamedTensor, Tensor};
use samara_protocol::json::{Output, Wanted};
use serde::Serialize;

use crate::classification::classify;
use crate::error::{Error, Result};
use crate::functions::Served;
use crate::infer::Answer;

/// How an answer is asked for.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) id: Option<String>,
    /// In the order of the answer's outputs; empty where nothing was said of
    /// any.
    pub(super) outputs: Vec<Wanted>,
    /// Whether outputs come behind the JSON where they do not say.
    pub(super) is_binary: bool,
}

/// A body, and how much of it is JSON where that is not all.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) json_length: Option<usize>,
}

/// Writes an answer.
///
/// # Errors
/// Classes of an output that has none.
pub(super) fn response(mut answer: Answer, form: &Form) -> Result<Encoded> {
    let served = &answer.served;
    for ((name, tensor), wanted) in answer.outputs.iter_mut().zip(&form.outputs) {
        if let Some(classes) = wanted.classes {
            *tensor = classify(name, tensor, classes, labels(served, name))?;
        }
    }
    let is_binary =
        |index: usize| form.outputs.get(index).and_then(|wanted| wanted.is_binary).unwrap_or(form.is_binary);
    let mut text = Text(Vec::with_capacity(expected_size(&answer.outputs, is_binary)));
    text.head(&answer, form.id.as_deref())?;
    let mut behind: Vec<&Tensor> = Vec::new();
    for (index, (name, tensor)) in answer.outputs.iter().enumerate() {
        if index > 0 {
            text.raw(b",");
        }
        if is_binary(index) {
            text.binary_output(name, tensor)?;
            behind.push(tensor);
        } else {
            text.value(&Output { name, tensor })?;
        }
    }
    text.raw(b"]}");
    let json_length = (!behind.is_empty()).then_some(text.0.len());
    behind.into_iter().for_each(|tensor| text.raw(tensor.data()));
    Ok(Encoded { bytes: text.0, json_length })
}

fn labels<'s>(served: &'s Served, output: &str) -> &'s [String] {
    served.labels.get(output).map_or(&[], Vec::as_slice)
}

/// About as many bytes as the answer takes, so that it is written in one place.
fn expected_size(outputs: &[NamedTensor], is_binary: impl Fn(usize) -> bool) -> usize {
    const HEAD: usize = 256;
    const OUTPUT: usize = 128;
    const ELEMENT: usize = 12;
    let one = |(index, (name, tensor)): (usize, &NamedTensor)| {
        let elements = match is_binary(index) {
            true => tensor.data().len(),
            false => tensor.data().len().max(tensor.len() * ELEMENT),
        };
        OUTPUT + name.len() + elements
    };
    HEAD + outputs.iter().enumerate().map(one).sum::<usize>()
}

/// JSON as it grows.
struct Text(Vec<u8>);

impl Text {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn value(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.0, value)
            .map_err(|error| Error::Internal(format!("writing an answer: {error}")))
    }

    /// All up to the first output.
    fn head(&mut self, answer: &Answer, id: Option<&str>) -> Result<()> {
        self.raw(br#"{"model_name":"#);
        self.value(&answer.served.name)?;
        self.raw(br#","model_version":"#);
        self.value(&answer.served.version)?;
        if let Some(id) = id {
            self.raw(br#","id":"#);
            self.value(&id)?;
        }
        self.raw(br#","parameters":{"total_us":"#);
        self.microseconds(answer.report.total)?;
        let (mut queued, mut computed, mut backend) = (Duration::ZERO, Duration::ZERO, None);
        for run in answer.report.model_runs() {
            queued += run.queued;
            computed += run.computed;
            backend = Some(run.backend);
        }
        if let Some(backend) = backend {
            self.raw(br#","backend":"#);
            self.value(&backend)?;
            self.raw(br#","queue_us":"#);
            self.microseconds(queued)?;
            self.raw(br#","compute_us":"#);
            self.microseconds(computed)?;
        }
        self.raw(br#"},"outputs":["#);
        Ok(())
    }

    fn microseconds(&mut self, time: Duration) -> Result<()> {
        self.value(&u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    /// An output whose elements come behind the JSON.
    fn binary_output(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        self.raw(br#"{"name":"#);
        self.value(&name)?;
        self.raw(br#","datatype":"#);
        self.value(&tensor.datatype().name())?;
        self.raw(br#","shape":"#);
        self.value(&tensor.shape())?;
        self.raw(br#","parameters":{"binary_data_size":"#);
        self.value(&tensor.data().len())?;
        self.raw(b"}}");
        Ok(())
    }
}
