//! The JSON objects of a request, as they come. Parameters that nobody here
//! knows are ignored, as the protocol asks; `null` is as good as nothing.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::object::Object;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request<'a> {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(borrow, default)]
    pub(super) parameters: Option<Object<RequestParameters<'a>>>,
    #[serde(borrow)]
    pub(super) inputs: Vec<Object<Tensor<'a>>>,
    #[serde(default)]
    pub(super) outputs: Option<Vec<Object<Output>>>,
    // Some clients repeat here what the path says.
    #[serde(default, rename = "model_name")]
    _model_name: IgnoredAny,
    #[serde(default, rename = "model_version")]
    _model_version: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RequestParameters<'a> {
    pub(super) binary_data_output: Option<bool>,
    /// In microseconds.
    pub(super) timeout: Option<i64>,
    #[serde(borrow)]
    pub(super) sequence_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) outputs: Vec<Object<Tensor<'a>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    #[serde(borrow)]
    pub(super) datatype: Cow<'a, str>,
    pub(super) shape: Vec<i64>,
    #[serde(default)]
    pub(super) parameters: Option<Object<TensorParameters>>,
    #[serde(borrow, default)]
    pub(super) data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TensorParameters {
    pub(super) content_type: Option<String>,
    pub(super) binary_data_size: Option<i64>,
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    pub(super) name: String,
    #[serde(default)]
    pub(super) parameters: Option<Object<OutputParameters>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct OutputParameters {
    pub(super) binary_data: Option<bool>,
    pub(super) classification: Option<i64>,
    pub(super) shared_memory_region: Option<IgnoredAny>,
}
