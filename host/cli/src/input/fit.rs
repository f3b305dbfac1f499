//! From the shape that values came in to the shape that is asked for.

use anyhow::{Result, bail};
use samara_nn::{ANY_SIZE, Tensor, TensorSpec, format_shape};

/// How much the shape of given values says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The values came in a row: any shape that holds as many is meant.
    Flat,
    /// The values came with their shape; only a batch axis may be missing.
    Nested,
}

/// Puts `values` into a shape that `spec` accepts. `natural` is the shape in
/// which they were given.
///
/// # Errors
/// When no shape fits.
pub(crate) fn fit(values: Tensor, natural: &[usize], layout: Layout, spec: &TensorSpec) -> Result<Tensor> {
    let candidates = [
        Some(natural.to_vec()),
        lone_value(values.len(), natural, spec),
        with_batch_axis(natural, spec),
        (layout == Layout::Flat).then(|| filled(values.len(), &spec.shape)).flatten(),
    ];
    let shape = candidates.into_iter().flatten().find(|shape| spec.accepts_shape(shape));
    match shape {
        Some(shape) => Ok(values.reshaped(shape)?),
        None if layout == Layout::Flat => {
            let count = values.len();
            let values = if count == 1 { "value" } else { "values" };
            bail!(
                "{count} {values} do not make up the shape {}{}",
                format_shape(&spec.shape),
                flat_hint(spec)
            )
        }
        None => {
            let (asked, found) = (format_shape(&spec.shape), format_shape(natural));
            bail!("the shape {found} does not fit {asked}")
        }
    }
}

fn flat_hint(spec: &TensorSpec) -> &'static str {
    match spec.shape.iter().filter(|&&size| size == ANY_SIZE).count() {
        0 | 1 => "",
        _ => "\nhint: show the shape by nested JSON arrays, e.g. `[[1, 2], [3, 4]]`",
    }
}

/// One value may stand for any number of axes of size 1.
fn lone_value(count: usize, natural: &[usize], spec: &TensorSpec) -> Option<Vec<usize>> {
    (count == 1 && natural.len() <= 1).then(|| vec![1; spec.shape.len()])
}

fn with_batch_axis(natural: &[usize], spec: &TensorSpec) -> Option<Vec<usize>> {
    (spec.shape.len() == natural.len() + 1).then(|| [&[1], natural].concat())
}

/// The declared shape with its open axis sized so that it holds `count`
/// values; of several open axes, the first is a batch of one.
fn filled(count: usize, declared: &[i64]) -> Option<Vec<usize>> {
    let mut sizes: Vec<Option<usize>> = declared.iter().map(|&size| usize::try_from(size).ok()).collect();
    let open = sizes.iter().filter(|size| size.is_none()).count();
    if open > 1 && sizes[0].is_none() {
        sizes[0] = Some(1);
    }
    let known = sizes.iter().flatten().try_fold(1usize, |product, &size| product.checked_mul(size))?;
    let rest = count.checked_div(known).filter(|rest| rest * known == count)?;
    match sizes.iter().filter(|size| size.is_none()).count() {
        0 if rest == 1 => {}
        1 => {}
        _ => return None,
    }
    Some(sizes.into_iter().map(|size| size.unwrap_or(rest)).collect())
}

#[cfg(test)]
mod tests {
    use samara_nn::Datatype;

    use super::*;

    fn shape(natural: &[usize], layout: Layout, declared: &[i64]) -> Option<Vec<usize>> {
        let values = vec![0f32; natural.iter().product()];
        let values = Tensor::from_vec([values.len()], values).unwrap();
        let spec = TensorSpec::new("x", Datatype::Fp32, declared);
        fit(values, natural, layout, &spec).ok().map(|tensor| tensor.shape().to_vec())
    }

    #[test]
    fn a_batch_axis_is_added() {
        assert_eq!(shape(&[3, 2], Layout::Nested, &[-1, 3, 2]), Some(vec![1, 3, 2]));
        assert_eq!(shape(&[3, 2], Layout::Nested, &[1, 3, 2]), Some(vec![1, 3, 2]));
        assert_eq!(shape(&[3, 2], Layout::Nested, &[2, 3, 2]), None);
        assert_eq!(shape(&[6], Layout::Nested, &[3, 2]), None);
        assert_eq!(shape(&[4], Layout::Flat, &[-1, -1]), Some(vec![1, 4]));
    }

    #[test]
    fn a_row_of_values_takes_the_shape_asked_for() {
        assert_eq!(shape(&[6], Layout::Flat, &[3, 2]), Some(vec![3, 2]));
        assert_eq!(shape(&[6], Layout::Flat, &[-1, 2]), Some(vec![3, 2]));
        assert_eq!(shape(&[6], Layout::Flat, &[-1, 4]), None);
        assert_eq!(shape(&[8], Layout::Flat, &[-1, 2, -1]), Some(vec![1, 2, 4]));
        assert_eq!(shape(&[0], Layout::Flat, &[-1, 2]), Some(vec![0, 2]));
        assert_eq!(shape(&[0], Layout::Flat, &[3, -1]), Some(vec![3, 0]));
    }

    #[test]
    fn a_lone_value_fills_axes_of_one() {
        assert_eq!(shape(&[], Layout::Flat, &[]), Some(vec![]));
        assert_eq!(shape(&[], Layout::Flat, &[-1, 1]), Some(vec![1, 1]));
        assert_eq!(shape(&[1], Layout::Flat, &[]), Some(vec![]));
        assert_eq!(shape(&[], Layout::Flat, &[2]), None);
    }
}
