//! NNEF models, which tract reads as typed models right away.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::sync::{Arc, OnceLock};

use flate2::read::GzDecoder;
use samara_nn::{ANY_SIZE, Error, ModelSource, Result, Signature, TensorSpec};
use tract_nnef::framework::Nnef;
use tract_nnef::prelude::Framework;
use tract_onnx::prelude::{TractResult, TypedModel};
use tract_onnx::tract_hir::internal::{OutletId, bail, format_err};

use super::error::refused;
use super::plan::Plans;
use super::prepare::{footprint, plan};
use super::{NAME, TractModel, rows, tensors};
use crate::names::quote;

/// Makes a model ready to run, with one plan for all sizes.
///
/// # Errors
/// [`Error::InvalidModel`] for a damaged archive, [`Error::Unsupported`] for what tract
/// cannot read, [`Error::TooLarge`].
pub(super) fn prepare(source: &ModelSource, threads: usize, tensor_limit: u64) -> Result<TractModel> {
    let archive = unpacked(source, tensor_limit)?;
    check(source, &archive)?;
    let name: Arc<str> = source.name.as_str().into();
    let prepare = || -> TractResult<TractModel> {
        let typed = framework().model_for_read(&mut Cursor::new(&archive[..]))?;
        super::sizes::Sizes::new(&typed, Arc::clone(&name), tensor_limit)?;
        let typed = typed.into_decluttered()?;
        let signature = signature(&typed)?;
        let (batching, footprint) = (rows::batching(&typed), footprint(&typed));
        let plan = plan(typed, &name, threads, tensor_limit)?;
        let plans = Arc::new(Plans::AnyShape(Arc::new(plan)));
        Ok(TractModel { name: Arc::clone(&name), signature, footprint, batching, plans })
    };
    prepare().map_err(|error| refused(source, NAME, error))
}

/// The archive without gzip, if it has that.
fn unpacked(source: &ModelSource, limit: u64) -> Result<Cow<'_, [u8]>> {
    if !source.bytes.starts_with(b"\x1f\x8b") {
        return Ok(Cow::Borrowed(&source.bytes));
    }
    let mut archive = Vec::new();
    let mut decoder = GzDecoder::new(&source.bytes[..]).take(limit.saturating_add(1));
    decoder
        .read_to_end(&mut archive)
        .map_err(|error| invalid(source, format!("it is cut off or damaged: {error}")))?;
    let size = archive.len() as u64;
    match size > limit {
        false => Ok(Cow::Owned(archive)),
        true => {
            let what = "the archive, decompressed,".to_owned();
            Err(Error::TooLarge { model: source.name.clone(), what, size, limit })
        }
    }
}

/// Refuses archives without a graph, and weights that claim more than they bring: tract
/// would have memory for the claim.
fn check(source: &ModelSource, archive: &[u8]) -> Result<()> {
    let damaged = |error: std::io::Error| invalid(source, format!("its archive is damaged: {error}"));
    let mut has_graph = false;
    for entry in tar::Archive::new(archive).entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        has_graph |= path.trim_start_matches("./") == "graph.nnef";
        if path.ends_with(".dat") {
            let mut header = [0; HEADER];
            let read = entry.read_exact(&mut header);
            read.map_err(|_| invalid(source, format!("{} has no header of a tensor", quote(&path))))?;
            let claimed = claimed_bytes(&header);
            let brought = entry.size() - HEADER as u64;
            if claimed.is_none_or(|claimed| claimed > u128::from(brought)) {
                let path = quote(&path);
                return Err(invalid(
                    source,
                    format!("{path} brings {brought} bytes, fewer than its shape takes"),
                ));
            }
        }
    }
    match has_graph {
        true => Ok(()),
        false => Err(invalid(source, "it is an archive without a file `graph.nnef`".to_owned())),
    }
}

/// Bytes of a tensor's header.
const HEADER: usize = 128;

/// What a tensor's shape takes: after eight bytes a rank, eight sizes, and the bits of an
/// element.
fn claimed_bytes(header: &[u8; HEADER]) -> Option<u128> {
    let number = |at: usize| -> Option<u128> {
        let bytes = header.get(at..at + 4)?;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u128::from(byte)))
    };
    let rank = usize::try_from(number(8)?).ok().filter(|&rank| rank <= 8)?;
    let sizes = (0..rank).map(|axis| number(12 + 4 * axis));
    let bits = sizes.chain([number(44)]).try_fold(1u128, |product, size| product.checked_mul(size?))?;
    Some(bits.div_ceil(8))
}

fn signature(model: &TypedModel) -> TractResult<Signature> {
    let input = |outlet: &OutletId| spec(model, *outlet, &model.node(outlet.node).name);
    let output = |outlet: &OutletId| {
        let name = model.outlet_label(*outlet).unwrap_or(&model.node(outlet.node).name);
        spec(model, *outlet, name)
    };
    let inputs: TractResult<Vec<_>> = model.input_outlets()?.iter().map(input).collect();
    let outputs: TractResult<Vec<_>> = model.output_outlets()?.iter().map(output).collect();
    let signature = Signature { inputs: inputs?, outputs: outputs? };
    if signature.outputs.is_empty() {
        bail!("it gives nothing");
    }
    Ok(signature)
}

fn spec(model: &TypedModel, outlet: OutletId, name: &str) -> TractResult<TensorSpec> {
    let fact = model.outlet_fact(outlet)?;
    let datatype = tensors::datatype(fact.datum_type)
        .ok_or_else(|| format_err!("{} has tract's type {:?}", quote(name), fact.datum_type))?;
    let sizes: Vec<i64> = fact.shape.iter().map(|size| size.as_i64().unwrap_or(ANY_SIZE)).collect();
    Ok(TensorSpec::new(name, datatype, sizes))
}

fn invalid(source: &ModelSource, reason: String) -> Error {
    Error::InvalidModel { model: source.name.clone(), backend: NAME, reason }
}

/// tract's reader, with the operators of NNEF and of tract's core.
fn framework() -> &'static Nnef {
    static FRAMEWORK: OnceLock<Nnef> = OnceLock::new();
    FRAMEWORK.get_or_init(Nnef::default)
}
