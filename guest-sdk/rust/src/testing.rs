//! Tests of functions with plain `cargo test`: calls without a host, and
//! stand-ins for models.

use std::rc::Rc;

use crate::function::{Function, from_host, infer, into_host};
use crate::{IntoTensors, Result, Tensors, host};

/// Calls a function as the host does: the inputs travel as `wasi:nn` tensors,
/// are read as declared, converted and checked, and the outputs likewise.
///
/// The name of a `fn` under [`macro@crate::function`] is also the name of a
/// type, so `call::<double>(…)` calls `fn double`.
///
/// # Errors
///
/// What the caller of the function would see.
///
/// ```
/// # use samara_sdk::testing::call;
/// #[samara_sdk::function(output = "doubled")]
/// fn double(values: Vec<f32>) -> Vec<f32> {
///     values.iter().map(|value| 2.0 * value).collect()
/// }
///
/// # fn main() -> samara_sdk::Result<()> {
/// let mut outputs = call::<double>([("values", vec![1.0f32, 2.5])])?;
/// assert_eq!(outputs.take::<Vec<f32>>("doubled")?, [2.0, 5.0]);
/// # Ok(()) }
/// ```
pub fn call<F: Function>(inputs: impl IntoTensors) -> Result<Tensors> {
    let inputs = into_host(inputs.into_tensors()?)?;
    Ok(from_host(infer::<F>(inputs)?, &F::describe().outputs))
}

/// Runs `body` while [`model(name)`](crate::model()) finds `stand_in` on this
/// thread. Calls nest; the innermost stand-in of a name is the one found.
///
/// ```
/// # use samara_sdk::{Tensors, testing::with_model};
/// # fn main() -> samara_sdk::Result<()> {
/// let sum = |mut inputs: Tensors| {
///     Tensors::new().with("sum", inputs.take::<Vec<f32>>("x")?.iter().sum::<f32>())
/// };
/// with_model("sum", sum, || {
///     let mut outputs = samara_sdk::model("sum")?.run([("x", vec![1.0f32, 2.0])])?;
///     assert_eq!(outputs.take::<f32>("sum")?, 3.0);
///     Ok(())
/// })
/// # }
/// ```
pub fn with_model<R>(
    name: &str,
    stand_in: impl Fn(Tensors) -> Result<Tensors> + 'static,
    body: impl FnOnce() -> R,
) -> R {
    let _registered = host::register(name, Rc::new(stand_in));
    body()
}
