//! What engines that compute in a model's own datatypes say to other wishes.

use samara_nn::{Error, LoadOptions, ModelSource, Precision, Result};

/// # Errors
/// [`Error::Unsupported`] where the model is to compute otherwise than in its own
/// datatypes.
pub(crate) fn own_datatypes_only(
    source: &ModelSource,
    backend: &'static str,
    options: &LoadOptions,
) -> Result<()> {
    match options.precision {
        Precision::Exact => Ok(()),
        precision => Err(Error::Unsupported {
            model: source.name.clone(),
            backend,
            reason: format!(
                "it computes in the model's own datatypes, not with `precision = \"{precision}\"`: leave \
                 `precision` out, or run the model by the backend `wgpu` on a GPU (`target = \"gpu\"`)"
            ),
        }),
    }
}
