//! What every protocol says of the server and of a function.

use std::sync::Arc;

use samara_engine::ModelUse;
use samara_nn::{ANY_SIZE, BatchPolicy, Datatype, NamedTensor, Signature, TensorSpec};

use crate::app::Server;
use crate::error::{Error, Result};
use crate::functions::Served;

/// What the server calls itself.
pub(crate) const NAME: &str = "samara";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The platform of a function that is more than one model.
const COMPONENTS: &str = "samara_wasm";

impl Server {
    /// The versions of a function that answer now, in their order.
    pub(crate) fn versions(&self, name: &str) -> Vec<String> {
        let table = self.functions.table();
        let versions = table.entry(name).map_or(&[][..], |entry| &entry.versions);
        versions.iter().map(|served| served.version.clone()).collect()
    }

    /// One version, all versions of a name, or everything that answers now.
    ///
    /// # Errors
    /// A name or version that is not served.
    pub(crate) fn asked(&self, name: Option<&str>, version: Option<&str>) -> Result<Vec<Arc<Served>>> {
        let table = self.functions.table();
        let Some(name) = name else {
            return Ok(table.ready().flat_map(|(_, entry)| entry.versions.clone()).collect());
        };
        let found = self.functions.find(name, version)?;
        let entry = table.entry(name).filter(|_| version.is_none());
        Ok(entry.map_or_else(|| vec![found], |entry| entry.versions.clone()))
    }
}

/// What a function's configuration says of it beyond what has a place of its own
/// there: texts by name. Labels are JSON, as in the metadata over REST.
pub(crate) fn config_parameters(served: &Served) -> Vec<(&'static str, String)> {
    let labels = (!served.labels.is_empty()).then(|| serde_json::json!(served.labels).to_string());
    let quantisation = served.signature().ok().and_then(quantisation);
    let known = [
        ("version", Some(served.version.clone())),
        ("digest", served.digest.clone()),
        ("description", served.description.clone()),
        ("labels", labels),
        ("quantization", quantisation.map(|known| known.to_string())),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What the integers of inputs and outputs stand for, by their names, where the model
/// says so.
pub(crate) fn quantisation(signature: &Signature) -> Option<serde_json::Value> {
    let specs = signature.inputs.iter().chain(&signature.outputs);
    let known: serde_json::Map<_, _> = specs
        .filter_map(|spec| {
            let known = spec.quantisation?;
            let (scale, zero_point) = (known.scale_in_decimals(), known.zero_point);
            Some((spec.name.clone(), serde_json::json!({ "scale": scale, "zero_point": zero_point })))
        })
        .collect();
    (!known.is_empty()).then_some(known.into())
}

impl Served {
    /// What it runs on: `ENGINE_onnx` for a model alone, else `samara_wasm`.
    pub(crate) fn platform(&self) -> String {
        match self.only_model() {
            Some(model) => format!("{}_onnx", model.backend()),
            None => COMPONENTS.to_owned(),
        }
    }

    /// The engines of its models, in alphabetical order; `wasm` where it has
    /// none.
    pub(crate) fn engines(&self) -> String {
        let mut engines: Vec<&str> = self.function.models().values().map(|model| model.backend()).collect();
        engines.sort_unstable();
        engines.dedup();
        if engines.is_empty() { "wasm".to_owned() } else { engines.join(",") }
    }

    /// Bytes of the weights of its models, which other functions may share, by
    /// the kind of memory; kinds of which it has none are left out.
    pub(crate) fn memory(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let footprints = self.function.models().values().map(|model| model.footprint());
        let (host, device) = footprints
            .fold((0, 0), |(host, device), footprint| (host + footprint.host, device + footprint.device));
        [("CPU", host), ("GPU", device)].into_iter().filter(|(_, bytes)| *bytes > 0)
    }

    /// The parts of its models that run on the CPU though a GPU was asked for,
    /// each with its model and the reason.
    pub(crate) fn elsewhere(&self) -> Vec<String> {
        let models = self.function.models().iter();
        let parts = models.flat_map(|(name, model)| {
            model.elsewhere().into_iter().map(move |part| format!("model `{name}`: {part}"))
        });
        parts.collect()
    }

    /// How requests are merged into runs; `None` where they are not, and where
    /// axis 0 is not one of rows.
    pub(crate) fn batch(&self) -> Option<BatchPolicy> {
        let model = self.only_model().filter(|model| model.batch.merges() && model.can_merge())?;
        self.function.signature().is_some_and(has_rows).then_some(model.batch)
    }

    /// How many inferences a request is: each row is one where rows of requests
    /// may be merged.
    pub(crate) fn rows(&self, inputs: &[NamedTensor]) -> usize {
        let rows = inputs.first().and_then(|(_, tensor)| tensor.shape().first().copied());
        rows.filter(|&rows| rows != 1 && self.batch().is_some()).unwrap_or(1)
    }

    /// The model that is all of the function.
    fn only_model(&self) -> Option<&ModelUse> {
        let mut models = self.function.models().values();
        let first = models.next()?;
        let is_alone = models.next().is_none() && self.function.load_report().components.is_empty();
        is_alone.then_some(first)
    }

    /// The declaration of an output.
    ///
    /// # Errors
    /// [`Error::UnknownOutput`].
    pub(crate) fn output(&self, name: &str) -> Result<&TensorSpec> {
        let signature = self.signature()?;
        signature.output(name).ok_or_else(|| Error::UnknownOutput {
            function: self.name.clone(),
            output: name.to_owned(),
            known: signature.outputs.iter().map(|spec| spec.name.clone()).collect(),
        })
    }
}

fn has_rows(signature: &Signature) -> bool {
    let mut specs = signature.inputs.iter().chain(&signature.outputs);
    !signature.inputs.is_empty() && specs.all(|spec| spec.shape.first() == Some(&ANY_SIZE))
}

/// The name of a datatype in configurations of models.
pub(crate) fn config_datatype(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "TYPE_BOOL",
        Datatype::Uint8 => "TYPE_UINT8",
        Datatype::Uint16 => "TYPE_UINT16",
        Datatype::Uint32 => "TYPE_UINT32",
        Datatype::Uint64 => "TYPE_UINT64",
        Datatype::Int8 => "TYPE_INT8",
        Datatype::Int16 => "TYPE_INT16",
        Datatype::Int32 => "TYPE_INT32",
        Datatype::Int64 => "TYPE_INT64",
        Datatype::Fp16 => "TYPE_FP16",
        Datatype::Bf16 => "TYPE_BF16",
        Datatype::Fp32 => "TYPE_FP32",
        Datatype::Fp64 => "TYPE_FP64",
        Datatype::Bytes => "TYPE_STRING",
    }
}
