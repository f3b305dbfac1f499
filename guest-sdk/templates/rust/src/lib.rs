//! Standardises the columns of a table, as is usual before a model sees it.

use samara_sdk::ndarray::{Array1, Array2, Axis};
use samara_sdk::{Error, Result};

/// Shifts and scales each column of `rows` to mean 0 and standard deviation 1,
/// and says by how much. A constant column is only shifted.
#[samara_sdk::function(outputs = ["standardised", "mean", "deviation"])]
fn standardise(rows: Array2<f32>) -> Result<(Array2<f32>, Array1<f32>, Array1<f32>)> {
    let Some(mean) = rows.mean_axis(Axis(0)) else {
        return Err(Error::invalid_input(
            "input `rows`: there is no row; give at least one",
        ));
    };
    let deviation = rows.std_axis(Axis(0), 0.0);
    let scale = deviation.mapv(|deviation| if deviation > 0.0 { deviation } else { 1.0 });
    Ok(((rows - &mean) / &scale, mean, deviation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_sdk::ErrorKind;
    use samara_sdk::ndarray::array;
    use samara_sdk::testing::call;

    #[test]
    fn columns_are_standardised() {
        let (standardised, mean, _) = standardise(array![[1.0, 10.0], [3.0, 30.0]]).unwrap();
        assert_eq!(standardised, array![[-1.0, -1.0], [1.0, 1.0]]);
        assert_eq!(mean, array![2.0, 20.0]);
    }

    // The same through the function's signature, as samara calls it.
    #[test]
    fn a_call_by_name() {
        let mut outputs = call::<standardise>([("rows", array![[5.0f32], [5.0]])]).unwrap();
        assert_eq!(
            outputs.take::<Array2<f32>>("standardised").unwrap(),
            array![[0.0], [0.0]]
        );
        assert_eq!(
            outputs.take::<Array1<f32>>("deviation").unwrap(),
            array![0.0]
        );
    }

    #[test]
    fn an_empty_table_is_refused() {
        let error = call::<standardise>([("rows", Array2::<f32>::zeros([0, 2]))]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
