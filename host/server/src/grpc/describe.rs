//! What clients may know of the server and of a function.

use std::collections::BTreeMap;

use samara_nn::{BatchPolicy, Datatype, TensorSpec};

use super::proto::model_config::SchedulingChoice;
use super::proto::model_metadata_response::TensorMetadata;
use super::proto::{
    DataType, ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelMetadataResponse,
    ModelOutput, ModelParameter, ServerMetadataResponse, model_instance_group,
};
use crate::app::Server;
use crate::describe::{NAME, VERSION, config_parameters};
use crate::error::Result;
use crate::functions::Served;

/// Extensions of the protocol, by the names that its clients know.
const EXTENSIONS: [&str; 4] = ["classification", "model_configuration", "model_repository", "statistics"];

/// Who this is.
pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// What a function takes and gives, and in which versions it is there.
///
/// # Errors
/// What [`Served::signature`] says.
pub(super) fn metadata(server: &Server, served: &Served) -> Result<ModelMetadataResponse> {
    let signature = served.signature()?;
    Ok(ModelMetadataResponse {
        name: served.name.clone(),
        versions: server.versions(&served.name),
        platform: served.platform(),
        inputs: signature.inputs.iter().map(tensor).collect(),
        outputs: signature.outputs.iter().map(tensor).collect(),
    })
}

fn tensor(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.datatype.name().to_owned(),
        shape: spec.shape.clone(),
    }
}

/// How a function is served, as clients of the protocol's best-known server
/// read it: where requests are merged, shapes go without their axis of rows.
///
/// # Errors
/// What [`Served::signature`] says.
pub(super) fn config(served: &Served) -> Result<ModelConfig> {
    let signature = served.signature()?;
    let batch = served.batch();
    let is_merged = batch.is_some();
    let merging = |batch: BatchPolicy| {
        SchedulingChoice::DynamicBatching(ModelDynamicBatching {
            max_queue_delay_microseconds: u64::try_from(batch.delay.as_micros()).unwrap_or(u64::MAX),
            ..ModelDynamicBatching::default()
        })
    };
    Ok(ModelConfig {
        name: served.name.clone(),
        platform: served.platform(),
        backend: served.engines(),
        max_batch_size: batch.map_or(0, |batch| i32::try_from(batch.max_rows).unwrap_or(i32::MAX)),
        input: signature.inputs.iter().map(|spec| input(spec, is_merged)).collect(),
        output: signature.outputs.iter().map(|spec| output(spec, is_merged)).collect(),
        instance_group: vec![instances(served)],
        parameters: parameters(served),
        scheduling_choice: batch.map(merging),
        ..ModelConfig::default()
    })
}

fn parameters(served: &Served) -> BTreeMap<String, ModelParameter> {
    let known = config_parameters(served).into_iter();
    known.map(|(name, value)| (name.to_owned(), ModelParameter { string_value: value })).collect()
}

fn instances(served: &Served) -> ModelInstanceGroup {
    ModelInstanceGroup {
        name: served.name.clone(),
        kind: model_instance_group::Kind::Cpu.into(),
        count: i32::try_from(served.gate.limit()).unwrap_or(i32::MAX),
        ..ModelInstanceGroup::default()
    }
}

fn input(spec: &TensorSpec, is_merged: bool) -> ModelInput {
    ModelInput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: spec.shape[usize::from(is_merged)..].to_vec(),
        ..ModelInput::default()
    }
}

fn output(spec: &TensorSpec, is_merged: bool) -> ModelOutput {
    ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: spec.shape[usize::from(is_merged)..].to_vec(),
        ..ModelOutput::default()
    }
}

fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Bf16 => DataType::TypeBf16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bytes => DataType::TypeString,
    }
}
