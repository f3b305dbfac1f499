//! What clients may know of the server and of a function.

use std::collections::BTreeMap;
use std::sync::Arc;

use samara_nn::{Datatype, TensorSpec};

use super::proto::model_metadata_response::TensorMetadata;
use super::proto::{
    DataType, ModelConfig, ModelInput, ModelInstanceGroup, ModelMetadataResponse, ModelOutput,
    ModelParameter, ServerMetadataResponse, model_instance_group,
};
use crate::app::Server;
use crate::error::Result;
use crate::functions::Served;

/// What functions run on, as clients ask for it.
const PLATFORM: &str = "samara";
/// The extensions of the protocol that this service has.
const EXTENSIONS: [&str; 5] =
    ["classification", "model_configuration", "model_repository", "sequence", "statistics"];

/// Who this is.
pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "samara".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// What a function takes and gives, and in which versions it is there.
///
/// # Errors
/// What [`Served::signature`] says.
pub(super) fn metadata(server: &Server, served: &Served) -> Result<ModelMetadataResponse> {
    let signature = served.signature()?;
    let table = server.functions.table();
    let entry = table.ready().find(|(name, _)| *name == served.name);
    let versions = entry.map(|(_, entry)| entry.versions.iter().map(|served| served.version.clone()));
    Ok(ModelMetadataResponse {
        name: served.name.clone(),
        versions: versions.map(Iterator::collect).unwrap_or_default(),
        platform: PLATFORM.to_owned(),
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

/// How a function is served. Shapes are whole: `max_batch_size` 0 says that no
/// axis is left out.
///
/// # Errors
/// What [`Served::signature`] says.
pub(super) fn config(served: &Arc<Served>) -> Result<ModelConfig> {
    let signature = served.signature()?;
    let digest = served.digest.as_ref().map(|digest| ("digest", digest));
    let description = served.description.as_ref().map(|text| ("description", text));
    let parameter =
        |(key, value): (&str, &String)| (key.to_owned(), ModelParameter { string_value: value.clone() });
    Ok(ModelConfig {
        name: served.name.clone(),
        platform: PLATFORM.to_owned(),
        backend: backend(served),
        input: signature.inputs.iter().map(input).collect(),
        output: signature.outputs.iter().map(output).collect(),
        instance_group: vec![instances(served)],
        parameters: digest.into_iter().chain(description).map(parameter).collect::<BTreeMap<_, _>>(),
        ..ModelConfig::default()
    })
}

/// The engines of its models.
fn backend(served: &Served) -> String {
    let mut engines: Vec<&str> = served.function.models().values().map(|model| model.backend()).collect();
    engines.sort_unstable();
    engines.dedup();
    engines.join(",")
}

fn instances(served: &Served) -> ModelInstanceGroup {
    ModelInstanceGroup {
        name: served.name.clone(),
        kind: model_instance_group::Kind::Cpu.into(),
        count: i32::try_from(served.gate.limit()).unwrap_or(i32::MAX),
        ..ModelInstanceGroup::default()
    }
}

fn input(spec: &TensorSpec) -> ModelInput {
    ModelInput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: spec.shape.clone(),
        ..ModelInput::default()
    }
}

fn output(spec: &TensorSpec) -> ModelOutput {
    ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: spec.shape.clone(),
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
