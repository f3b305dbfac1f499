//! Cases with tensors as the scripts in `tests/fixtures` write them: a list,
//! `cases.json`, and the bytes that it refers to, `data.bin`.

use std::path::Path;

use samara_nn::Tensor;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A tensor of a case: its bytes lie in [`Data`].
#[derive(Deserialize)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) datatype: String,
    pub(crate) shape: Vec<usize>,
    /// Where its bytes begin, and how many they are.
    pub(crate) data: [usize; 2],
}

/// The bytes of all cases.
pub(crate) struct Data(Vec<u8>);

/// Reads the cases in a folder; `None` where the tests' Python did not write them,
/// which says so.
pub(crate) fn read<C: DeserializeOwned>(folder: &Path) -> Option<(Vec<C>, Data)> {
    let list = samara_test::fixture(folder.join("cases.json"))?;
    let cases = serde_json::from_slice(&std::fs::read(list).unwrap()).unwrap();
    Some((cases, Data(std::fs::read(folder.join("data.bin")).unwrap())))
}

impl Data {
    pub(crate) fn tensor(&self, stored: &Stored) -> Tensor {
        let data = self.bytes(stored.data).to_vec();
        Tensor::new(stored.datatype.parse().unwrap(), stored.shape.clone(), data).unwrap()
    }

    pub(crate) fn bytes(&self, [offset, length]: [usize; 2]) -> &[u8] {
        &self.0[offset..offset + length]
    }
}
