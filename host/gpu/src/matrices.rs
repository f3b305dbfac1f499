//! Cooperative matrices: which a device has, and whether it computes right with
//! them.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use samara_nn::{Precision, RunContext, Tensor};
use tract_core::internal::{Datum, DatumTypeExt, SpecialOps, TVec, TypedModel, tensor1};
use tract_core::ops::einsum::EinSum;
use wgpu::{CooperativeMatrixProperties, CooperativeScalarType, ExperimentalFeatures, Features};

use crate::device::{Gpu, Gpus, lock};
use crate::error::{Error, Result};
use crate::executable::{Executable, ExecutableOptions};
use crate::lower::{Abilities, Cooperative};

/// What the shaders need that multiply them.
pub(crate) const FEATURES: Features =
    Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(Features::SHADER_F16).union(Features::SUBGROUP);

/// The word for a device that may be asked for [`FEATURES`].
pub(crate) fn token() -> ExperimentalFeatures {
    // SAFETY: asks that whoever uses what is experimental knows that the library
    // or a driver may not check it. One kernel does, `kernels/coop.wgsl`, whose text
    // and numbers are this program's own, whatever the model: it loads and stores
    // matrices within arrays in workgroup memory, at places that constants give.
    #[expect(unsafe_code, reason = "the library hands out the features by this call alone")]
    let token = unsafe { ExperimentalFeatures::enabled() };
    token
}

/// Of workgroup memory, by the shader for matrices of 16 by 16.
const WORKGROUP_BYTES: u32 = 28 << 10;

/// The matrices that products on an adapter are computed by.
///
/// # Errors
/// [`Error::NoMatrices`] where it has none that are of use.
pub(crate) fn choose(adapter: &wgpu::Adapter) -> Result<Cooperative> {
    let refused = |reason: String| Error::NoMatrices(explained(&adapter.get_info().name, &reason));
    let listed = adapter.cooperative_matrix_properties();
    let missing = FEATURES - adapter.features();
    let known = [Cooperative::By16, Cooperative::By8];
    let Some(&chosen) = known.iter().find(|matrices| has(&listed, **matrices)) else {
        return Err(refused(format!(
            "it has no cooperative matrices of 16x16x16 or 8x8x8 F16 into F32; its driver lists {}",
            list(&listed)
        )));
    };
    if !missing.is_empty() {
        return Err(refused(format!("it has cooperative matrices, but lacks {missing:?}")));
    }
    let bytes = adapter.limits().max_compute_workgroup_storage_size;
    if bytes < WORKGROUP_BYTES {
        return Err(refused(format!(
            "it has {bytes} bytes of workgroup memory, of which {WORKGROUP_BYTES} are needed"
        )));
    }
    Ok(chosen)
}

/// Opens a device with them: where a driver lists matrices that it does not have,
/// the library panics.
///
/// # Errors
/// Those of `open`; [`Error::NoMatrices`] where it panicked.
pub(crate) fn guarded<T>(adapter: &str, open: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
        let reason = "its driver lists cooperative matrices, but opens no device that has them";
        Err(Error::NoMatrices(explained(adapter, reason)))
    })
}

fn has(listed: &[CooperativeMatrixProperties], wanted: Cooperative) -> bool {
    let side = wanted.side();
    listed.iter().any(|matrix| {
        [matrix.m_size, matrix.n_size, matrix.k_size] == [side; 3]
            && matrix.ab_type == CooperativeScalarType::F16
            && matrix.cr_type == CooperativeScalarType::F32
    })
}

/// Matrices in words.
pub(crate) fn list(listed: &[CooperativeMatrixProperties]) -> String {
    if listed.is_empty() {
        return "none".to_owned();
    }
    let words = listed.iter().map(|matrix| {
        let CooperativeMatrixProperties { m_size, n_size, k_size, ab_type, cr_type, .. } = matrix;
        format!("matrices {m_size}x{n_size}x{k_size} of {ab_type:?} into {cr_type:?}")
    });
    words.collect::<Vec<String>>().join(", ")
}

/// Why an adapter does not compute in FP16, and what to do about it.
fn explained(adapter: &str, reason: &str) -> String {
    format!(
        "the GPU adapter `{adapter}` does not compute with `precision = \"fp16\"`: {reason}; leave `precision` \
         out, or choose another adapter by `target = \"gpu:N\"` (`samara backends` lists them)"
    )
}

/// Whether the matrices of a device were tried, and what was wrong with them.
#[derive(Default)]
pub(crate) struct Tried(Mutex<Option<Result<(), String>>>);

/// The device on an adapter, where it computes as precisely as asked.
///
/// # Errors
/// As [`Gpus::open`]; [`Error::NoMatrices`] where a product by its matrices is
/// too far from the same one by the plain kernel.
pub(crate) fn open(gpus: &Arc<Gpus>, adapter: Option<u32>, precision: Precision) -> Result<Arc<Gpu>> {
    let gpu = gpus.open(adapter, precision)?;
    if precision == Precision::Exact {
        return Ok(gpu);
    }
    let mut tried = lock(&gpu.tried.0);
    if tried.is_none() {
        *tried = Some(match product_is_right(gpus, adapter, &gpu) {
            Err(Error::Failed(reason)) => Err(reason),
            other => Ok(other?),
        });
    }
    let wrong = tried.as_ref().and_then(|tried| tried.as_ref().err());
    let refused = wrong
        .map(|reason| Error::NoMatrices(explained(&gpu.name, &format!("its self-test failed: {reason}"))));
    drop(tried);
    refused.map_or(Ok(gpu), Err)
}

/// Rows, columns and the inner axis of the product that is tried: large enough
/// for cooperative matrices, and a multiple of no tile.
const SIZES: [usize; 3] = [90, 107, 150];

/// The greatest error of rounding two factors to F16, relative to their product,
/// with some room for adding up in another order.
const TOLERANCE: f64 = 1.0 / 512.0;

/// # Errors
/// [`Error::Failed`] with the measured difference.
fn product_is_right(gpus: &Arc<Gpus>, adapter: Option<u32>, gpu: &Arc<Gpu>) -> Result<()> {
    let [m, n, k] = SIZES;
    let (left, right) = (numbers(m * k, 7919), numbers(k * n, 6151));
    let model = product(&right).map_err(|error| Error::Failed(error.to_string()))?;
    let answer = |abilities: Abilities| {
        let options = ExecutableOptions::default();
        let executable = Executable::on(gpus, adapter, Arc::clone(gpu), abilities, &model, &options)?;
        let input =
            Tensor::from_vec([m, k], left.clone()).map_err(|error| Error::Failed(error.to_string()))?;
        let outputs = executable.run(&[input], &RunContext::default())?;
        let values = outputs[0].elements::<f32>().map_err(|error| Error::Failed(error.to_string()))?;
        Ok::<Vec<f32>, Error>(values.to_vec())
    };
    let found = answer(gpu.abilities)?;
    let expected = answer(Abilities { cooperative: None, ..gpu.abilities })?;
    compare(&found, &expected, &bounds(&left, &right)).map_err(Error::Failed)
}

/// A model of one product.
fn product(right: &[f32]) -> tract_core::prelude::TractResult<TypedModel> {
    let [m, n, k] = SIZES;
    let mut model = TypedModel::default();
    let shape: TVec<usize> = [m, k].into_iter().collect();
    let a = model.add_source("a", f32::datum_type().fact(shape))?;
    let b = model.add_const("b", tensor1(right).into_shape(&[k, n])?)?;
    let op = EinSum::new("mk,kn->mn".parse()?, f32::datum_type());
    let y = model.wire_node("y", op, &[a, b])?;
    model.select_output_outlets(&y)?;
    Ok(model)
}

/// Numbers between -1 and 1, most of which F16 does not hold.
fn numbers(count: usize, step: usize) -> Vec<f32> {
    (0..count).map(|index| (index * step % 10_007) as f32 / 5003.5 - 1.0).collect()
}

/// How far each element may be from the right one.
fn bounds(left: &[f32], right: &[f32]) -> Vec<f64> {
    let [_, n, k] = SIZES;
    let mut bounds = Vec::with_capacity(left.len() / k * n);
    for row in left.chunks(k) {
        for column in 0..n {
            let factors = row.iter().zip(right[column..].iter().step_by(n));
            let size: f64 = factors.map(|(a, b)| f64::from(a * b).abs()).sum();
            bounds.push(size * TOLERANCE);
        }
    }
    bounds
}

fn compare(found: &[f32], expected: &[f32], bounds: &[f64]) -> Result<(), String> {
    for (index, ((&found, &expected), &bound)) in found.iter().zip(expected).zip(bounds).enumerate() {
        let difference = (f64::from(found) - f64::from(expected)).abs();
        // What is no number is not near either.
        let is_near = difference <= bound;
        if !is_near {
            return Err(format!(
                "element {index} of a product is {found}, not {expected}: a difference of {difference:.6}, \
                 where at most {bound:.6} may come of rounding"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
