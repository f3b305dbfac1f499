//! Inputs that nobody gave: the same for the same signature, and such as a model takes.

use samara_engine::Result;
use samara_nn::{Datatype, NamedTensor, Signature, Tensor, TensorSpec};

/// How many rows are asked for where the first axis is open.
const ROWS: [usize; 2] = [1, 3];
/// What other open axes may be as long as: sequences, and edges of pictures.
const LENGTHS: [usize; 4] = [8, 32, 64, 224];
/// Integers below these: numbers of words, and of what there are two.
const BELOW: [u64; 2] = [50, 2];

/// A request and what was answered to it.
pub(super) type Asked = (Vec<NamedTensor>, Vec<NamedTensor>);

/// Requests of the first kind that `answer` takes and that tell something, each with its
/// answer; none where answers tell nothing.
///
/// # Errors
/// The last refusal, where it takes none.
pub(super) fn requests(
    signature: &Signature,
    answer: impl Fn(Vec<NamedTensor>) -> Result<Vec<NamedTensor>>,
) -> Result<Vec<Asked>> {
    let open = |axes: fn(&TensorSpec) -> &[i64]| signature.inputs.iter().any(|spec| axes(spec).contains(&-1));
    let rows = if open(|spec| spec.shape.get(..1).unwrap_or_default()) { &ROWS[..] } else { &ROWS[..1] };
    let lengths =
        if open(|spec| spec.shape.get(1..).unwrap_or_default()) { &LENGTHS[..] } else { &LENGTHS[..1] };
    let floats = signature.inputs.iter().all(|spec| spec.datatype == Datatype::Fp32);
    let below = if floats { &BELOW[..1] } else { &BELOW[..] };
    let (mut last, mut first) = (Ok(Vec::new()), true);
    for &length in lengths {
        for &below in below {
            let ask = |&rows: &usize| {
                let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
                let inputs =
                    signature.inputs.iter().map(|spec| input(spec, rows, length, below, &mut numbers));
                let inputs: Vec<NamedTensor> = inputs.collect::<Result<_>>()?;
                Ok((inputs.clone(), answer(inputs)?))
            };
            let asked: Result<Vec<Asked>> = rows.iter().map(ask).collect();
            match asked {
                Ok(asked) if asked.iter().all(|(_, outputs)| tells(outputs)) => return Ok(asked),
                Ok(_) => last = Ok(Vec::new()),
                // What is taken and tells nothing is nearer than what is refused.
                Err(error) if last.is_err() || first => last = Err(error),
                Err(_) => {}
            }
            first = false;
        }
    }
    last
}

/// Whether another answer could be told from this one: what is no number equals what is
/// none, and nothing is a part of zero.
fn tells(outputs: &[NamedTensor]) -> bool {
    outputs.iter().all(|(_, tensor)| match tensor.elements::<f32>() {
        Ok(values) => {
            values.iter().all(|value| value.is_finite()) && values.iter().any(|&value| value != 0.0)
        }
        Err(_) => true,
    })
}

fn input(
    spec: &TensorSpec,
    rows: usize,
    length: usize,
    below: u64,
    numbers: &mut Numbers,
) -> Result<NamedTensor> {
    let size = |(axis, &size): (usize, &i64)| match usize::try_from(size) {
        Ok(size) => size,
        Err(_) if axis == 0 => rows,
        Err(_) => length,
    };
    let shape: Vec<usize> = spec.shape.iter().enumerate().map(size).collect();
    let count = shape.iter().product();
    // Where nothing counts, there is nothing to compute with.
    let counts = spec.name.contains("mask");
    let mut integer = |end| if counts { 1 } else { numbers.below(end) };
    let mut bytes = Vec::new();
    for _ in 0..count {
        match spec.datatype {
            Datatype::Int32 => bytes.extend((integer(below) as i32).to_le_bytes()),
            Datatype::Int64 => bytes.extend((integer(below) as i64).to_le_bytes()),
            Datatype::Bool => bytes.push(integer(2) as u8),
            Datatype::Int8 | Datatype::Uint8 => bytes.push(integer(below) as u8),
            // All others were refused before.
            _ => {
                let number = integer(FLOATS);
                bytes.extend((if counts { 1.0 } else { float(number) }).to_le_bytes());
            }
        }
    }
    let tensor = Tensor::new(spec.datatype, shape, bytes)
        .map_err(|source| samara_nn::Mismatch::Malformed { tensor: spec.name.clone(), source })?;
    Ok((spec.name.clone(), tensor))
}

/// The generator xorshift64*.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}

/// So many floats there are.
const FLOATS: u64 = 2_000_001;

/// One of them, from -1 to 1.
fn float(number: u64) -> f32 {
    number as f32 / 1_000_000.0 - 1.0
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use samara_engine::Error;

    use super::*;

    fn signature(specs: &[(&str, Datatype, &[i64])]) -> Signature {
        let inputs =
            specs.iter().map(|(name, datatype, shape)| TensorSpec::new(*name, *datatype, shape.to_vec()));
        Signature { inputs: inputs.collect(), outputs: Vec::new() }
    }

    /// The shapes of the first input that were asked for, with the largest integer of the
    /// second; what is refused is left out.
    fn asked(signature: &Signature, takes: impl Fn(&[NamedTensor]) -> bool) -> Vec<Vec<usize>> {
        let refused = RefCell::new(0);
        let answer = |inputs: Vec<NamedTensor>| match takes(&inputs) {
            true => Ok(inputs),
            false => {
                *refused.borrow_mut() += 1;
                Err(Error::NoStages { function: "f".to_owned() })
            }
        };
        let requests = requests(signature, answer).unwrap_or_default();
        requests.into_iter().map(|(inputs, _)| inputs[0].1.shape().to_vec()).collect()
    }

    #[test]
    fn open_axes_get_sizes_that_the_model_takes() {
        let fixed = signature(&[("x", Datatype::Fp32, &[1, 4])]);
        assert_eq!(asked(&fixed, |_| true), [[1, 4]]);
        let rows = signature(&[("x", Datatype::Fp32, &[-1, 4])]);
        assert_eq!(asked(&rows, |_| true), [[1, 4], [3, 4]]);
        let picture = signature(&[("x", Datatype::Fp32, &[-1, 3, -1, -1])]);
        let large = |inputs: &[NamedTensor]| inputs[0].1.shape()[2] > 32;
        assert_eq!(asked(&picture, large), [[1, 3, 64, 64], [3, 3, 64, 64]]);
        assert_eq!(asked(&picture, |_| false), [[0; 0]; 0]);
    }

    #[test]
    fn answers_that_tell_nothing_are_none() {
        let floats = |values: &[f32]| {
            vec![("y".to_owned(), Tensor::from_vec([values.len()], values.to_vec()).unwrap())]
        };
        assert!(tells(&floats(&[0.0, 1.0])));
        assert!(!tells(&floats(&[0.0, 0.0])) && !tells(&floats(&[1.0, f32::NAN])));
        let rows = signature(&[("x", Datatype::Fp32, &[-1, 4])]);
        let requests = requests(&rows, |_| Ok(floats(&[f32::NAN]))).unwrap();
        assert!(requests.is_empty());
    }

    #[test]
    fn masks_let_everything_count() {
        let masked =
            signature(&[("words", Datatype::Int64, &[-1, 8]), ("attention_mask", Datatype::Int64, &[-1, 8])]);
        let requests = requests(&masked, Ok).unwrap();
        let (inputs, _) = &requests[1];
        assert_eq!(inputs[1].1.elements::<i64>().unwrap(), [1; 24].as_slice());
        assert!(inputs[0].1.elements::<i64>().unwrap().iter().any(|&word| word > 1));
    }

    #[test]
    fn integers_become_small_where_large_ones_are_refused() {
        let words = signature(&[("x", Datatype::Int64, &[-1, -1])]);
        let small =
            |inputs: &[NamedTensor]| inputs[0].1.elements::<i64>().unwrap().iter().all(|&word| word < 2);
        assert_eq!(asked(&words, small), [[1, 8], [3, 8]]);
    }
}
